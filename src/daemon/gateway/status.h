/*
 * status.h - how it goes: numbers and rates
 */
#ifndef PORTREEVE_GATEWAY_STATUS_H
#define PORTREEVE_GATEWAY_STATUS_H

#include "lock.h"

/* Once a second. */
void gateway_measure_rates(struct gateway *gateway);

/* The rules have been installed anew: their counters begin again. */
void gateway_begin_hits(struct gateway *gateway);

#endif
