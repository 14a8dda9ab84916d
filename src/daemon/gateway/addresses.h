/*
 * addresses.h - the external addresses in use
 */
#ifndef PORTREEVE_GATEWAY_ADDRESSES_H
#define PORTREEVE_GATEWAY_ADDRESSES_H

#include "lock.h"

/*
 * False if another policy may choose other addresses: an address in use is in the source of a
 * share, or there is a problem that the policy may have solved.
 */
bool gateway_addresses_fit(const struct gateway *gateway);

/*
 * Reads the external addresses again and applies them; logs what has changed. Returns 0, or -errno
 * and a sentence.
 */
int gateway_refresh_addresses(struct gateway *gateway, struct error *error);

#endif
