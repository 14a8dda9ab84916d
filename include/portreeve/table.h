/*
 * table.h - the translation table: sessions, the mappings they share, and the hosts that own them
 *
 * Theory of operation
 *
 * A session is two tuples: what each side sends. A packet that matches one tuple is given the inverse of the other
 * one, at each hook the half of it that may be rewritten there. So source NAT, forwards and hairpins are one
 * mechanism:
 *
 *              initiator's tuple            responder's tuple
 *   outbound   internal -> remote           remote   -> external
 *   inbound    remote   -> external         internal -> remote
 *   hairpin    internal -> external'        internal' -> external
 *
 * A hairpin packet passes twice, destination first. Between the passes it carries a tuple that neither side sends,
 * (internal -> internal'), so a hairpin session has a transit key for it as well.
 *
 * A mapping is an internal endpoint's external endpoint, shared by all its sessions (RFC 4787 REQ-1) and kept as
 * long as it has one. Forwards need none: the policy is their mapping.
 *
 * Invariants
 *   - Arrays are allocated once; a session is found by its slot (a 32-bit index) or, across time, by its id, which
 *     is never used again.
 *   - Every live session is in the index under its tuples, armed in the wheel, and in an age list if it may be evicted.
 *   - A mapping's `sessions` counts the sessions that name it; with the last it goes, and its port with it.
 *
 * Rejected: one hash of mappings with sessions hanging off it. A mapping with thousands of remotes (a resolver) would
 * make each packet walk them. Cost now: a packet is one hash of 38 bytes and, at load 1, 1.5 comparisons.
 */
#ifndef PORTREEVE_TABLE_H
#define PORTREEVE_TABLE_H

#include "portreeve/hash.h"
#include "portreeve/ports.h"
#include "portreeve/tcp.h"
#include "portreeve/wheel.h"

#define EXTERNAL_ADDRESSES_MAX 16

enum direction {
    DIRECTION_OUTBOUND,
    DIRECTION_INBOUND,
    DIRECTION_HAIRPIN,
};

const char *direction_name(enum direction direction);

/* The lists that a full table evicts from, oldest first: closed sessions, then unanswered ones. */
enum age_list {
    AGE_CLOSED,
    AGE_UNANSWERED,
    AGE_LISTS,
    AGE_NONE = AGE_LISTS,
};

/* What a session is indexed under. */
enum session_key {
    KEY_INITIATOR, /* tuple[ROLE_INITIATOR] */
    KEY_RESPONDER,
    KEY_FILTER,  /* outbound, hairpin: the initiator and the remote address that it called, for filtering */
    KEY_TRANSIT, /* hairpin: both internal endpoints, the lower first */
    SESSION_KEYS
};

/* A slot is live from the end of its activation to the start of its removal, so that a crash leaves no half session. */
enum slot_use {
    SLOT_FREE,
    SLOT_LIVE,
    SLOT_CANDIDATE, /* left by an earlier run, not adopted (yet) */
};

struct session {
    struct tuple tuple[2]; /* by role */
    uint8_t direction;     /* enum direction */
    uint8_t state;         /* enum session_state */
    uint8_t age_list;      /* enum age_list */
    uint8_t live;          /* enum slot_use */
    uint8_t epoch;         /* the policy and addresses that it was last held against; see nat_review */
    uint16_t wheel_slot;
    uint16_t share;        /* of the internal host that a pool serves, or POLICY_NONE */
    uint16_t forward[2];   /* by role: the forward that states this side's external endpoint, or POLICY_NONE */
    uint32_t mapping[2];   /* by role: the mapping that does; INDEX_NONE */
    uint32_t key_next[SESSION_KEYS]; /* hash chains */
    struct link wheel_link;
    struct link age_link;
    uint32_t offload; /* its entry, see offload.h */
    uint32_t host; /* that opened it, when it is one of a share's; INDEX_NONE */
    uint64_t id;         /* from 1, never used again */
    uint64_t created, last_seen; /* milliseconds */
    uint64_t packets[2], bytes[2]; /* by role of the sender; IP lengths */
    struct tcp_track tcp;
};

struct mapping {
    struct endpoint internal, external;
    uint8_t protocol;
    uint8_t external_index; /* of the external address: which port space */
    bool is_overload;       /* shares its external port with another mapping; found by its sessions only */
    uint32_t host;     /* whose it is */
    uint32_t sessions; /* 0: the slot is free */
    uint32_t internal_next, external_next; /* hash chains */
    uint64_t created;                      /* milliseconds */
};

struct host {
    struct address address;
    uint32_t sessions; /* that it has opened */
    uint32_t mappings; /* with 0 of both, the slot is free */
    uint32_t next;
    uint64_t tokens; /* thousandths of a session that it may open now, under a rate limit */
    uint64_t filled; /* when tokens were last added, milliseconds */
};

struct table {
    struct hash_key key;
    uint32_t capacity; /* sessions, and mappings */
    uint32_t host_capacity;
    uint32_t live, mappings_live, hosts_live;
    uint32_t bucket_mask;
    uint64_t next_id;
    struct session *session;
    bool session_is_ours; /* allocated here */
    struct mapping *mapping;
    struct host *host;
    uint32_t *bucket;          /* node = slot * SESSION_KEYS + key */
    uint32_t *internal_bucket; /* mappings by internal endpoint */
    uint32_t *external_bucket; /* mappings by external endpoint */
    uint32_t *host_bucket;
    uint32_t free_session, free_mapping, free_host; /* chained by key_next[0], internal_next, next */
    struct list age[AGE_LISTS];
    struct wheel *wheel;
};

/*
 * Allocates and touches everything for `capacity` sessions; the sessions themselves lie in `memory` if it is not NULL.
 * False without memory; then nothing is left behind.
 */
bool table_init(struct table *table, uint32_t capacity, const struct hash_key *key, struct session *memory,
                uint64_t now);
void table_fini(struct table *table);

/* Bytes that a table of this capacity takes, indexes included. */
size_t table_memory(const struct table *table);

/* Of the session that has this tuple: its slot, and whose tuple it is. INDEX_NONE when there is none. */
uint32_t table_find(const struct table *table, const struct tuple *tuple, enum role *role);

/* Of the hairpin session between these two internal endpoints. *role is the one whose packet goes source -> destination. */
uint32_t table_find_transit(const struct table *table, const struct tuple *transit, enum role *role);

/* True when this internal endpoint has a session to `remote` that it opened. */
bool table_has_spoken_to(const struct table *table, uint8_t protocol, const struct endpoint *internal,
                         const struct address *remote);

/*
 * Allocate -> fill -> activate: table_allocate gives a free slot (INDEX_NONE when full) that nobody else sees;
 * after the tuples, direction, state, mappings and host are filled in, table_activate indexes and arms it. A slot
 * that is not activated goes back by table_cancel.
 */
uint32_t table_allocate(struct table *table);
void table_cancel(struct table *table, uint32_t slot);
void table_activate(struct table *table, uint32_t slot, uint32_t timeout, uint64_t now);

/*
 * Adoption: table_readmit indexes and arms a candidate whose fields have been verified; table_end_adoption makes every slot
 * that is not live a free one.
 */
void table_readmit(struct table *table, uint32_t slot, uint64_t due_ms);
void table_end_adoption(struct table *table);

/* Takes a live session out of every index and frees its slot. Mappings and hosts are the caller's to put. */
void table_remove(struct table *table, uint32_t slot);

/*
 * The responder becomes the initiator: exchanges all that is held by role, and the keys with it. What had been inbound is
 * outbound, and the other way round.
 */
void table_reverse(struct table *table, uint32_t slot);

/* Puts the session into the age list that its state belongs to. */
void table_set_state(struct table *table, uint32_t slot, enum session_state state);

/* Arms a live session anew for when it may expire. */
void table_rearm(struct table *table, uint32_t slot, uint64_t due_ms);

/* The oldest session of an age list, and the one after `slot` in it. INDEX_NONE at the end. */
uint32_t table_oldest(const struct table *table, enum age_list list);
uint32_t table_younger(const struct table *table, uint32_t slot);

/* Mappings. Find returns INDEX_NONE when there is none; add likewise when there is no room (never while sessions fit). */
uint32_t mapping_find_internal(const struct table *table, uint8_t protocol, const struct endpoint *internal);
uint32_t mapping_find_external(const struct table *table, uint8_t protocol, const struct endpoint *external);
/* True when another mapping has this one's external endpoint as well (RFC 7857 section 3). */
bool mapping_shares_port(const struct table *table, uint32_t index);
uint32_t mapping_add(struct table *table, const struct mapping *mapping);
void mapping_remove(struct table *table, uint32_t index);

/* Counts one more session of this host; INDEX_NONE when it has `limit` or no host fits. host_put counts one less. */
uint32_t host_get(struct table *table, const struct address *address, uint32_t limit);
void host_put(struct table *table, uint32_t index);
/* The same for mappings (RFC 6888 REQ-4). */
uint32_t host_get_mapping(struct table *table, const struct address *address, uint32_t limit);
void host_put_mapping(struct table *table, uint32_t index);
/* True when the host may open one more session now, of `rate` a second; a burst of one second's worth is fine. */
bool host_take_token(struct table *table, uint32_t index, uint32_t rate, uint64_t now);
/* How many sessions this host has opened. */
uint32_t host_sessions(const struct table *table, const struct address *address);

#endif
