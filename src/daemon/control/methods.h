/*
 * methods.h - what a client may ask for
 */
#ifndef PORTREEVE_CONTROL_METHODS_H
#define PORTREEVE_CONTROL_METHODS_H

#include "method.h"

/* NULL for a name that is none. */
const struct method *methods_find(const char *name);

#endif
