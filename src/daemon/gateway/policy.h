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

/*
 * Makes `next` the active policy, in the kernel's rules and in the translator. False: reported,
 * nothing changed, `next` freed.
 */
bool gateway_apply_policy(struct gateway *gateway, struct policy *next, config_report *report,
                          void *context, uint32_t *sessions_ended);

/* Drops run-time and configured forwards whose time has come. */
void gateway_expire_forwards(struct gateway *gateway);

#endif
