/*
 * refusals.h - the latest dropped packets: who was refused what, and why
 *
 * In bounded memory, and so that a flood of forged sources to one port does not sweep away what is
 * known of others: src/nat/refusals.c.
 */
#ifndef PORTREEVE_REFUSALS_H
#define PORTREEVE_REFUSALS_H

#include "portreeve/nat.h"

/*
 * Packets of one protocol that came from one address and were dropped for one reason; from outside,
 * also to one port.
 */
struct refusal {
    uint64_t first, last; /* the `now` of the core, milliseconds */
    uint32_t count;       /* 0: the entry is free */
    uint32_t mark;        /* of the translator, to find it */
    struct address from;
    struct endpoint to; /* of the last packet; port 0: it has none */
    uint8_t protocol;
    uint8_t reason; /* enum drop_reason */
    bool from_inside;
};

#define REFUSALS_MAX 1024

/*
 * Copies all entries that are used, in no order, to room for REFUSALS_MAX. Returns how many;
 * *others is how many packets were dropped that no entry counts any more.
 */
size_t nat_refusals(const struct nat *nat, struct refusal *out, uint64_t *others);

#endif
