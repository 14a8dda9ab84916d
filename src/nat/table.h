/*
 * table.h - the translation table: sessions, the mappings they share, and the hosts that own them
 *
 * Theory of operation
 *
 * A session is two tuples: what each side sends. A packet that matches one tuple is given the
 * inverse of the other one, at each hook the half of it that may be rewritten there. So source NAT,
 * forwards and hairpins need one mechanism only:
 *
 *              initiator's tuple            responder's tuple
 *   outbound   internal -> remote           remote   -> external
 *   inbound    remote   -> external         internal -> remote
 *   hairpin    internal -> external'        internal' -> external
 *
 * As a last resort, an inbound session's target sees the remote with another port (other_port.h).
 *
 * A hairpin packet passes twice, destination first. Between the passes it carries a tuple that
 * neither side sends (internal -> internal'), so a hairpin session also has a transit key.
 *
 * A mapping is an internal endpoint's external endpoint, shared by all its sessions (RFC 4787
 * REQ-1) and kept as long as it has one. With several uplinks, an internal endpoint has one for
 * each: the route chooses the uplink, and only addresses of that uplink may leave by it. Forwards
 * need none: the policy is their mapping.
 *
 * Invariants
 *   - Arrays are allocated once; a session is found by its slot (a 32-bit index) or, across time,
 *     by its id, which is never used again.
 *   - Every live session is in the index under its tuples, armed in the wheel, and in an age list
 *     if its state may be evicted.
 *   - Of the sessions with one filter key, the first of their list is in the index.
 *   - A mapping's `sessions` counts the sessions that name it; with the last one (and without a
 *     lease) it ends, and its port is released if no mapping shares it.
 *
 * A packet touches one cache line of the index, the first line of the session, and for TCP its
 * second. The order of the fields in struct session follows from that. A million sessions, each
 * with a mapping of its own, take less than 192 bytes each in total: 128 for the session, 24 for
 * its mapping, 23 in the index, the rest for hosts, ports, wheel and events (nat_memory).
 *
 * Times are stored in 32 bits and wrap around; they are read against `now`, which is never further
 * from them than LONGEST_TIMEOUT, or four years.
 *
 * Rejected: one hash of mappings with sessions hanging off it. A mapping with thousands of remotes
 * (a resolver) would make each packet walk them. Cost now: a packet is one hash of 16 bytes and one
 * comparison.
 */
#ifndef PORTREEVE_TABLE_H
#define PORTREEVE_TABLE_H

#include "compact.h"
#include "hash.h"
#include "index.h"
#include "ports.h"
#include "tcp.h"
#include "wheel.h"

/* The lists that a full table evicts from, oldest first: closed sessions, then unanswered ones. */
enum age_list {
    AGE_CLOSED,
    AGE_UNANSWERED,
    AGE_LISTS,
    AGE_NONE = AGE_LISTS,
};

/* What a session is indexed under. */
enum session_key {
    KEY_INITIATOR, /* the initiator's tuple */
    KEY_RESPONDER,
    KEY_FILTER,  /* outbound, hairpin: the initiator and the remote address that it called, for
                    filtering */
    KEY_TRANSIT, /* hairpin: both internal endpoints, the lower first */
    SESSION_KEYS
};

/*
 * A slot is live from the end of its activation to the start of its removal, so that a crash leaves
 * no incomplete session.
 */
enum slot_use {
    SLOT_FREE,
    SLOT_LIVE,
    SLOT_CANDIDATE, /* left by an earlier run, not adopted (yet) */
};

/*
 * What gives one side of a session its external endpoint: nothing (the remote's side), a mapping,
 * or a forward; packed into one number, because a side never has both.
 */
#define SIDE_NONE    INDEX_NONE
#define SIDE_FORWARD UINT32_C(0x80000000) /* + the forward's index; otherwise it is a mapping's */

/* session.offload: not offloaded. Values below these three are an entry's index. */
#define OFFLOAD_NO INDEX_NONE
/* session.offload: of the gateway itself, whose packets the kernel's maps never see. */
#define OFFLOAD_NEVER (INDEX_NONE - 1)
/* session.offload: there was no room, or it has returned; it tries again now and then. */
#define OFFLOAD_LATER (INDEX_NONE - 2)

struct session {
    /* What every packet reads and writes: one cache line. */
    _Alignas(64) struct compact_tuple sent[2]; /* by role: its tuple (session_tuple) */
    uint8_t state : 4;                         /* enum session_state */
    uint8_t direction : 2;                     /* enum direction */
    uint8_t protocol : 2;                      /* enum protocol_index (session_protocol) */
    uint8_t live : 4;                          /* enum slot_use */
    uint8_t outcome : 3;                       /* enum outcome */
    uint8_t outcome_told : 1;                  /* an event has told it */
    uint8_t share; /* of the internal host that a pool serves (session_share) */
    uint8_t epoch; /* the policy and addresses that it was last checked against; see nat_review */
    uint32_t last_seen;      /* milliseconds (session_last_seen) */
    uint64_t bytes[2];       /* by role of the sender; IP lengths */
    uint32_t packets_low[2]; /* by role of the sender (session_packets) */
    uint16_t packets_high[2];
    uint32_t offload; /* its entry, or one of OFFLOAD_ */

    /* What TCP, timers, opening, closing and listing need. */
    struct tcp_track tcp;
    uint16_t wheel_slot : 13;
    uint16_t has_host : 1; /* the initiator is one of a share's hosts and counts this session as its
                              own */
    uint16_t has_remote : 1; /* the initiator is a remote, and this session counts (outside.h) */
    uint32_t side[2];        /* by role (session_mapping, session_forward) */
    struct link wheel_link;
    struct link age_link;
    struct link filter_link; /* the sessions with the same filter key */
    uint32_t created;        /* in units of 64 milliseconds (session_age) */
    uint64_t id : 48;        /* from 1, never used again */
    uint64_t check : 16;     /* seal.h */
};

/* At a million sessions a second, the ids are enough for nine years. */
#define SESSION_ID_MAX ((UINT64_C(1) << 48) - 1)

_Static_assert(sizeof(struct session) == 128, "a session is two cache lines");
_Static_assert(offsetof(struct session, tcp) == 64, "what every packet needs is in the first");
_Static_assert(WHEEL_SLOTS <= 1 << 13 && STATE_COUNT <= 16 && PROTOCOL_COUNT <= 4 &&
                   OUTCOME_COUNT <= 8,
               "bit fields hold their values");

/* As in the IP header; 0 for a stored value that is no protocol. */
static inline uint8_t session_protocol(const struct session *session)
{
    static const uint8_t numbers[4] = {
#define X(symbol, number, ...) [PROTOCOL_INDEX_##symbol] = number,
        PROTOCOLS(X)
#undef X
    };

    return numbers[session->protocol];
}

/* The tuple of what this side sends. */
static inline struct tuple session_tuple(const struct session *session, enum role role)
{
    return compact_tuple_expand(&session->sent[role], session_protocol(session));
}

/* What this side's packets come from and go to. */
static inline struct endpoint session_source(const struct session *session, enum role role)
{
    return compact_endpoint_expand(session->sent[role].source, session->sent[role].source_port);
}

static inline struct endpoint session_destination(const struct session *session, enum role role)
{
    return compact_endpoint_expand(session->sent[role].destination,
                                   session->sent[role].destination_port);
}

/* Of a new session: both tuples, by role, and with them the protocol. */
static inline void session_set_tuples(struct session *session, const struct tuple tuple[2])
{
    session->sent[0] = compact_tuple_of(&tuple[0]);
    session->sent[1] = compact_tuple_of(&tuple[1]);
    assert(protocol_index(tuple[0].protocol) < PROTOCOL_COUNT);
    session->protocol = protocol_index(tuple[0].protocol) & 3;
}

/* The mapping that gives this side its external endpoint, or INDEX_NONE. */
static inline uint32_t session_mapping(const struct session *session, enum role role)
{
    return session->side[role] < SIDE_FORWARD ? session->side[role] : INDEX_NONE;
}

/* The forward that does, or POLICY_NONE. */
static inline uint16_t session_forward(const struct session *session, enum role role)
{
    return session->side[role] < SIDE_FORWARD || session->side[role] == SIDE_NONE
               ? POLICY_NONE
               : (uint16_t)session->side[role];
}

/* One of them, or neither. */
static inline void session_set_side(struct session *session, enum role role, uint32_t mapping,
                                    uint16_t forward)
{
    session->side[role] = forward != POLICY_NONE ? SIDE_FORWARD | forward : mapping;
}

/* A share is stored in a byte: there are at most 255 (POLICY_SHARES_MAX). */
static inline uint16_t session_share(const struct session *session)
{
    return session->share == UINT8_MAX ? POLICY_NONE : session->share;
}

static inline void session_set_share(struct session *session, uint16_t share)
{
    session->share = share == POLICY_NONE ? UINT8_MAX : (uint8_t)share;
}

/*
 * Milliseconds since a packet kept the session alive: 0 if another worker's clock was slightly
 * ahead of `now`.
 */
static inline uint64_t session_idle(const struct session *session, uint64_t now)
{
    uint32_t idle = (uint32_t)now - session->last_seen;

    return idle < UINT32_C(0xf0000000) ? idle : 0;
}

/* When that was, milliseconds. */
static inline uint64_t session_last_seen(const struct session *session, uint64_t now)
{
    return now - session_idle(session, now);
}

/* Milliseconds since the session or the mapping was made, to 64. */
static inline uint64_t stored_age(uint32_t created, uint64_t now)
{
    int32_t age = (int32_t)((uint32_t)(now >> 6) - created);

    return age < 0 ? 0 : (uint64_t)age << 6;
}

static inline uint64_t session_packets(const struct session *session, enum role role)
{
    return (uint64_t)session->packets_high[role] << 32 | session->packets_low[role];
}

static inline void session_count(struct session *session, enum role role, uint64_t packets,
                                 uint64_t bytes)
{
    uint64_t sum = session_packets(session, role) + packets;

    session->bytes[role] += bytes;
    session->packets_low[role] = (uint32_t)sum;
    session->packets_high[role] = (uint16_t)(sum >> 32);
}

/* The list that its state belongs to. */
enum age_list session_age_list(const struct session *session);

/* An internal endpoint's external endpoint. Its address is that of the slot (nat_mapping). */
struct mapping {
    compact_address internal;
    uint16_t internal_port, external_port;
    uint32_t sessions; /* that name it */
    uint32_t sharers;  /* other mappings that share its port, if it is the port's own; of a free
                          slot: the next one */
    uint32_t created;  /* in units of 64 milliseconds (stored_age) */
    uint8_t protocol;  /* as in the IP header; 0: the slot is free */
    uint8_t external_index; /* of the external address: which port space */
    /* shares its external port with another mapping; found by its sessions only */
    uint8_t is_overload : 1;
    uint8_t uplink : 7; /* of the external address: an endpoint has one mapping for each */
    bool leased;        /* stays without sessions (lease.h) */
};

_Static_assert(sizeof(struct mapping) == 24, "a mapping is what it is counted as");

static inline struct endpoint mapping_internal(const struct mapping *mapping)
{
    return compact_endpoint_expand(mapping->internal, mapping->internal_port);
}

struct host {
    compact_address address;
    uint32_t sessions;                 /* that it has opened */
    uint32_t mappings[PROTOCOL_COUNT]; /* by enum protocol_index; with 0 of all, the slot is free */
    /* thousandths of a session that it may open now, under a rate limit; of a free slot: the next
       one */
    uint32_t tokens;
    uint64_t filled; /* when tokens were last added, milliseconds */
};

_Static_assert(sizeof(struct host) == 32, "two hosts share a cache line");

/* Mappings of all protocols that this host has. */
static inline uint32_t host_mappings(const struct host *host)
{
    uint32_t sum = 0;

    for (enum protocol_index p = 0; p < PROTOCOL_COUNT; p++)
        sum += host->mappings[p];
    return sum;
}

static inline bool host_is_used(const struct host *host)
{
    return host->sessions > 0 || host_mappings(host) > 0;
}

struct table {
    struct hash_key key;
    uint32_t capacity; /* sessions */
    uint32_t lease_capacity;
    uint32_t mapping_capacity; /* one for every session, and one for every lease */
    uint32_t host_capacity;
    uint32_t live, mappings_live, hosts_live;
    bool has_candidates; /* nothing has been adopted yet */
    uint64_t next_id;
    struct session *session;
    struct mapping *mapping;
    struct host *host;
    struct index index; /* of all of them */
    uint32_t free_session, free_mapping,
        free_host; /* chained by wheel_link.next, sharers, tokens */
    struct list age[AGE_LISTS];
    struct wheel *wheel;
    struct census *census; /* NULL: nobody counts (census.h) */
};

/*
 * Allocates and touches everything for `capacity` sessions; the sessions themselves lie in
 * `memory`, the caller's. False without memory; then nothing stays allocated.
 */
bool table_init(struct table *table, uint32_t capacity, const struct hash_key *key,
                struct session *memory, uint64_t now);
void table_fini(struct table *table);

/* How many leases there is room for beside so many sessions. */
uint32_t table_leases(uint32_t capacity);

/* Bytes that a table of this capacity takes, its index included. */
size_t table_memory(const struct table *table);

/*
 * Of the session that has this tuple: its slot, and whose tuple it is. INDEX_NONE when there is
 * none.
 */
uint32_t table_find(const struct table *table, const struct tuple *tuple, enum role *role);

/*
 * Hints that these tuples will be looked up soon: then a batch waits for memory once, not once per
 * packet. At most TABLE_PREFETCH_MAX; what is beyond that gets no hint. `for_packets`: their
 * sessions will be used, too.
 */
#define TABLE_PREFETCH_MAX 64
void table_prefetch(const struct table *table, const struct tuple *tuples, size_t count,
                    bool for_packets);

/*
 * Of the hairpin session between these two internal endpoints. *role is the one whose packet goes
 * source -> destination.
 */
uint32_t table_find_transit(const struct table *table, const struct tuple *transit,
                            enum role *role);

/* True when this internal endpoint has a session to `remote` that it opened. */
bool table_has_spoken_to(const struct table *table, uint8_t protocol,
                         const struct endpoint *internal, const struct address *remote);

/*
 * Allocate -> fill -> activate: table_allocate gives a free slot (INDEX_NONE when full) that is not
 * visible yet; after the tuples, direction, state, sides and host are filled in, table_activate
 * indexes and arms it. A slot that is not activated goes back by table_cancel.
 */
uint32_t table_allocate(struct table *table);
void table_cancel(struct table *table, uint32_t slot);
void table_activate(struct table *table, uint32_t slot, uint32_t timeout, uint64_t now);

/* Gives a session the check value (seal.h) of what it is; true when it has it. */
void table_seal(struct session *session);
bool table_is_whole(const struct session *session);

/*
 * Adoption: table_readmit indexes and arms a candidate whose fields have been verified;
 * table_end_adoption makes every slot that is not live a free one.
 */
void table_readmit(struct table *table, uint32_t slot, uint64_t due_ms);
void table_end_adoption(struct table *table);

/*
 * Takes a live session out of every index and frees its slot. The caller releases mappings and
 * hosts.
 */
void table_remove(struct table *table, uint32_t slot);

/*
 * The responder becomes the initiator: exchanges all that is held by role, and the keys with it. An
 * inbound session becomes outbound, and the other way round.
 */
void table_reverse(struct table *table, uint32_t slot);

/* Puts the session into the age list that its state belongs to. */
void table_set_state(struct table *table, uint32_t slot, enum session_state state);

/*
 * Arms a live session anew for when it may expire; table_arm is for a session that wheel_take_due
 * has just returned.
 */
void table_rearm(struct table *table, uint32_t slot, uint64_t due_ms);
void table_arm(struct table *table, uint32_t slot, uint64_t due_ms);

/*
 * What is wrong with the places of a live session: a bit for each. Of a free slot: TABLE_NOT_FREE.
 */
enum table_wrong {
    TABLE_NOT_INDEXED = 1,  /* by a tuple or its transit key */
    TABLE_NOT_FILTERED = 2, /* by its filter key */
    TABLE_NOT_ARMED = 4,    /* in the wheel */
    TABLE_NOT_IN_AGE_LIST = 8,
    TABLE_NOT_FREE = 16,
};
unsigned table_wrongs(const struct table *table, uint32_t slot);

/* The oldest session of an age list, and the one after `slot` in it. INDEX_NONE at the end. */
uint32_t table_oldest(const struct table *table, enum age_list list);
uint32_t table_younger(const struct table *table, uint32_t slot);

/*
 * Mappings, by their internal endpoint and uplink; by the external one the port spaces know them
 * (mapping_find_external). Find returns INDEX_NONE when there is none; add likewise when there is
 * no room (never while sessions fit).
 */
uint32_t mapping_find_internal(const struct table *table, uint8_t protocol,
                               const struct endpoint *internal, uint8_t uplink);
uint32_t mapping_add(struct table *table, const struct mapping *mapping);
void mapping_remove(struct table *table, uint32_t index);

/* The host's slot, or INDEX_NONE when it has neither sessions nor mappings. */
uint32_t host_find(const struct table *table, const struct address *address);
/*
 * Counts one more session of this host; INDEX_NONE when it has `limit` or no host fits. host_put
 * counts one less.
 */
uint32_t host_get(struct table *table, const struct address *address, uint32_t limit);
void host_put(struct table *table, uint32_t index);
/* The same for mappings (RFC 6888 REQ-4); `limit` is for all protocols together. */
uint32_t host_get_mapping(struct table *table, const struct address *address, uint8_t protocol,
                          uint32_t limit);
void host_put_mapping(struct table *table, uint32_t index, uint8_t protocol);
/*
 * True when the host may open one more session now, of `rate` a second; a burst of one second's
 * worth is fine.
 */
bool host_take_token(struct table *table, uint32_t index, uint32_t rate, uint64_t now);
/* The same, but it takes none. */
bool host_has_token(struct table *table, uint32_t index, uint32_t rate, uint64_t now);
/* How many sessions this host has opened. */
uint32_t host_sessions(const struct table *table, const struct address *address);

#endif
