/*
 * ruleset_chain.h - messages about the chains of our table
 *
 * Internal to src/netfilter/ruleset*.c.
 */
#ifndef PORTREEVE_RULESET_CHAIN_H
#define PORTREEVE_RULESET_CHAIN_H

#include "ruleset_internal.h"

/*
 * Creates the chain, if it is not there. `hook` < 0: a chain without a hook, which packets reach
 * only from another chain; then `type` and `priority` say nothing.
 */
void chain_put(struct batch *batch, const char *name, const char *type, int hook, int32_t priority);

/* Removes all rules of one chain; NULL: of all chains. */
void chain_put_clearing(struct batch *batch, const char *name);

/* Removes the chain, which must have no rules. The kernel drops what waits in the queues. */
void chain_put_removal(struct batch *batch, const char *name);

#endif
