/*
 * policy.h - building the policy in use
 */
#ifndef PORTREEVE_GATEWAY_POLICY_H
#define PORTREEVE_GATEWAY_POLICY_H

#include "lock.h"

/*
 * A sealed policy: the configured one without expired forwards, plus the active run-time forwards
 * except `removal`, plus `addition` (both may be NULL). With both, `addition` says what is changed
 * in the active forward `removal`. NULL after an error was reported.
 */
struct policy *gateway_build_policy(struct gateway *gateway, const struct policy *configured,
                                    const struct forward_text *addition, const char *removal,
                                    config_report *report, void *context);

/*
 * The same with all run-time forwards, and refused if it leaves the gateway's own connections too
 * few ports.
 */
struct policy *gateway_build_roomy_policy(struct gateway *gateway, const struct config *config,
                                          const struct forward_text *addition,
                                          config_report *report, void *context);

/*
 * At the start, when the sessions of an earlier run have been taken over and before there are
 * workers and rules: builds the policy again, because only now it is known which ports of the
 * gateway's sockets mappings have. Returns the policy before, or NULL if it stays: it is still
 * needed for gateway_review(), which comes when the workers are at work.
 */
struct policy *gateway_settle_policy(struct gateway *gateway);

/* Writes the register of open ports, if it has changed. */
void gateway_save_register(struct gateway *gateway);

/* Removes expired forwards, both run-time forwards and those of the configuration. */
void gateway_expire_forwards(struct gateway *gateway);

/*
 * Follows what the gateway's own programs bind: their ports leave the pools. Cheap unless a look is
 * due.
 */
void gateway_follow_sockets(struct gateway *gateway);

#endif
