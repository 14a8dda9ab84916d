/*
 * addresses.h - which external addresses are in use
 */
#ifndef PORTREEVE_GATEWAY_ADDRESSES_H
#define PORTREEVE_GATEWAY_ADDRESSES_H

#include "lock.h"

/*
 * False when another policy may choose other addresses: one in use lies inside, or there is a
 * problem, which it may have solved.
 */
bool gateway_addresses_fit(const struct gateway *gateway);

/* Reads the external addresses anew and applies them; logs what changed. 0 or -errno. */
int gateway_refresh_addresses(struct gateway *gateway, struct error *error);

#endif
