/*
 * describe.h - the configuration in effect, for the log at level debug
 */
#ifndef PORTREEVE_GATEWAY_DESCRIBE_H
#define PORTREEVE_GATEWAY_DESCRIBE_H

#include "lock.h"

/* Logs the settings, timeouts, limits, shares and forwards, at start and after a reload. */
void gateway_describe(const struct gateway *gateway);

#endif
