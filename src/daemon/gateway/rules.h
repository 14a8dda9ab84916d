/*
 * rules.h - the contents of the kernel's rules, from a policy and the external addresses
 */
#ifndef PORTREEVE_GATEWAY_RULES_H
#define PORTREEVE_GATEWAY_RULES_H

#include "lock.h"

/*
 * Installs the rules (`install`) or replaces the contents of their sets, for this policy and the
 * external addresses in use. Returns 0, or -errno and a sentence.
 */
int gateway_write_rules(struct gateway *gateway, const struct policy *policy, bool install,
                        struct error *error);

#endif
