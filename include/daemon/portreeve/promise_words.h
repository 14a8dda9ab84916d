/*
 * promise_words.h - why a promise does not hold, in a sentence
 */
#ifndef PORTREEVE_PROMISE_WORDS_H
#define PORTREEVE_PROMISE_WORDS_H

#include "portreeve/promise.h"

#define PROMISE_WORDS_MAX 256

/* "198.51.100.7 may send to 3306/tcp, which leads to 10.0.0.5:3306". Returns `buffer`. */
char *promise_words(const struct breach *breach, char buffer[PROMISE_WORDS_MAX]);

#endif
