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
    EVENT_ENDED,  /* its exchange has come to its end (enum outcome); the session waits for more */
    EVENT_CLOSED, /* it has left the table */
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

/* An ICMP error: who has sent it, and what it says. */
struct icmp_report {
    struct address from;
    uint8_t type, code; /* type 0: there is none */
};

struct event {
    uint64_t sequence; /* from 1 */
    uint64_t time;     /* the `now` of the core, milliseconds */
    enum event_type type : 8;
    enum close_reason reason : 8; /* of EVENT_CLOSED */
    struct icmp_report icmp;      /* of EVENT_ENDED, of an outcome that it has told */
    uint32_t waited_ms; /* of EVENT_ENDED: since the last packet that kept the session alive */
    struct session_view session;
};

/*
 * What became of the session that an event is about, in a word: its outcome, if it had one;
 * otherwise, of EVENT_CLOSED, "unanswered" if it has expired without an answer, or the reason. NULL
 * when it goes on.
 */
const char *event_outcome_name(const struct event *event);

#endif
