/*
 * nat.h - the translator: packets and time in, verdicts out
 *
 * One struct nat is a whole gateway. It is not thread-safe: the caller holds one lock around each
 * call (workers take it once a batch, and never across a system call). Time is `now`, milliseconds
 * of a clock that does not go back, handed in by the caller. Nothing here does a system call, and
 * nothing allocates after nat_new.
 */
#ifndef PORTREEVE_NAT_H
#define PORTREEVE_NAT_H

#include "portreeve/event.h"
#include "portreeve/offload.h"
#include "portreeve/packet.h"
#include "portreeve/policy.h"
#include "portreeve/table.h"

/* Counters of IP ids; destinations share them by a hash, as in the kernel. */
#define NAT_IP_IDS 1024

/* Everything counted since the start. */
struct nat_counters {
    uint64_t packets[2]; /* rewritten, by enum packet_hook; a hairpin packet counts at both */
    uint64_t bytes[2];
    uint64_t unchanged; /* passed on as they came: not for us */
    uint64_t dropped[DROP_REASON_COUNT];
    uint64_t told;       /* dropped packets whose senders were told */
    uint64_t overloaded; /* mappings that had to share another one's port */
    uint64_t opened;
    uint64_t adopted; /* of an earlier run; not in `opened` */
    uint64_t closed[CLOSE_REASON_COUNT];
};

struct nat {
    struct table table;
    const struct policy *policy;        /* sealed; the caller's */
    const struct policy *policy_before; /* while a review goes on: the one that its sessions'
                                           indexes mean; or NULL */
    uint8_t epoch;         /* of the sessions that this policy and these addresses allow */
    uint32_t review_slot;  /* where the review goes on */
    uint32_t review_ended; /* sessions that it has ended */
    struct random random;
    /* a slot keeps its address while the gateway has it */
    struct address external[EXTERNAL_ADDRESSES_MAX];
    bool external_valid[EXTERNAL_ADDRESSES_MAX];
    bool external_leaves[EXTERNAL_ADDRESSES_MAX]; /* gone; sessions may still name it, so the slot
                                                     is not free yet */
    size_t external_count;
    uint32_t external_interface; /* ifindex */
    uint16_t mss_limit;          /* of TCP connections with the outside; 0: none */
    struct port_space *ports;    /* PROTOCOL_COUNT for each external slot */
    struct event_ring events;
    struct offload offload;
    uint16_t next_ip_id[NAT_IP_IDS]; /* by a hash of the destination */
    uint32_t tell_tokens;            /* refusals that may be told now */
    uint64_t tell_filled;            /* when tokens were last added, milliseconds */
    struct nat_counters counters;
};

/*
 * `secret` is 32 random bytes: keys of the hash and of the port choice. `memory` is room for
 * limits.sessions sessions, the caller's, zeroed or left by an earlier run (then call nat_adopt);
 * NULL: allocated. NULL without memory.
 */
struct nat *nat_new(const struct policy *policy, const uint8_t secret[32], struct session *memory,
                    uint64_t now);
void nat_free(struct nat *nat); /* NULL is fine; the policy stays the caller's */

/*
 * Takes over the sessions that an earlier run left in `memory`, each only if it is sound and the
 * policy and the external addresses still allow it. Call once, after nat_set_external and before
 * any packet. Returns how many; *refused are the others.
 */
uint32_t nat_adopt(struct nat *nat, uint64_t now, uint32_t *refused);

/*
 * Hints that these packets will be translated now, one after the other: what each needs of a table
 * that is far larger than the processor's caches is then on its way while the others are served. At
 * most TABLE_PREFETCH_MAX.
 */
void nat_prefetch(const struct nat *nat, const struct packet *packets, size_t count);

/* Decides about one packet: fills its verdict, reason and transit, and rewrites its bytes. */
void nat_translate(struct nat *nat, struct packet *packet, uint64_t now);

/*
 * Ends sessions whose time has come, at most `budget` looks at a session (0: no bound). True when
 * there is more to do now.
 */
bool nat_tick(struct nat *nat, uint64_t now, uint32_t budget);

/*
 * Exchanges the policy (sealed), at once and for every packet: sessions that the new one still
 * allows go on, with its timeouts; the others pass no packet any more. limits.sessions has no
 * effect on a table that exists. nat_review must follow until it is done; then the old policy is
 * the caller's to free.
 */
void nat_set_policy(struct nat *nat, const struct policy *policy);

/*
 * The external interface's index and addresses, at once. Sessions of an address that has gone pass
 * no packet any more. When nat_review, which must follow, is done, slots of such addresses are
 * free: call again for those that found none (nat->external_count is less than `count`).
 */
void nat_set_external(struct nat *nat, uint32_t interface_index, const struct address *addresses,
                      size_t count);

/*
 * Holds the sessions against what was set, at most `budget` of them (0: no bound), and ends those
 * that are no longer allowed. A session that a packet meets first is looked at then, so a review
 * may take its time. False when it is done; until then nothing may be set. *ended, if not NULL: how
 * many it has ended, by now.
 */
bool nat_review(struct nat *nat, uint64_t now, uint32_t budget, uint32_t *ended);

/*
 * The largest MSS that TCP may offer through the gateway, in bytes; 0: whatever it offers. Hairpins
 * are left alone.
 */
void nat_set_mss_limit(struct nat *nat, uint16_t limit);

/* Ends a live session. */
void nat_kill(struct nat *nat, uint32_t slot, uint64_t now);

/*
 * The session in this slot (0 .. table.capacity - 1) as users see it; false when the slot is free.
 */
bool nat_view(const struct nat *nat, uint32_t slot, uint64_t now, struct session_view *view);

/* A mapping as users see it; false when the slot (0 .. table.capacity - 1) is free. */
struct mapping_view {
    struct endpoint internal, external;
    uint8_t protocol;
    uint16_t share; /* its index in the policy */
    uint32_t sessions;
    uint64_t age_ms; /* to 64 milliseconds */
};

bool nat_view_mapping(const struct nat *nat, uint32_t index, uint64_t now,
                      struct mapping_view *view);

/*
 * Bytes that the translator takes, all in: sessions, mappings, hosts, ports, index, wheel, events.
 * It does not change.
 */
size_t nat_memory(const struct nat *nat);

/*
 * External ports of a share's pool that are taken, over all external addresses, and how many there
 * are.
 */
void nat_pool_use(struct nat *nat, uint16_t share, uint8_t protocol, uint64_t now, uint32_t *used,
                  uint32_t *size);

#endif
