/*
 * gateway.h - the keys of [gateway]
 */
#ifndef PORTREEVE_CONFIG_GATEWAY_H
#define PORTREEVE_CONFIG_GATEWAY_H

#include "section.h"

enum {
    GATEWAY_EXTERNAL,
    GATEWAY_ADDRESS,
    GATEWAY_UNTRANSLATED,
    GATEWAY_MARK,
    GATEWAY_MSS,
    GATEWAY_INCLUDE,
    GATEWAY_KEYS
};

extern const struct key gateway_keys[GATEWAY_KEYS];

#endif
