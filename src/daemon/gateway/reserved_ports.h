/*
 * reserved_ports.h - prevents the host from choosing ports of the pool for its own connections
 *
 * What was added to net.ipv4.ip_local_reserved_ports is written to DIRECTORY/reserved-ports. So a
 * daemon that starts after a crash knows what it has to remove at the end, and what the
 * administrator has reserved stays.
 */
#ifndef PORTREEVE_RESERVED_PORTS_H
#define PORTREEVE_RESERVED_PORTS_H

#include "portreeve/policy.h"

/*
 * Reserves the pools of this policy instead of those that this run or an earlier one has reserved.
 * A failure is only logged: it matters only if the host chooses such a port, which is rare.
 */
void reserved_ports_exchange(const char *directory, const struct policy *policy);

/* Removes what was reserved. */
void reserved_ports_release(const char *directory);

#endif
