/*
 * neighbours.h - notices about other programs' rules, and about bridges, that are in our way
 */
#ifndef PORTREEVE_GATEWAY_NEIGHBOURS_H
#define PORTREEVE_GATEWAY_NEIGHBOURS_H

#include "lock.h"

/*
 * Call it once per second, and after a change of the policy: the rules are listed again only when
 * they may have changed, at most every few seconds.
 */
void gateway_check_neighbours(struct gateway *gateway);
void gateway_close_neighbours(struct gateway *gateway);

#endif
