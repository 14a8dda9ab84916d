/*
 * review.h - sessions that packets meet are held against the policy and addresses of now
 */
#ifndef NAT_REVIEW_H
#define NAT_REVIEW_H

#include "nat_internal.h"

/*
 * Like table_find and table_find_transit, for what a packet carries: a session that a review has
 * not reached yet is looked at, and when it is no longer allowed, it is ended and not found. Not
 * for a packet that is about to open a session: with the one that is ended, a mapping may go that
 * the new one counts on. There an old one may stand in the way until the review reaches it.
 */
uint32_t review_find(struct nat *nat, const struct tuple *tuple, uint64_t now, enum role *role);
uint32_t review_find_transit(struct nat *nat, const struct tuple *transit, uint64_t now,
                             enum role *role);

/* The policy or the addresses are about to change: every session is of an older epoch now. */
void review_begin(struct nat *nat);

#endif
