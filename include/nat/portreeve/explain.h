/*
 * explain.h - what the translator would do with the first packet of a connection
 *
 * The same code decides that decides on packets; nothing changes by asking.
 */
#ifndef PORTREEVE_EXPLAIN_H
#define PORTREEVE_EXPLAIN_H

#include "portreeve/nat.h"

struct explain_question {
    uint8_t protocol;         /* with ports */
    struct endpoint from, to; /* as its sender sends it; port 0 of `from`: any */
    /* to an external address: it comes in by the uplink, if its sender is in no share; otherwise it
       leaves by it */
    bool from_outside;
    uint8_t uplink;
};

struct explanation {
    bool is_ours; /* false: it is not translated; from outside, the gateway itself gets it */
    enum drop_reason reason;  /* DROP_NONE: it passes, and so does what follows */
    uint16_t forward;         /* that its port belongs to, or POLICY_NONE */
    uint16_t share;           /* whose host it is from or to, or POLICY_NONE */
    struct endpoint internal; /* from outside: where it goes; all zeros: nowhere */
};

void nat_explain(struct nat *nat, const struct explain_question *question, uint64_t now,
                 struct explanation *explanation);

/* What became of the connections to an external port that the table still knows. */
struct explain_seen {
    uint32_t tries;
    uint32_t established; /* or answered, of UDP */
    uint32_t refused, unreachable;
    uint32_t unanswered; /* for a second or longer */
    /* of the one that was opened last */
    bool last_is_established, last_is_refused, last_is_unreachable;
    uint64_t last_age_ms;
};

/*
 * Counts those in `slots` slots from `from` on, that were opened in the last ten minutes, into
 * `seen`, which is zeroed before the first call.
 */
void nat_explain_seen(const struct nat *nat, uint8_t protocol, uint16_t external_port,
                      uint32_t from, uint32_t slots, uint64_t now, struct explain_seen *seen);

#endif
