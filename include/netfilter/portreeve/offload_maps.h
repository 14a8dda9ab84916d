/*
 * offload_maps.h - the kernel's maps of offloaded sessions: add, read, remove and list elements
 *
 * The ruleset creates the maps (ruleset.h, offload_sessions); this module fills them. A session has
 * one element per direction. The element's key is what packets of that direction carry, its value
 * is what they get instead, and it has a counter. Not thread-safe: one caller at a time; the
 * ruleset may be used meanwhile.
 */
#ifndef PORTREEVE_OFFLOAD_MAPS_H
#define PORTREEVE_OFFLOAD_MAPS_H

#include "portreeve/error.h"
#include "portreeve/offload.h"
#include "portreeve/packet.h"

/* Orders that one call may carry out. */
#define OFFLOAD_BATCH 256

struct offload_maps;

/* The maps are in the table of this ruleset, and are changed through its socket; it must stay open.
 */
struct ruleset;
int offload_maps_open(struct offload_maps **maps, const struct ruleset *ruleset,
                      struct error *error);
void offload_maps_close(struct offload_maps *maps); /* NULL is fine; elements stay */

struct offload_outcome {
    bool done;        /* OFFLOAD_ADD: the kernel now rewrites it */
    bool has_traffic; /* OFFLOAD_ASK, OFFLOAD_REMOVE: the kernel has sent its counters */
    struct offload_traffic traffic;
};

/*
 * Carries out up to OFFLOAD_BATCH orders, each kind in a transaction of its own: removals,
 * questions, additions. If a transaction fails, its orders are tried again one by one. Returns 0,
 * or -errno if an order failed for a reason other than its own element.
 */
int offload_maps_execute(struct offload_maps *maps, const struct offload_order *orders,
                         struct offload_outcome *outcomes, size_t count);

/* One element of a listing: packets that carry `tuple` at `hook`. */
typedef void offload_listed(void *context, enum packet_hook hook, const struct tuple *tuple,
                            uint64_t packets, uint64_t bytes);

/*
 * How many elements each map has, by enum packet_hook: exact, if nobody changes them meanwhile.
 * Returns 0 or -errno (-ENOENT: there are no maps).
 */
int offload_maps_count(struct offload_maps *maps, uint32_t counts[2]);

/* Lists both maps. Returns 0 or -errno (-ENOENT: there are no maps). */
int offload_maps_list(struct offload_maps *maps, offload_listed *each, void *context);

#endif
