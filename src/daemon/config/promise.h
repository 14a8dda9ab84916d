/*
 * promise.h - the keys of [never NAME] and [always NAME]
 */
#ifndef PORTREEVE_CONFIG_PROMISE_H
#define PORTREEVE_CONFIG_PROMISE_H

#include "section.h"

enum { NEVER_FROM, NEVER_TO, NEVER_PROTOCOL, NEVER_KEYS };
enum { ALWAYS_FROM, ALWAYS_LISTEN, ALWAYS_TO, ALWAYS_KEYS };

extern const struct key never_keys[NEVER_KEYS];
extern const struct key always_keys[ALWAYS_KEYS];

#endif
