/*
 * nat_internal.h - what a translator consists of, for the files of the core
 */
#ifndef NAT_INTERNAL_H
#define NAT_INTERNAL_H

#include "event_internal.h"
#include "lease.h"
#include "offload_entries.h"
#include "portreeve/nat.h"
#include "table.h"

/* Counters of IP ids; destinations share them by a hash, as in the kernel. */
#define NAT_IP_IDS 1024

/* An interface that leads outside and is not external. */
struct other_uplink {
    uint32_t interface; /* ifindex */
    uint64_t dropped;   /* packets, for DROP_OTHER_UPLINK */
};

struct refusal;

/* What remotes with one hash have. */
struct remote_count {
    uint32_t sessions;
    compact_address latest; /* who has opened the last one */
    struct rate_bucket bucket;
};

/* Sessions that remotes have opened and that are not closed (outside.h). */
struct outside {
    uint32_t sessions;
    struct remote_count *remote; /* by a hash of the address */
    uint32_t *forward;           /* sessions, by the forward's index in the policy of now */
};

struct nat {
    struct table table;
    void *memory;                       /* of sessions and leases; NULL: the caller's */
    const struct policy *policy;        /* sealed; the caller's */
    const struct policy *policy_before; /* during a review: the policy that the indexes in unchecked
                                           sessions refer to; else NULL */
    uint8_t epoch;         /* of the sessions that this policy and these addresses allow */
    uint32_t review_slot;  /* the next slot that the review checks */
    uint32_t review_ended; /* sessions that it has ended */
    struct random random;
    /* a slot keeps its address while the gateway has it */
    struct address external[EXTERNAL_ADDRESSES_MAX];
    bool external_valid[EXTERNAL_ADDRESSES_MAX];
    bool external_leaves[EXTERNAL_ADDRESSES_MAX]; /* the address is gone, but sessions may still use
                                                     the slot */
    bool external_rests[EXTERNAL_ADDRESSES_MAX];  /* sessions keep it, new mappings do not get it */
    size_t external_count;                        /* valid ones that do not rest */
    uint8_t external_uplink[EXTERNAL_ADDRESSES_MAX]; /* which uplink's address it is */
    struct {
        uint32_t interface;   /* ifindex; 0: none now */
        uint16_t mss_limit;   /* of TCP connections with the outside; 0: none */
        size_t address_count; /* valid ones that do not rest */
    } uplink[NAT_UPLINKS_MAX];
    bool trusts_sources; /* an internal source is not forged, wherever it comes from */
    size_t uplink_count; /* at least 1 after nat_set_uplinks */
    struct other_uplink other_uplink[NAT_OTHER_UPLINKS_MAX];
    size_t other_uplink_count;
    struct port_space *ports; /* PROTOCOL_COUNT for each external slot */
    struct event_ring events;
    struct offload offload;
    struct leases leases;
    struct outside outside;
    struct {
        struct refusal *entry; /* REFUSALS_MAX */
        uint64_t others;       /* dropped packets that no entry counts any more */
    } refusals;
    uint16_t next_ip_id[NAT_IP_IDS]; /* by a hash of the destination */
    uint32_t refusal_tokens;         /* refusals that may be sent now */
    uint64_t refusal_filled;         /* when tokens were last added, milliseconds */
    struct nat_counters counters;
};

#endif
