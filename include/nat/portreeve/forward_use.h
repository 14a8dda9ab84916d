/*
 * forward_use.h - how the open port of a forward has been used
 *
 * Counted by the translator while packets pass, for each forward of its policy: sessions that were
 * opened from outside or by a hairpin, packets that were dropped, and the bytes of those sessions.
 * Sessions that the target of a forward opens itself are not a use of the open port.
 */
#ifndef PORTREEVE_FORWARD_USE_H
#define PORTREEVE_FORWARD_USE_H

#include "portreeve/packet.h"
#include "portreeve/policy.h"

/* Times are the caller's `now`, in milliseconds; 0: never. */
struct forward_use {
    uint64_t opened;                     /* sessions */
    uint64_t refused[DROP_REASON_COUNT]; /* packets to the port, by reason */
    uint64_t bytes_in, bytes_out;        /* IP lengths; in: from the remote to the target */
    uint64_t first_used, last_used;      /* packets of its sessions */
};

/*
 * What has been counted with this sealed policy, by the forward's index. The caller may set it to
 * zeros after reading: then the next reading is what came after. Covered by the lock that covers
 * the translator with this policy.
 */
struct forward_use *policy_forward_use(const struct policy *policy, size_t index);

#endif
