/*
 * addresses.h - which external addresses are in use
 */
#ifndef PORTREEVE_GATEWAY_ADDRESSES_H
#define PORTREEVE_GATEWAY_ADDRESSES_H

#include "lock.h"

/* Reads the external addresses anew and applies them; logs what changed. 0 or -errno. */
int gateway_refresh_addresses(struct gateway *gateway, struct error *error);

#endif
