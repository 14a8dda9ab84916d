/*
 * grace.h - external addresses that have gone a moment ago, and may come back
 *
 * ifdown and ifup, or a DHCP client that renews its lease, remove an address and add it again.
 * Sessions wait that long for their address: they go on as if it were there, but no new mapping
 * gets it. They do not wait if another address has taken its place.
 */
#ifndef PORTREEVE_GATEWAY_GRACE_H
#define PORTREEVE_GATEWAY_GRACE_H

#include "portreeve/endpoint.h"
#include "portreeve/nat.h"

struct grace {
    struct address address[EXTERNAL_ADDRESSES_MAX];
    uint64_t end[EXTERNAL_ADDRESSES_MAX]; /* gateway_now: then it is over */
    size_t count;
    uint64_t new_until; /* gateway_now; until then, another address has just come */
};

/* What a change of addresses looks like. Several addresses may have gone or come at once. */
struct grace_change {
    const struct address *before; /* in use until now, without those of the grace */
    size_t before_count;
    const struct address *present; /* all that the interface has now */
    size_t present_count;
    const struct address *chosen; /* those of them that are in use now */
    size_t chosen_count;
};

/*
 * After a reading of the addresses at `now`: those that have gone get a grace of `hold_ms`; those
 * that are back, and those whose grace is over, lose it. An address that is new (neither in use
 * before nor in the grace) ends the grace of all; those that go within `hold_ms` after it, while
 * the interface has any, have made way for it and get none.
 */
void grace_follow(struct grace *grace, const struct grace_change *change, uint32_t hold_ms,
                  uint64_t now);

/* Ends the grace of one address. */
void grace_end(struct grace *grace, size_t index);

/* True when the grace of an address is over: then the addresses must be read again. */
bool grace_is_due(const struct grace *grace, uint64_t now);

#endif
