/*
 * policy.h - what the configuration and the run-time forwards allow: shares, forwards, timeouts,
 * limits
 *
 * A policy is filled (policy_add_*), sealed (policy_seal builds the lookup tables) and read-only
 * from then on. A reload builds a new policy and replaces the old one as a whole; no packet sees
 * half of a change. Memory is allocated while a policy is filled, never afterwards.
 *
 * Lookups that packets make cost the same for one forward as for ten thousand: an inbound port is
 * an index into an array, an internal endpoint a binary search.
 */
#ifndef PORTREEVE_POLICY_H
#define PORTREEVE_POLICY_H

#include "portreeve/endpoint.h"

#define POLICY_NAME_MAX     64  /* with the final NUL */
#define POLICY_TEXT_MAX     256 /* owner, note; with the final NUL */
#define POLICY_SHARES_MAX   255
#define POLICY_FORWARDS_MAX 65535
#define POLICY_NONE         UINT16_MAX /* no share, no forward */

/* RFC 4787 section 5: which remote endpoints may send to a mapping. */
enum filtering {
    FILTERING_ENDPOINT_INDEPENDENT,
    FILTERING_ADDRESS_DEPENDENT,
    FILTERING_ADDRESS_AND_PORT_DEPENDENT,
};

struct share {
    char name[POLICY_NAME_MAX];
    struct prefix *source; /* owned by the policy */
    size_t source_count;
    struct port_range *ports; /* the pool, owned by the policy */
    size_t ports_count;
    enum filtering filtering;
    /* 1 + enum filtering, by enum protocol_index; 0: as `filtering` (RFC 7857 section 6) */
    uint8_t filtering_of[PROTOCOL_COUNT];
    bool never_overload; /* with a dry pool TCP is dropped, too, instead of sharing a port between
                            destinations */
    bool keep_parity;    /* RFC 4787 REQ-4: even ports become even ones, odd ones odd */
    bool soft_pairing;   /* RFC 7857 section 4: a host whose address has no port left gets one of
                            another */
    /* RFC 4787 REQ-6: only outbound packets keep a UDP or ICMP session alive */
    bool no_inbound_refresh;
    /* destinations that are not translated (RFC 6888 REQ-6); owned by the policy */
    struct prefix *exempt;
    size_t exempt_count;
    bool open; /* from outside, packets of no session may reach its hosts (struct ruleset_contents)
                */
    uint16_t pool; /* index into pools, set by policy_seal */
};

/* The protocols of a forward: a bit each, by enum protocol_index. */
enum forward_protocols {
#define X(symbol, ...) FORWARD_##symbol = 1 << PROTOCOL_INDEX_##symbol,
    PROTOCOLS_WITH_PORTS(X)
#undef X
};

#define FORWARD_TARGETS_MAX 4

struct forward {
    char name[POLICY_NAME_MAX];
    uint8_t protocols;        /* enum forward_protocols, or-ed */
    bool runtime;             /* added over the control socket, not by the configuration */
    struct port_range listen; /* external ports */
    /* internal endpoints of listen.first; the ports of a range follow one to one */
    struct endpoint target[FORWARD_TARGETS_MAX];
    size_t target_count;  /* at least 1; the configuration gives one so far */
    struct prefix *allow; /* owned by the policy; none: anyone */
    size_t allow_count;
    char owner[POLICY_TEXT_MAX];
    char note[POLICY_TEXT_MAX];
    int64_t expires;       /* seconds since the epoch, 0: never */
    uint32_t sessions;     /* that it may have at one time; 0: no limit of its own */
    uint32_t new_sessions; /* a second, of all remotes; 0: no limit of its own */
    uint32_t line;         /* of the configuration file; 0: of none */
    uint16_t file; /* 0: the configuration itself; otherwise the number of an included file */
};

/* What [never NAME] speaks of: internal endpoints. */
struct promise_target {
    struct prefix address;
    struct port_range ports;
};

/*
 * A promise about the forwards. Never: what comes from `from`, but not from `not_from`, reaches
 * none of `to`. Always: it reaches `target` by the ports `listen`, one to one.
 */
struct promise {
    char name[POLICY_NAME_MAX];
    bool is_always;
    uint8_t protocols;              /* enum forward_protocols, or-ed */
    struct prefix *from, *not_from; /* arrays are owned by the policy; no `from`: everyone */
    size_t from_count, not_from_count;
    struct promise_target *to; /* never */
    size_t to_count;
    struct port_range listen; /* always */
    struct endpoint target;
    uint32_t line; /* of the configuration file */
    uint16_t file; /* as in struct forward */
};

#define POLICY_PROMISES_MAX 256

/* The longest timeout, in seconds; the table's 32-bit clock has room for weeks more. */
#define LONGEST_TIMEOUT (30 * 86400)

/*
 * How long sessions with one port are kept, in seconds: the port that the initiator sends to. UDP
 * after the first answer, TCP while the connection is established.
 */
struct port_timeout {
    uint32_t seconds;
    uint16_t port;
    uint8_t protocol;
};

#define PORT_TIMEOUTS_MAX 64

/* All in seconds. Defaults: policy_new. */
struct timeouts {
    uint32_t udp;             /* RFC 4787 REQ-5: 300 */
    uint32_t tcp_established; /* RFC 5382 REQ-5: 7440 */
    uint32_t tcp_transitory;  /* RFC 5382 REQ-5: 240 */
    uint32_t tcp_opening;     /* 0: as tcp_transitory (RFC 7857 section 2.1) */
    uint32_t tcp_closing;     /* likewise */
    uint32_t address_hold;    /* how long sessions wait for an external address that has gone */
    uint32_t stop_hold; /* how long the rules stay when the daemon has ended; 0: they do not */
    uint32_t port_hold; /* RFC 6888 REQ-8: 120; how long a released port rests */
    uint32_t icmp;      /* RFC 5508 REQ-2: 60 */
    struct port_timeout port[PORT_TIMEOUTS_MAX];
    uint32_t port_count;
};

/* Sets the timeout of a port, also a second time. False when there are PORT_TIMEOUTS_MAX others. */
bool timeouts_set_port(struct timeouts *timeouts, uint8_t protocol, uint16_t port,
                       uint32_t seconds);
/* The timeout of a port; 0 when it has none of its own. */
uint32_t timeouts_of_port(const struct timeouts *timeouts, uint8_t protocol, uint16_t port);

struct limits {
    uint32_t sessions;          /* size of the table */
    uint32_t sessions_per_host; /* sessions that one internal host has opened */
    uint32_t mappings_per_host; /* external ports of one protocol or another that one internal host
                                   may hold; 0: no such limit */
    bool mappings_auto; /* one host leaves room in a pool for the others (src/nat/allocate.c) */
    uint32_t new_sessions_per_host;   /* a second, that one internal host may open; 0: no limit */
    uint32_t sessions_per_remote;     /* that one outside address has opened; 0: no limit */
    uint32_t new_sessions_per_remote; /* a second; 0: no limit */
    uint32_t sessions_from_outside;   /* of all outside addresses together; 0: no limit */
};

/*
 * External ports that mappings are allocated from: the shares' ranges less forwards and less local
 * sockets.
 */
struct pool {
    uint64_t members[65536 / 64]; /* bit p: port p is in the pool */
    uint32_t size;                /* how many */
    uint16_t first, last;         /* the lowest and the highest member; 0 when there is none */
};

static inline bool pool_contains(const struct pool *pool, uint16_t port)
{
    return pool->members[port / 64] >> (port % 64) & 1;
}

struct policy;

/*
 * An empty policy with the default timeouts and limits; NULL without memory. Free with policy_free.
 */
struct policy *policy_new(void);
/* A deep, unsealed copy, to change and seal anew; NULL without memory. */
struct policy *policy_copy(const struct policy *policy);
void policy_free(struct policy *policy);

/*
 * Copies `share` or `forward`, arrays included. False without memory or past POLICY_*_MAX. Whether
 * the new one conflicts with another must be checked by the caller (policy_find_conflict).
 */
bool policy_add_share(struct policy *policy, const struct share *share);
bool policy_add_forward(struct policy *policy, const struct forward *forward);
/* Copies a promise, arrays included. False without memory or past POLICY_PROMISES_MAX. */
bool policy_add_promise(struct policy *policy, const struct promise *promise);
/* False when there is none of that name. */
bool policy_remove_forward(struct policy *policy, const char *name);

/* The forward of this name, or NULL. Works unsealed. */
const struct forward *policy_find_forward(const struct policy *policy, const char *name);

/* The first forward that listens on a port and protocol of `forward`, or NULL. Works unsealed. */
const struct forward *policy_find_conflict(const struct policy *policy,
                                           const struct forward *forward);

/* An external port that a socket of the gateway itself holds: the pools leave it out. */
void policy_exclude_port(struct policy *policy, uint8_t protocol, uint16_t port);

/*
 * A port of a pool that both a mapping and a socket of the gateway have: it stays in the pool, and
 * what neither a session nor the filtering admits there is the gateway's.
 */
void policy_keep_port(struct policy *policy, uint8_t protocol, uint16_t port);

/*
 * Builds the lookup tables. Shares whose ranges are equal have one pool; ranges that overlap
 * without being equal are the caller's error: false. False also without memory.
 */
bool policy_seal(struct policy *policy);

/* Plain access. Indexes are 0-based and stable for a sealed policy. */
struct timeouts *policy_timeouts(struct policy *policy);
const struct timeouts *policy_timeouts_const(const struct policy *policy);
struct limits *policy_limits(struct policy *policy);
const struct limits *policy_limits_const(const struct policy *policy);
size_t policy_share_count(const struct policy *policy);
const struct share *policy_share(const struct policy *policy, size_t index);
size_t policy_forward_count(const struct policy *policy);
const struct forward *policy_forward(const struct policy *policy, size_t index);
size_t policy_promise_count(const struct policy *policy);
const struct promise *policy_promise(const struct policy *policy, size_t index);

/* The rest needs a sealed policy. */

/* What a rate limit still permits. */
struct rate_bucket {
    uint32_t tokens; /* thousandths of a session that may be opened now */
    uint32_t filled; /* when tokens were last added, milliseconds */
};

/*
 * With forward_use.h, the only part of a sealed policy that changes: what is left of a forward's
 * `new_sessions`. The translator with this policy uses it, and begins with a full one after each
 * change of the policy.
 */
struct rate_bucket *policy_forward_bucket(const struct policy *policy, size_t index);

/* The share that `internal` belongs to (the longest prefix wins), or POLICY_NONE. */
uint16_t policy_share_of(const struct policy *policy, const struct address *internal);

/* The forward that listens on this external port, or POLICY_NONE. */
uint16_t policy_forward_at(const struct policy *policy, uint8_t protocol, uint16_t external_port);

/* The internal endpoint that `forward` delivers a new session to this external port to. */
struct endpoint policy_forward_target(const struct forward *forward, uint16_t external_port);

/* True when `forward` delivers this external port to this internal endpoint, as any target of it.
 */
bool policy_forward_delivers(const struct forward *forward, uint16_t external_port,
                             const struct endpoint *internal);

/*
 * The forward that delivers to this internal endpoint, or POLICY_NONE; *external_port is where it
 * listens. A host that sends first from such an endpoint is seen at that port (endpoint-independent
 * mapping).
 */
uint16_t policy_forward_to(const struct policy *policy, uint8_t protocol,
                           const struct endpoint *internal, uint16_t *external_port);

/* True when a forward delivers to this internal host, at any port. */
bool policy_is_target(const struct policy *policy, const struct address *internal);

/* True when `forward` lets `remote` in. */
bool policy_forward_allows(const struct forward *forward, const struct address *remote);

/* Of a share, by protocol: the ids of ICMP queries come from the same ranges as ports. */
const struct pool *policy_pool(const struct policy *policy, uint16_t share, uint8_t protocol);

/* True when the port is a forward's or in any pool: the kernel queues packets to such ports. */
bool policy_is_published(const struct policy *policy, uint8_t protocol, uint16_t external_port);

/* True for a port that policy_keep_port was called for. */
bool policy_keeps_port(const struct policy *policy, uint8_t protocol, uint16_t external_port);

/*
 * The published ports as sorted, disjoint, merged ranges; at most `max` are written. Returns how
 * many there are.
 */
#define POLICY_PUBLISHED_MAX 32768 /* always enough: every second port */
size_t policy_published(const struct policy *policy, uint8_t protocol, struct port_range *ranges,
                        size_t max);

/* Of a share, for a protocol. */
enum filtering share_filtering(const struct share *share, uint8_t protocol);

/* True when what the share's hosts send there is not translated. */
bool share_exempts(const struct share *share, const struct address *destination);

/* True when the address belongs to a share. */
bool policy_is_shared(const struct policy *policy, const struct address *address);

/*
 * True when what `source` sends to `destination` may not leave untranslated: it is shared, and the
 * destination not exempt.
 */
bool policy_must_translate(const struct policy *policy, const struct address *source,
                           const struct address *destination);

/* True when the policy translates this packet of an internal host. */
bool policy_translates(const struct policy *policy, const struct tuple *sent);

/* As in the configuration: "address-dependent" and so on. */
const char *filtering_name(enum filtering filtering);

#endif
