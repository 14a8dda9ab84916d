/*
 * host_ports.h - the gateway's own ports: which its sockets hold, and which it must not choose by
 * itself
 *
 * The pool may not meet the host's ephemeral ports (net.ipv4.ip_local_port_range): an answer to the
 * gateway's own connection would be taken for a mapping's. So the daemon adds its pool to
 * net.ipv4.ip_local_reserved_ports, and leaves out of the pool what a socket already holds.
 */
#ifndef PORTREEVE_HOST_PORTS_H
#define PORTREEVE_HOST_PORTS_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

/*
 * Calls `each` for every TCP (any state but time-wait) and UDP socket of the caller's network
 * namespace, with the local port it is bound to; IPv4 ones and those IPv6 ones that also take IPv4.
 * Sockets bound to a loopback address are left out: they do not meet packets from outside.
 * NETLINK_SOCK_DIAG. Returns 0 or -errno.
 */
int host_ports_in_use(void (*each)(void *context, uint8_t protocol, uint16_t port), void *context,
                      struct error *error);

/*
 * Adds the ranges to net.ipv4.ip_local_reserved_ports; what is there stays. *added receives the
 * ranges that were not there before (at most `max`, the count is returned), which
 * host_ports_release takes out again. -errno on failure.
 */
int host_ports_reserve(const struct port_range *ranges, size_t count, struct port_range *added,
                       size_t max, struct error *error);
int host_ports_release(const struct port_range *added, size_t count, struct error *error);

#endif
