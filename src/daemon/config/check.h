/*
 * check.h - what no line can know alone: what is missing, and what conflicts
 */
#ifndef PORTREEVE_CONFIG_CHECK_H
#define PORTREEVE_CONFIG_CHECK_H

#include "reading.h"

/* False when the reading has failed; otherwise fills the policy. */
bool config_check(struct reading *reading);

/* The target of the last port must exist. */
void config_check_target(struct reading *reading, const struct section *section);

#endif
