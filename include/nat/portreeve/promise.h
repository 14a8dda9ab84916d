/*
 * promise.h - what no change of the forwards may break
 *
 * Decided exactly, over all addresses and ports: the sets that a promise and a forward speak of are
 * made of prefixes and ranges, so whether two of them meet is decided at their borders.
 */
#ifndef PORTREEVE_PROMISE_H
#define PORTREEVE_PROMISE_H

#include "portreeve/policy.h"

/* Why a promise does not hold, with a packet that shows it. */
enum breach_kind {
    BREACH_REACHES,      /* never: the forward delivers it there */
    BREACH_FILTERING,    /* never: a share's filtering lets everyone in to what a host sends from */
    BREACH_NO_FORWARD,   /* always: no forward has the port */
    BREACH_OTHER_TARGET, /* always: it goes to another endpoint */
    BREACH_NOT_ALLOWED,  /* always: the forward's allow does not have the sender */
    BREACH_EXPIRES,      /* always: the forward ends some day */
};

struct breach {
    enum breach_kind kind;
    const struct promise *promise;
    const struct forward *forward; /* NULL of BREACH_FILTERING and BREACH_NO_FORWARD */
    const struct share *share;     /* of BREACH_FILTERING */
    uint8_t protocol;
    struct address from;      /* not of BREACH_FILTERING: anybody */
    uint16_t external_port;   /* not of BREACH_FILTERING */
    struct endpoint internal; /* where it goes, if it goes anywhere */
};

/* True if the promise does not hold under this policy, which may be unsealed. */
bool promise_is_broken(const struct policy *policy, const struct promise *promise,
                       struct breach *breach);

/* True if a forward, of the policy or not, would break one of its promises. */
bool promise_forbids(const struct policy *policy, const struct forward *forward,
                     struct breach *breach);

#endif
