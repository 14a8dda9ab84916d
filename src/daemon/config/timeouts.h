/*
 * timeouts.h - the keys of [timeouts], also those of single ports (udp:53)
 */
#ifndef PORTREEVE_CONFIG_TIMEOUTS_H
#define PORTREEVE_CONFIG_TIMEOUTS_H

#include "reading.h"

#define TIMEOUT_KEYS 11

extern const struct key timeout_keys[TIMEOUT_KEYS];

/* When the section has been read: the timeouts of ports that it does not mention. */
void config_default_port_timeouts(struct reading *reading);

#endif
