/*
 * explain_target.h - what became of connections to a port of late, and of an attempt from this host
 */
#ifndef PORTREEVE_GATEWAY_EXPLAIN_TARGET_H
#define PORTREEVE_GATEWAY_EXPLAIN_TARGET_H

#include "explain_steps.h"

/* Steps about them, and about the target. */
void explain_target(struct explaining *explaining, uint16_t external_port);

#endif
