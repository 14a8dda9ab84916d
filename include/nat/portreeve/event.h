/*
 * event.h - what happens to sessions and mappings, in a bounded ring
 *
 * Every change of the table is published here. Readers follow by sequence number. A reader that
 * falls behind by more than the ring holds learns how many events it has lost.
 */
#ifndef PORTREEVE_EVENT_H
#define PORTREEVE_EVENT_H

#include "portreeve/view.h"

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
    CLOSE_ADDRESS,   /* the gateway no longer has its external address */
    CLOSE_ANSWERED,  /* a refused hairpin: a later session of both hosts goes on instead */
    CLOSE_REASON_COUNT
};

const char *event_type_name(enum event_type type);
const char *close_reason_name(enum close_reason reason);

struct event {
    uint64_t sequence; /* from 1 */
    uint64_t time;     /* the `now` of the core, milliseconds */
    enum event_type type;
    enum close_reason reason; /* of EVENT_CLOSED */
    struct session_view session;
};

#endif
