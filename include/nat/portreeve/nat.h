/*
 * nat.h - the translator: packets and time in, verdicts out
 *
 * One struct nat is a whole gateway. It is not thread-safe: the caller holds one lock around each
 * call (workers take it once a batch, and never across a system call). Time is `now`, milliseconds
 * of a clock that never goes back; the caller passes it in. Nothing here does a system call, and
 * nothing allocates after nat_new.
 */
#ifndef PORTREEVE_NAT_H
#define PORTREEVE_NAT_H

#include "portreeve/event.h"
#include "portreeve/offload.h"
#include "portreeve/packet.h"
#include "portreeve/policy.h"
#include "portreeve/view.h"

#define EXTERNAL_ADDRESSES_MAX 16

/* Why nat_adopt leaves out a session of an earlier run. */
enum adoption_reason {
    ADOPTION_EXPIRED,     /* while no daemon was there */
    ADOPTION_NOT_ALLOWED, /* by the policy or the external addresses of now */
    ADOPTION_DAMAGED,     /* it contradicts itself, or another session */
    ADOPTION_REASON_COUNT,
};

/* Everything counted since the start. */
struct nat_counters {
    uint64_t packets[2]; /* rewritten, by enum packet_hook; a hairpin packet counts at both */
    uint64_t bytes[2];
    uint64_t unchanged; /* passed on unchanged: not ours to translate */
    uint64_t dropped[DROP_REASON_COUNT];
    uint64_t refusals_sent; /* ICMP 3/13 to internal hosts whose packets were dropped */
    uint64_t overloaded;    /* mappings that had to share another one's port */
    uint64_t opened;
    uint64_t adopted; /* of an earlier run; not in `opened` */
    uint64_t not_adopted[ADOPTION_REASON_COUNT];
    uint64_t closed[CLOSE_REASON_COUNT];
};

struct nat;

/*
 * `secret` is 32 random bytes: keys of the hash and of the port choice. `memory` is room
 * for sessions and leases, nat_memory_needed(limits.sessions) bytes, the caller's, aligned to a
 * cache line, zeroed or left by an earlier run (then call nat_adopt); NULL: allocated. NULL without
 * memory.
 */
struct nat *nat_new(const struct policy *policy, const uint8_t secret[32], void *memory,
                    uint64_t now);
size_t nat_memory_needed(uint32_t sessions);
void nat_free(struct nat *nat); /* NULL is fine; the policy stays the caller's */

/*
 * Takes over the sessions and leases that an earlier run left in `memory`, each only if it is sound
 * and the policy and the external addresses still allow it. Call once, after nat_set_external and
 * before any packet. Returns how many sessions; *refused are the others, and why, is in the
 * counters (not_adopted).
 */
uint32_t nat_adopt(struct nat *nat, uint64_t now, uint32_t *refused);

/*
 * The layout of sessions and leases in memory has this number. Another layout needs another number;
 * a unit test fails until it has one.
 */
#define NAT_MEMORY_FORMAT 4u

/*
 * Copies the sessions and leases that an earlier run left in memory for `from_sessions` sessions
 * into zeroed memory for `to_sessions`, for nat_new and nat_adopt. If there is no room for all, the
 * established ones come first. Returns how many sessions were left out.
 */
uint32_t nat_carry(const void *from, uint32_t from_sessions, void *to, uint32_t to_sessions);

/*
 * Decides about packets, one after the other: fills verdict, reason and transit of each, and
 * rewrites its bytes. Many packets in one call are faster than one by one; the number is not
 * limited.
 */
void nat_translate_batch(struct nat *nat, struct packet *packets, size_t count, uint64_t now);

/* The kernel cannot do what VERDICT_REPEAT asks of it: drops and counts the packet. */
void nat_give_up(struct nat *nat, struct packet *packet);

/*
 * Ends sessions that have expired. Looks at no more than `budget` sessions (0: no limit). True when
 * there is more to do now.
 */
bool nat_tick(struct nat *nat, uint64_t now, uint32_t budget);

/*
 * Replaces the policy by a sealed one, at once and for every packet. Sessions that the new policy
 * still allows continue, with its timeouts; no packet passes in the others. limits.sessions has no
 * effect on a table that exists. nat_review must follow until it is done; then the caller may free
 * the old policy.
 */
void nat_set_policy(struct nat *nat, const struct policy *policy);

/*
 * An external interface and its addresses. Its number, by which users of the translator know it, is
 * its place in the list. A host has an external endpoint for each uplink, and which one a packet
 * uses is up to the interface that it leaves by.
 */
#define NAT_UPLINKS_MAX 8
struct uplink {
    uint32_t interface; /* ifindex; 0: it does not exist now */
    const struct address *addresses;
    size_t address_count;
};

/*
 * Sets the uplinks, at once; the number of each must always mean the same one. No packet passes in
 * sessions of other addresses, nor of an address that is another uplink's now. nat_review must
 * follow. False when there were too few slots, because sessions of former addresses still use them:
 * call again when nat_review is done, then they are free. At most NAT_UPLINKS_MAX, and
 * EXTERNAL_ADDRESSES_MAX addresses in total.
 */
bool nat_set_uplinks(struct nat *nat, const struct uplink *uplinks, size_t count);

/* The same for a single uplink. */
bool nat_set_external(struct nat *nat, uint32_t interface_index, const struct address *addresses,
                      size_t count);

/*
 * After nat_set_uplinks: these of the addresses rest, all others do not. Sessions of an address
 * that rests go on, but no new mapping gets it.
 */
void nat_rest_external(struct nat *nat, const struct address *addresses, size_t count);

/*
 * Whether a packet that comes in by an external interface, from an internal address and to a
 * published port, is known to come from there, because the kernel has checked it. Then hosts may be
 * behind an external interface (a one-armed gateway). False at first: such packets are dropped.
 */
void nat_trust_sources(struct nat *nat, bool trust);

/*
 * Interfaces that lead outside and are not external (their ifindexes): what a share sends by one of
 * them is dropped, unless its destination is exempt or in a share itself. At most
 * NAT_OTHER_UPLINKS_MAX are kept.
 */
#define NAT_OTHER_UPLINKS_MAX 32
void nat_set_other_uplinks(struct nat *nat, const uint32_t *interfaces, size_t count);

/* How many packets were dropped for DROP_OTHER_UPLINK at this interface, while it has been one. */
uint64_t nat_other_uplink_drops(const struct nat *nat, uint32_t interface_index);

/*
 * Checks the sessions against the new policy or addresses, at most `budget` of them (0: no limit),
 * and ends those that are no longer allowed. A session is also checked when a packet matches it, so
 * a review may take its time. False when it is done; before that, nothing else may be set. *ended,
 * if not NULL: how many it has ended so far.
 */
bool nat_review(struct nat *nat, uint64_t now, uint32_t budget, uint32_t *ended);

/*
 * How many of the sessions in `count` slots from `from` on a sealed policy would end, with the
 * external addresses of now. Nothing changes.
 */
uint32_t nat_count_ending(const struct nat *nat, const struct policy *next, uint32_t from,
                          uint32_t count);

/*
 * The largest MSS that TCP may offer through this uplink, in bytes; 0: whatever it offers. Hairpins
 * are not changed.
 */
void nat_set_mss_limit(struct nat *nat, uint8_t uplink, uint16_t limit);

/* Ends the session in this slot, if it is still the one with this id. */
bool nat_kill(struct nat *nat, uint32_t slot, uint64_t id, uint64_t now);

/*
 * A lease keeps the mapping of an internal endpoint until `expires` (milliseconds), with or without
 * sessions; the mapping is made if there is none, and *external is its external endpoint. A second
 * call for the same endpoint sets a new time. An endpoint that a forward delivers to needs no
 * lease; *external is filled all the same. DROP_NOT_ALLOWED when no share has the host;
 * DROP_POOL_DRY when there is no port of its own for it; DROP_HOST_LIMIT, DROP_TABLE_FULL,
 * DROP_NO_EXTERNAL_ADDRESS. Who may send to the mapping is up to the filtering of its share. Of
 * several uplinks, it is a mapping of the first one that has an address.
 */
enum drop_reason nat_lease(struct nat *nat, uint8_t protocol, const struct endpoint *internal,
                           uint64_t expires, uint64_t now, struct endpoint *external);

/* Ends a lease; the mapping ends with its last session. False when there is none. */
bool nat_end_lease(struct nat *nat, uint8_t protocol, const struct endpoint *internal,
                   uint64_t now);

/*
 * How many slots there are, of sessions or mappings, whichever are more. A walk over them may
 * release the lock in between; then a slot may hold another session.
 */
uint32_t nat_slots(const struct nat *nat);

/* The session in this slot as users see it; false when the slot is free. */
bool nat_view(const struct nat *nat, uint32_t slot, uint64_t now, struct session_view *view);

/* The mapping in this slot as users see it; false when the slot is free. */
bool nat_view_mapping(const struct nat *nat, uint32_t index, uint64_t now,
                      struct mapping_view *view);

/*
 * A mapping that has this external port at one of the external addresses; false when there is none,
 * also when the port only rests.
 */
bool nat_view_port(const struct nat *nat, uint8_t protocol, uint16_t external_port, uint64_t now,
                   struct mapping_view *view);

/* Totals, for status. */
struct nat_summary {
    uint32_t sessions, sessions_max, mappings, hosts, leases;
    uint32_t outside, outside_max; /* sessions that remotes have opened, without closed ones */
    uint32_t remote_max;           /* of these, that one remote may have */
    struct nat_counters counters;
    uint32_t offloaded, offloaded_max; /* sessions that are in the kernel or on their way */
    size_t offload_memory;             /* bytes of their list, besides nat_memory */
    struct offload_counters offload;
};

void nat_summarize(const struct nat *nat, struct nat_summary *summary);

/*
 * Copies up to `max` events from sequence `*from` on and advances `*from` past them. *lost is how
 * many were overwritten before they were read; *behind says whether there are more now. Returns how
 * many were copied.
 */
size_t nat_read_events(const struct nat *nat, uint64_t *from, struct event *out, size_t max,
                       uint64_t *lost, bool *behind);

/* The sequence number that the next event will have. */
uint64_t nat_next_event(const struct nat *nat);

/* Calls `each` for every array that a packet's lookup reads, with its size in bytes. */
void nat_each_array(const struct nat *nat, void (*each)(void *start, size_t length));

/*
 * Bytes that the translator uses, in total: sessions, mappings, hosts, ports, index, wheel, events.
 * It does not change.
 */
size_t nat_memory(const struct nat *nat);

/* The internal host that has most of something; none when `count` is 0. */
struct nat_most {
    struct address host;
    uint32_t count;
};

/*
 * A walk over all internal hosts, which may release the lock in between. Zeroed but for `share` and
 * `protocol`, which say what mappings count: those of the protocol (0: of all), of hosts that take
 * their ports from this share's pool (POLICY_NONE: of all hosts).
 */
struct nat_survey {
    uint16_t share;
    uint8_t protocol;
    uint32_t next; /* the slot that is looked at next */
    uint32_t seen; /* hosts */
    struct nat_most sessions, mappings;
    uint64_t all_sessions; /* of all hosts */
};

/* Looks at up to `budget` slots of hosts. False when it has looked at all. */
bool nat_survey_hosts(const struct nat *nat, struct nat_survey *survey, uint32_t budget);

/*
 * The remote that has opened the most of the sessions that are there. In rare cases a number stands
 * for two remotes, and the host is the one that has opened the latest. Looks at 1 MB.
 */
struct nat_most nat_busiest_remote(const struct nat *nat);

/* Sessions of a forward that count for its limit, by its index in the policy of now. */
uint32_t nat_forward_use(const struct nat *nat, uint16_t forward);

/* How much of a pool is taken, of the external address that has the fewest free ports. */
struct nat_pool_level {
    struct address address;
    uint32_t used, size;
};

/*
 * True when at least `percent` of the ports of a share's pool are taken or rest, of one external
 * address; then *level says which. As a rule nothing is counted when it is false.
 */
bool nat_pool_is_short(struct nat *nat, uint16_t share, uint8_t protocol, uint32_t percent,
                       uint64_t now, struct nat_pool_level *level);

/*
 * External ports of a share's pool that are taken, over all external addresses, and how many there
 * are.
 */
void nat_pool_use(struct nat *nat, uint16_t share, uint8_t protocol, uint64_t now, uint32_t *used,
                  uint32_t *size);

#endif
