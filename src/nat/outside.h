/*
 * outside.h - what the outside may have: sessions that remotes have opened
 *
 * One outside address must not take the table, nor all of them together: `sessions-per-remote`,
 * `new-sessions-per-remote`, `sessions-from-outside`, and of a forward `sessions` and
 * `new-sessions`. As with hosts, closed sessions do not count.
 *
 * Remotes are counted in a fixed number of counters, by a hash with the table's secret. Two remotes
 * that share a counter share its limits: that is one of 16384 pairs, and nobody outside can know
 * which.
 *
 * Rejected: an exact entry for each remote, as hosts have one. An attacker with many addresses
 * fills any room for them, and what is then?
 */
#ifndef NAT_OUTSIDE_H
#define NAT_OUTSIDE_H

#include "nat_internal.h"

/* Allocates the counters; false without memory. outside_fini frees them in both cases. */
bool outside_init(struct nat *nat);
void outside_fini(struct nat *nat);
size_t outside_memory(void);

/*
 * May this remote open one more session by `forward` (POLICY_NONE: to a mapping)?
 * DROP_REMOTE_LIMIT, DROP_FORWARD_LIMIT, DROP_REMOTE_RATE, DROP_FORWARD_RATE; and
 * DROP_OUTSIDE_LIMIT when nothing else is in the way than the sessions of all remotes: then one of
 * these may give way.
 */
enum drop_reason outside_admit(struct nat *nat, const struct address *remote, uint16_t forward,
                               uint64_t now);

/* The same, but it counts nothing: why it may not. */
enum drop_reason outside_refuses(struct nat *nat, const struct address *remote, uint16_t forward,
                                 uint64_t now);

/* Counts the session, whatever the limits: its initiator is the remote, and its sides are filled.
 */
void outside_enter(struct nat *nat, struct session *session);

/* The session no longer counts; nothing if it does not. */
void outside_leave(struct nat *nat, struct session *session);

/*
 * A review begins: the forwards have other indexes now. Each session counts for its forward again
 * when it has been reviewed.
 */
void outside_begin_review(struct nat *nat);
void outside_reviewed(struct nat *nat, const struct session *session);

/* The counters of remotes and of forwards give what all of them together have, or no more. */
bool outside_adds_up(const struct nat *nat);

/* How many sessions the outside may have. */
uint32_t outside_limit(const struct policy *policy);
uint32_t outside_limit_of_remote(const struct policy *policy);

#endif
