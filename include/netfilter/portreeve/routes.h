/*
 * routes.h - the interfaces that lead outside: those that hold a default route (rtnetlink)
 *
 * A default route is one to 0.0.0.0/0, or to one of its halves (0.0.0.0/1 and 128.0.0.0/1, which
 * VPN programs use to cover it), in any routing table but local. Of a route with several next hops
 * every interface counts. Which table a packet uses is up to the rules of `ip rule`, which this
 * does not ask: a table that is not in use makes an interface an uplink too.
 */
#ifndef PORTREEVE_ROUTES_H
#define PORTREEVE_ROUTES_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct routes;

/*
 * Opens a socket that receives changes of links and of default routes in the caller's network
 * namespace. The kernel filters out all other routes, so a full table of a router costs nothing
 * here. Returns 0, or -errno and a sentence.
 */
int routes_open(struct routes **routes, struct error *error);
void routes_close(struct routes *routes); /* NULL is fine */

/* Poll it for reading, then call routes_changed. */
int routes_descriptor(const struct routes *routes);

/*
 * Reads all waiting notifications. True if there were any, or if some were lost. The kernel does
 * not say which routes go with a link that goes down, so a change of a link counts. It tells of a
 * link or an address before it removes their routes (__dev_notify_flags, __inet_del_ifa), and since
 * Linux 6.9 a dump does not wait for that (inet_dump_fib without the RTNL lock). So after a change
 * read twice: at once, and a moment later.
 */
bool routes_changed(struct routes *routes);

/*
 * Reads the indexes of the interfaces with a default route, each once, in ascending order, at most
 * `max`. Returns how many there are (more than `max`: the rest was left out), or -errno and a
 * sentence. It asks for the whole routing table: do not call it for every packet.
 */
int routes_read(struct routes *routes, uint32_t *interfaces, size_t max, struct error *error);

/*
 * The interface that the route to an IPv4 address leads out by, as the kernel finds it for a packet
 * of the gateway itself. Returns 0 or -errno; -EHOSTUNREACH for an address that no packet is routed
 * to: the gateway's own, for example.
 */
int routes_find(struct routes *routes, const struct address *destination,
                uint32_t *interface_index);

#endif
