/*
 * methods.h - the methods of the control socket
 */
#ifndef PORTREEVE_CONTROL_METHODS_H
#define PORTREEVE_CONTROL_METHODS_H

#include "method.h"
#include "words.h"

/* NULL: there is no such method. */
const struct method *methods_find(const char *name);

/* The names of all methods, as words_list writes them. */
const char *methods_list(char buffer[WORDS_TEXT_MAX]);

#endif
