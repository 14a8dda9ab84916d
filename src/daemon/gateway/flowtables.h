/*
 * flowtables.h - keeps what is translated out of other programs' flowtables
 */
#ifndef PORTREEVE_GATEWAY_FLOWTABLES_H
#define PORTREEVE_GATEWAY_FLOWTABLES_H

#include "lock.h"

/*
 * Call it once per second, and when the descriptor of the neighbours is readable. Flowtables are
 * listed when one has changed, and every few seconds.
 */
void gateway_check_flowtables(struct gateway *gateway);

#endif
