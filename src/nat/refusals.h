/*
 * refusals.h - notes dropped packets (portreeve/refusals.h)
 */
#ifndef NAT_REFUSALS_H
#define NAT_REFUSALS_H

#include "nat_internal.h"
#include "portreeve/refusals.h"

/* False without memory. refusals_fini is fine in both cases. */
bool refusals_init(struct nat *nat);
void refusals_fini(struct nat *nat);

/* A packet was dropped for this reason; its addresses are known. */
void refusals_note(struct nat *nat, const struct packet *packet, const struct tuple *sent,
                   enum drop_reason reason, uint64_t now);

#endif
