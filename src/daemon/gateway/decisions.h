/*
 * decisions.h - for the log at level debug: what the translator has decided
 */
#ifndef PORTREEVE_GATEWAY_DECISIONS_H
#define PORTREEVE_GATEWAY_DECISIONS_H

#include "lock.h"

/*
 * Once per second: a line for each session that has been opened, established or ended since then,
 * by which rule, and for each kind of dropped packets. Nothing at other levels. The log limits how
 * many lines there are.
 */
void gateway_log_decisions(struct gateway *gateway);

#endif
