/*
 * mapping.h - mappings with their ports: what changes them, and what the policy says of them
 *
 * Those of the table alone (mapping_find_internal, mapping_add, mapping_remove) are in table.h.
 */
#ifndef NAT_MAPPING_H
#define NAT_MAPPING_H

#include "nat_internal.h"

/*
 * Adds a mapping whose port has been taken, or is shared, as its holder or as one of its sharers.
 * INDEX_NONE without room.
 */
uint32_t mapping_enter(struct nat *nat, const struct mapping *mapping);

/*
 * Frees a mapping that neither a session nor a lease uses, and its port if no other mapping shares
 * it. `hold`: after the hold-down.
 */
void mapping_release_unused(struct nat *nat, uint32_t index, bool hold, uint64_t now);

/* The external endpoint of a mapping. */
struct endpoint mapping_external(const struct nat *nat, const struct mapping *mapping);

/* The mapping that an external endpoint is; INDEX_NONE: none, or its port rests. */
uint32_t mapping_find_external(const struct nat *nat, uint8_t protocol,
                               const struct endpoint *external);

/* True when another mapping has this one's external endpoint as well (RFC 7857 section 3). */
bool mapping_shares_port(const struct nat *nat, uint32_t index);

/*
 * The share that a mapping serves, or POLICY_NONE when the policy or the addresses allow it no
 * more: then it is not used, and goes with its sessions, which a review has yet to end.
 */
uint16_t mapping_share(const struct nat *nat, uint32_t index);

#endif
