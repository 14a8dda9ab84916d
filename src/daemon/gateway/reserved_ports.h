/*
 * reserved_ports.h - keeps the host from choosing the pool's ports for its own connections
 *
 * What was added to net.ipv4.ip_local_reserved_ports is noted in DIRECTORY/reserved-ports, so that
 * a daemon that starts after a crash knows what to take out again in the end, and what the admin
 * had reserved stays.
 */
#ifndef PORTREEVE_RESERVED_PORTS_H
#define PORTREEVE_RESERVED_PORTS_H

#include "portreeve/policy.h"

/*
 * Reserves the pools' ranges of this policy instead of those that were reserved before, by this run
 * or an earlier one. A failure is logged: it concerns only the rare case that the host chooses such
 * a port.
 */
void reserved_ports_exchange(const char *directory, const struct policy *policy);

/* Takes out whatever was reserved. */
void reserved_ports_release(const char *directory);

#endif
