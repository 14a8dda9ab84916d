/*
 * forward.h - the keys of [forward NAME]
 */
#ifndef PORTREEVE_CONFIG_FORWARD_H
#define PORTREEVE_CONFIG_FORWARD_H

#include "section.h"

enum {
    FORWARD_LISTEN,
    FORWARD_TO,
    FORWARD_ALLOW,
    FORWARD_OWNER,
    FORWARD_NOTE,
    FORWARD_EXPIRES,
    FORWARD_SESSIONS,
    FORWARD_NEW_SESSIONS,
    FORWARD_KEYS
};

extern const struct key forward_keys[FORWARD_KEYS];

#endif
