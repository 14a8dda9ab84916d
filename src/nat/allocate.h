/*
 * allocate.h - the external endpoint of an internal one
 */
#ifndef NAT_ALLOCATE_H
#define NAT_ALLOCATE_H

#include "nat_internal.h"

/* What the world sees instead of an internal endpoint: by a forward, by a mapping, or not at all.
 */
struct external_side {
    struct endpoint external;
    uint32_t mapping; /* INDEX_NONE: a forward's */
    uint16_t forward; /* POLICY_NONE: a mapping's, or none */
    uint16_t share;   /* POLICY_NONE: none */
};

/*
 * Finds or makes the external endpoint that `internal` has at this uplink; it sends to `remote`
 * (NULL: to no one yet; then its port is not shared). DROP_NONE with neither a forward nor a share:
 * the policy does not translate this host. A new mapping has no session yet: session_open,
 * lease_enter or mapping_release_unused must follow.
 */
enum drop_reason allocate_external_side(struct nat *nat, uint8_t uplink, uint8_t protocol,
                                        const struct endpoint *internal,
                                        const struct endpoint *remote, uint64_t now,
                                        struct external_side *side);

#endif
