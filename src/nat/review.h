/*
 * review.h - sessions that packets match are checked against the present policy and addresses
 */
#ifndef NAT_REVIEW_H
#define NAT_REVIEW_H

#include "nat_internal.h"

/*
 * Like table_find and table_find_transit, for the tuple of a packet: a session that the review has
 * not reached yet is checked, and ended and not found when it is no longer allowed. Do not use them
 * while a session is being opened: with the ended session a mapping could end that the new session
 * needs. There an old session may cause a collision until the review reaches it.
 */
uint32_t review_find(struct nat *nat, const struct tuple *tuple, uint64_t now, enum role *role);
uint32_t review_find_transit(struct nat *nat, const struct tuple *transit, uint64_t now,
                             enum role *role);

/* The policy or the addresses are about to change: every session is of an older epoch now. */
void review_begin(struct nat *nat);

#endif
