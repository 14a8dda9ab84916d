/*
 * config.h - the configuration from an open stream
 */
#ifndef PORTREEVE_CONFIG_STREAM_H
#define PORTREEVE_CONFIG_STREAM_H

#include "portreeve/config.h"

#include <stdio.h>

/*
 * As config_load, but reads an open stream, and no files that it includes. `path` is for messages;
 * `now` decides which forwards have expired.
 */
bool config_load_stream(FILE *stream, const char *path, int64_t now, struct config *config,
                        config_report *report, config_report *warn, void *context);

#endif
