/*
 * check.h - checks across lines and sections: what is missing, what conflicts
 */
#ifndef PORTREEVE_CONFIG_CHECK_H
#define PORTREEVE_CONFIG_CHECK_H

#include "reading.h"

/* Returns false if the reading has failed; otherwise fills the policy. */
bool config_check(struct reading *reading);

/* Checks that the target of the last port of a range is a port. */
void config_check_target(struct reading *reading, const struct section *section);

#endif
