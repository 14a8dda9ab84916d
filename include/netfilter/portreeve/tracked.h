/*
 * tracked.h - connections of the host's connection tracking that a flowtable may take over
 *
 * A flowtable (`flow add`) takes over any tracked connection without a helper, and then its packets
 * pass none of our hooks. A connection gets its helper with its first packet only
 * (nft_ct_helper_obj_eval, ctnetlink_change_helper), so those that are older are deleted: their
 * next packet begins a new one, as seen by connection tracking, and a flowtable lets go of a
 * deleted one (nf_ct_is_dying in flow_offload_lookup).
 */
#ifndef PORTREEVE_TRACKED_H
#define PORTREEVE_TRACKED_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

#include <stddef.h>

/* Whose connections. IPv4 only. */
struct tracked_scope {
    const struct prefix *sources; /* of shares */
    size_t source_count;
    const uint32_t *targets; /* of forwards; host byte order, in the order of tracked_sort */
    size_t target_count;
    const struct address *own; /* of this host, which are not forwarded */
    size_t own_count;
};

/* Brings targets into the order that a scope wants. */
void tracked_sort(uint32_t *targets, size_t count);

/*
 * Deletes the TCP and UDP connections of these hosts that have no helper, except those that the
 * kernel itself translates, those between two sources of shares, and those of this host. It walks
 * over all connections of the network namespace. Returns how many it has deleted, or -errno and a
 * sentence.
 */
int tracked_forget(const struct tracked_scope *scope, struct error *error);

#endif
