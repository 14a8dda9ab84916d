/*
 * reserved_ports.h - prevents the host from choosing ports of pools and forwards for its own
 * connections
 *
 * What was added to net.ipv4.ip_local_reserved_ports is written to DIRECTORY/reserved-ports. So a
 * daemon that starts after a crash knows what it has to remove at the end, and what the
 * administrator has reserved stays.
 */
#ifndef PORTREEVE_RESERVED_PORTS_H
#define PORTREEVE_RESERVED_PORTS_H

#include "portreeve/config.h"

/*
 * Reserves the ports of this policy's pools and forwards instead of those that this run or an
 * earlier one has reserved. A failure is only logged: it matters only if the host chooses such a
 * port, which is rare.
 */
void reserved_ports_exchange(const char *directory, const struct policy *policy);

/*
 * True if enough of the host's ephemeral ports stay for the gateway's own connections when this
 * policy (sealed or not) is in use. Otherwise the range that takes most of them is reported, as a
 * line of the file `path`. True also if the host does not say what it has.
 */
bool reserved_ports_leave_room(const char *directory, const char *path, const struct policy *policy,
                               config_report *report, void *context);

/* Removes what was reserved. */
void reserved_ports_release(const char *directory);

#endif
