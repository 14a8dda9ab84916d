/*
 * event.h - what happens to sessions and mappings, in a bounded ring
 *
 * The table has one place that changes sessions, and it publishes each event here. A reader keeps
 * the number of the next event that it wants. If it reads too slowly and the ring has overwritten
 * events, it gets the number of the events that it has lost.
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
    CLOSE_EXPIRED,   /* no packets for the time of its timeout */
    CLOSE_KILLED,    /* by an operator */
    CLOSE_EVICTED,   /* the table was full */
    CLOSE_RECLAIMED, /* its connection was closed, and its port was needed */
    CLOSE_POLICY,    /* the configuration no longer allows it */
    CLOSE_ADDRESS,   /* its external address no longer exists */
    CLOSE_REROUTED,  /* its packets leave by another uplink now */
    CLOSE_REPLACED,  /* a dropped hairpin: one session of both hosts replaces it; or its connection
                        was closed, and a new session needs its endpoints */
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
