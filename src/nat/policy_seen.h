/*
 * policy_seen.h - which names and ports forwards of a policy may have: a quick "certainly none"
 *
 * A new forward is compared with all others, for its name and for its ports. With thousands of
 * saved forwards that was what a start waited for. Here a bit for each port, and two for each name,
 * say whether a look at all of them is worth it. Bits are never cleared, so after a removal they
 * say "perhaps" once too often.
 */
#ifndef PORTREEVE_POLICY_SEEN_H
#define PORTREEVE_POLICY_SEEN_H

#include "portreeve/policy.h"

#include <stdbool.h>
#include <stdint.h>

#define POLICY_SEEN_NAMES (1u << 20) /* sixteen for each forward that a policy may have */

struct policy_seen {
    uint64_t ports[PROTOCOL_PORTS_COUNT][65536 / 64];
    uint64_t names[POLICY_SEEN_NAMES / 64];
};

void policy_seen_add(struct policy_seen *seen, const struct forward *forward);

/* False if no forward that was added has this name, or a port of this one. */
bool policy_seen_name(const struct policy_seen *seen, const char *name);
bool policy_seen_ports(const struct policy_seen *seen, const struct forward *forward);

#endif
