/*
 * forward_words.h - a forward in the sentences of answers
 */
#ifndef PORTREEVE_FORWARD_WORDS_H
#define PORTREEVE_FORWARD_WORDS_H

#include "portreeve/config.h"

#define FORWARD_WORDS_MAX 128

/*
 * "portreeve.conf:12", or "run-time forward". `path` is that of the configuration. Both return
 * `buffer`.
 */
char *forward_place(const struct config *config, const char *path, const struct forward *forward,
                    char buffer[FORWARD_WORDS_MAX]);

/* "192.0.2.0/24, 198.51.100.7/32", or "anyone"; the last ones are left out if there are many. */
char *forward_allowed(const struct forward *forward, char buffer[FORWARD_WORDS_MAX]);

#endif
