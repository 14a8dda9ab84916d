/*
 * explain_way.h - the way of a translated packet through this host, and that of its answer
 */
#ifndef PORTREEVE_GATEWAY_EXPLAIN_WAY_H
#define PORTREEVE_GATEWAY_EXPLAIN_WAY_H

#include "explain_steps.h"

/* Steps about forwarding, routes, the next hop, other programs' rules. Fills `out`. */
void explain_way(struct explaining *explaining);

#endif
