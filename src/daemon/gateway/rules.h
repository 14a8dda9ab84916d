/*
 * rules.h - the kernel's rules, as a policy and the external addresses want them
 */
#ifndef PORTREEVE_GATEWAY_RULES_H
#define PORTREEVE_GATEWAY_RULES_H

#include "lock.h"

/*
 * Installs the rules (`install`) or exchanges the sets' contents, for this policy and the external
 * addresses in use.
 */
int gateway_write_rules(struct gateway *gateway, const struct policy *policy, bool install,
                        struct error *error);

#endif
