/*
 * promise_check.h - whether a configuration keeps its own promises
 */
#ifndef PORTREEVE_CONFIG_PROMISE_CHECK_H
#define PORTREEVE_CONFIG_PROMISE_CHECK_H

#include "reading.h"

/*
 * Adds the promises to the policy, whose forwards and shares are there, and reports each one that
 * is broken. False without memory.
 */
bool config_check_promises(struct reading *reading);

#endif
