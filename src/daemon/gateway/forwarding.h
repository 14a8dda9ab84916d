/*
 * forwarding.h - whether the host forwards what is to be translated
 */
#ifndef PORTREEVE_GATEWAY_FORWARDING_H
#define PORTREEVE_GATEWAY_FORWARDING_H

#include "lock.h"

/*
 * At the start and once a second: looks at the sysctls that switch forwarding off, for the host and
 * for the interfaces that are in use, and at ICMP redirects of a one-armed gateway. What is in the
 * way becomes a notice.
 */
void gateway_check_forwarding(struct gateway *gateway);

/* Whether the host (NULL), or what comes in by this interface, is not forwarded now. */
bool forwarding_is_off(const char *interface);

/* The reverse path filter of this interface, or "all": 0 (off), 1 (strict) or 2 (loose). */
int forwarding_rp_filter(const char *interface);

#endif
