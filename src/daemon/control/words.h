/*
 * words.h - a list of words in a sentence
 */
#ifndef PORTREEVE_CONTROL_WORDS_H
#define PORTREEVE_CONTROL_WORDS_H

#include <stddef.h>

#define WORDS_TEXT_MAX 192 /* bytes, with the final NUL */

/* "tcp, udp or icmp"; "none" if there are no words. */
const char *words_list(const char *const *words, size_t count, char buffer[WORDS_TEXT_MAX]);

#endif
