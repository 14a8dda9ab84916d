/*
 * event.h - what happens to sessions and mappings, in a bounded ring
 *
 * The table's one place of change publishes here; readers follow by sequence number. A reader that
 * falls behind by more than the ring holds is told how many events it lost: nothing is lost in
 * silence.
 */
#ifndef PORTREEVE_EVENT_H
#define PORTREEVE_EVENT_H

#include "portreeve/table.h"

#define EVENT_RING 4096

enum event_type {
    EVENT_OPENED,
    EVENT_ESTABLISHED,
    EVENT_CLOSED,
};

/* Why a session ended. */
enum close_reason {
    CLOSE_NONE,
    CLOSE_EXPIRED,   /* its timeout */
    CLOSE_KILLED,    /* an operator */
    CLOSE_EVICTED,   /* the table was full */
    CLOSE_RECLAIMED, /* the pool was dry, and the connection was closed */
    CLOSE_POLICY,    /* the configuration no longer allows it */
    CLOSE_ADDRESS,   /* its external address has gone */
    CLOSE_ANSWERED,  /* a refused hairpin: a later session of both hosts goes on instead */
    CLOSE_REASON_COUNT
};

const char *event_type_name(enum event_type type);
const char *close_reason_name(enum close_reason reason);

/* A session as users see it: by viewpoint, with names, independent of the table it came from. */
struct session_view {
    uint64_t id;
    uint8_t protocol;
    enum session_state state;
    enum direction direction;
    struct endpoint internal, external, remote;
    struct endpoint peer; /* hairpin: the other internal endpoint */
    char share[POLICY_NAME_MAX], forward[POLICY_NAME_MAX]; /* empty: none */
    uint64_t age_ms, idle_ms, expires_in_ms;               /* the age to 64 milliseconds */
    /* out: what the internal endpoint has sent */
    uint64_t packets_out, packets_in, bytes_out, bytes_in;
    bool offloaded; /* the kernel rewrites it by itself */
};

struct event {
    uint64_t sequence; /* from 1 */
    uint64_t time;     /* the `now` of the core, milliseconds */
    enum event_type type;
    enum close_reason reason; /* of EVENT_CLOSED */
    struct session_view session;
};

struct event_ring {
    struct event *event; /* EVENT_RING of them */
    uint64_t next;       /* sequence of the next event */
};

/*
 * Copies up to `max` events from sequence `*from` on and advances `*from` past them. *lost is how
 * many had been overwritten before they were read. Returns how many were copied.
 */
size_t event_read(const struct event_ring *ring, uint64_t *from, struct event *out, size_t max,
                  uint64_t *lost);

#endif
