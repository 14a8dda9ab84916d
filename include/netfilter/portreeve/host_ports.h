/*
 * host_ports.h - the gateway's own ports: ports in use by its sockets, and ports reserved for the
 * pool
 *
 * The pool must not overlap the host's ephemeral ports (net.ipv4.ip_local_port_range): an answer to
 * the gateway's own connection would be taken for a packet to a mapping. So the daemon adds its
 * pool to net.ipv4.ip_local_reserved_ports, and does not use ports of the pool that a socket
 * already has.
 */
#ifndef PORTREEVE_HOST_PORTS_H
#define PORTREEVE_HOST_PORTS_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

/*
 * Calls `each` for every TCP socket (any state but time-wait) and UDP socket of the caller's
 * network namespace, with its local port: IPv4 sockets, and IPv6 sockets that also receive IPv4.
 * Sockets that are bound to a loopback address are skipped: no packet from outside reaches them.
 * Uses NETLINK_SOCK_DIAG. Returns 0, or -errno and a sentence.
 */
int host_ports_in_use(void (*each)(void *context, uint8_t protocol, uint16_t port), void *context,
                      struct error *error);

/*
 * host_ports_reserve adds the ranges to net.ipv4.ip_local_reserved_ports; what was there stays.
 * *added receives the ranges that were not there before (at most `max`), for host_ports_release,
 * which removes them again. Returns how many were added, or -errno and a sentence.
 */
int host_ports_reserve(const struct port_range *ranges, size_t count, struct port_range *added,
                       size_t max, struct error *error);
int host_ports_release(const struct port_range *added, size_t count, struct error *error);

#endif
