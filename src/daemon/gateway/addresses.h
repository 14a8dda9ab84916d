/*
 * addresses.h - the external addresses in use
 */
#ifndef PORTREEVE_GATEWAY_ADDRESSES_H
#define PORTREEVE_GATEWAY_ADDRESSES_H

#include "lock.h"

/*
 * Reads the external interface and its addresses again. If anything is not as it was, applies it to
 * the translator and the rules and logs it; if not, nothing happens. Notices say what is wrong with
 * them. Returns 0, or -errno and a sentence.
 */
int gateway_refresh_addresses(struct gateway *gateway, struct error *error);

/* Once a second: ends what has waited long enough for its address. */
void gateway_check_grace(struct gateway *gateway);

#endif
