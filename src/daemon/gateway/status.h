/*
 * status.h - the state of the gateway: numbers and rates
 */
#ifndef PORTREEVE_GATEWAY_STATUS_H
#define PORTREEVE_GATEWAY_STATUS_H

#include "lock.h"

/* Call it once per second. */
void gateway_measure_rates(struct gateway *gateway);

/* Call it when the rules were installed again, because their counters start at 0. */
void gateway_begin_hits(struct gateway *gateway);

#endif
