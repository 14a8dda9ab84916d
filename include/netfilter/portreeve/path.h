/*
 * path.h - which way the kernel would send a packet, and what it knows about the next hop
 * (rtnetlink)
 *
 * For questions of people, not for packets: each call opens a socket, asks and closes it.
 */
#ifndef PORTREEVE_PATH_H
#define PORTREEVE_PATH_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

#include <net/if.h>

struct path {
    uint32_t interface; /* ifindex that it leaves by */
    char name[IF_NAMESIZE];
    struct address next_hop; /* the destination itself, if no router is between */
    bool is_local;           /* the gateway itself is the destination */
};

/*
 * Where the kernel sends a packet from one address to another that comes in by this interface
 * (NULL and 0: of the gateway itself). Returns 0, or -errno as the kernel means it
 * (ip_route_input_slow, fib_validate_source): -EXDEV: the reverse path filter drops it;
 * -ENETUNREACH: there is no route; -EHOSTUNREACH: the interface does not forward, or the route is
 * of type unreachable; -EACCES: of type prohibit; -EINVAL: of type blackhole, or the source cannot
 * be one.
 */
int path_find(const struct address *from, const struct address *to, uint32_t in_interface,
              struct path *path);

enum path_hop {
    PATH_HOP_UNKNOWN,   /* nobody has asked for it */
    PATH_HOP_REACHABLE, /* or it was, and nothing says otherwise */
    PATH_HOP_FAILS,     /* it does not answer ARP */
    PATH_HOP_ASKING,
};

/* What the kernel knows of a host in the network of this interface. */
enum path_hop path_hop_state(uint32_t interface, const struct address *address);

#endif
