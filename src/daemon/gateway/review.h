/*
 * review.h - after a change of policy or addresses: which sessions may go on
 */
#ifndef PORTREEVE_GATEWAY_REVIEW_H
#define PORTREEVE_GATEWAY_REVIEW_H

#include "lock.h"

/*
 * Ends the sessions that are no longer allowed, in the kernel's maps too, and returns how many.
 * Packets flow meanwhile; what they meet is looked at first.
 */
uint32_t gateway_review(struct gateway *gateway);

#endif
