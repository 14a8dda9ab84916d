/*
 * collisions.h - where sockets of the gateway and what is published meet: which of the two has the
 * port, and how that is said
 */
#ifndef PORTREEVE_COLLISIONS_H
#define PORTREEVE_COLLISIONS_H

#include "lock.h"

/*
 * Leaves the ports of the gateway's sockets out of the pools of a policy that is not sealed yet. A
 * port that a mapping has stays until the mapping ends: its sessions continue. If the socket takes
 * packets of all remotes, it gets what the mapping does not admit. As long as there is no table,
 * any port may be a mapping's: none leaves the pool.
 */
void collisions_exclude(struct gateway *gateway, struct policy *policy);

/*
 * Looks at the gateway's sockets again, if it is time. True if the policy must be built anew: an
 * open socket that was there at the last look, too, has a port that is still in a pool, or has one
 * local address that the rules do not know of.
 */
bool collisions_look(struct gateway *gateway);

/* Says in notices which listeners a forward hides, and which ports a mapping has, too. */
void collisions_note(struct gateway *gateway);

/*
 * Reports, in one line, if mappings have ports that this forward would take: whose the first one
 * is. `what` goes before it, `then` after it. True if there are any.
 */
bool collisions_report_held(struct gateway *gateway, const struct forward *forward,
                            const char *what, const char *then, config_report *report,
                            void *context);

/*
 * Reports each open socket that one of the forwards of a sealed policy hides from the outside: a
 * forward comes before it. `external` are the external addresses; a socket that is bound to another
 * address is not hidden. `forward`: only this one, or NULL. `prefix` goes before each line.
 */
void collisions_report_hidden(const struct own_sockets *sockets, const struct policy *policy,
                              const char *forward, const struct address *external, size_t count,
                              const char *prefix, config_report *report, void *context);

#endif
