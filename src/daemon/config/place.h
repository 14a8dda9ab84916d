/*
 * place.h - where a line is, in a configuration of several files
 *
 * Lines are counted over all files, so that one number says the file as well.
 */
#ifndef PORTREEVE_CONFIG_PLACE_H
#define PORTREEVE_CONFIG_PLACE_H

#include "reading.h"

/* The file of a line, and its number there. */
const char *place_of(const struct reading *reading, unsigned line, unsigned *local);

/* The index of the file (config_file) of a line. */
uint16_t place_file(const struct reading *reading, unsigned line);

/* "line 7", and with included files "line 7 of /etc/portreeve/conf.d/a.conf". */
#define PLACE_MAX 160
const char *place_text(const struct reading *reading, unsigned line, char buffer[PLACE_MAX]);

#endif
