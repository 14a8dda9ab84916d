/*
 * verbs.h - the verbs of portreeve, and their help
 */
#ifndef PORTREEVE_CTL_VERBS_H
#define PORTREEVE_CTL_VERBS_H

#include "options.h"

/* Runs the verb of the command line, or shows help. Returns the exit code. */
int verbs_run(struct options *options);

#endif
