/*
 * ruleset_flowtables.h - rules that keep what is translated out of other programs' flowtables
 *
 * Internal to src/netfilter.
 */
#ifndef PORTREEVE_RULESET_FLOWTABLES_H
#define PORTREEVE_RULESET_FLOWTABLES_H

#include "ruleset_internal.h"

/* The first chain exists as long as these rules do, one of the others with it. */
#define CHAIN_NO_FLOWTABLE "no_flowtable"
#define CHAIN_SET_HELPER   "set_helper"
#define CHAIN_NO_HELPER    "no_helper"

/*
 * Creates the chains, the helper objects and the rules, or removes all of them. To create an object
 * the kernel must have the helper (conntrack_helper_register). `closed`: there is none, and
 * connections that would need it are dropped. The kernel drops what waits in the queues when they
 * are removed (nft_ct_helper_obj_destroy, nf_queue_nf_hook_drop).
 */
void flowtables_create_rules(struct batch *batch, bool closed);
void flowtables_remove_rules(struct batch *batch, bool closed);

#endif
