/*
 * next_hops.h - the interfaces of a next hop object (ip-nexthop(8)), which routes may refer to
 *
 * With the sysctl net.ipv4.nexthop_compat_mode = 0 the kernel tells no more of such a route than
 * the number of its object (net/ipv4/fib_semantics.c, fib_dump_info). Internal to src/netfilter.
 */
#ifndef PORTREEVE_NEXT_HOPS_H
#define PORTREEVE_NEXT_HOPS_H

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

/* A group has far fewer. */
#define NEXT_HOPS_MAX 64

/*
 * Writes the indexes of the interfaces of object `id`, of all its members if it is a group; at most
 * `max`, and of at most NEXT_HOPS_MAX members. Returns how many there are, or -errno: -ENOENT if
 * there is no such object. `socket` is of NETLINK_ROUTE.
 */
int next_hops_read(struct mnl_socket *socket, uint32_t id, uint32_t *interfaces, size_t max);

#endif
