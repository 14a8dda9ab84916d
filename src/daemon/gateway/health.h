/*
 * health.h - whether every thread of the gateway goes on, for the log and for status
 */
#ifndef PORTREEVE_GATEWAY_HEALTH_H
#define PORTREEVE_GATEWAY_HEALTH_H

#include "lock.h"

/* Once a second, before anything that may wait for another thread. */
void gateway_check_health(struct gateway *gateway);

void gateway_read_health(const struct gateway *gateway, struct gateway_status *status);

#endif
