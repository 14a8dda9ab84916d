/*
 * ruleset_passes.h - packets that must get to the daemon a second time, and how the kernel knows
 * them
 *
 * Internal to src/netfilter/ruleset*.c.
 */
#ifndef PORTREEVE_RULESET_PASSES_H
#define PORTREEVE_RULESET_PASSES_H

#include "ruleset_rule.h"

/* The chains without a hook that these rules are in. */
#define PASSES_CHAINS 6
extern const char *const passes_chains[PASSES_CHAINS];

/*
 * First creates the sets, or keeps those of an earlier run with their elements; then, when the
 * chains exist, the rules that recognize what the daemon has rewritten, which come first in their
 * chains, and the others. `offloaded`: how many uplinks the maps of offloaded sessions know, or 0
 * without such maps.
 */
void passes_create_sets(struct batch *batch);
void passes_create_first_rules(struct batch *batch, const struct ruleset_options *options);
void passes_create_rules(struct batch *batch, const struct ruleset_options *options,
                         size_t offloaded);

/* One rule of outbound, behind those for the sources of shares: they never leave untranslated. */
void passes_create_direct_rule(struct batch *batch);

/*
 * A rule in `chain`, behind prerouting: packets of clients inside and of hairpins that the daemon
 * has rewritten continue in the chain `next`.
 */
void passes_match_clients(struct batch *batch, const char *chain, const char *next);

#endif
