/*
 * review.h - after a change of policy or addresses: which sessions are still allowed
 */
#ifndef PORTREEVE_GATEWAY_REVIEW_H
#define PORTREEVE_GATEWAY_REVIEW_H

#include "lock.h"

/*
 * Ends the sessions that are no longer allowed, in the kernel's maps too, and returns how many.
 * Packets are translated meanwhile; a session that one of them belongs to is checked at once.
 */
uint32_t gateway_review(struct gateway *gateway);

#endif
