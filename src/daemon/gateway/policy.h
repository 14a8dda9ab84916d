/*
 * policy.h - which policy applies
 */
#ifndef PORTREEVE_GATEWAY_POLICY_H
#define PORTREEVE_GATEWAY_POLICY_H

#include "lock.h"

/*
 * A sealed policy from the configured one, less what has expired, plus the active one's run-time
 * forwards and, if not NULL, `addition`; less the run-time forward `removal`. NULL after reporting
 * why not.
 */
struct policy *gateway_build_policy(struct gateway *gateway, const struct policy *configured,
                                    const struct forward_text *addition, const char *removal,
                                    config_report *report, void *context);

/* Drops run-time and configured forwards whose time has come. */
void gateway_expire_forwards(struct gateway *gateway);

#endif
