/*
 * runtime_forwards.h - forwards that an operator added, kept across restarts of the daemon
 *
 * DIRECTORY/forwards.json, replaced as a whole after each change. [state] directory is in /run by
 * default, so they end with the boot; what is to last longer belongs into the configuration.
 */
#ifndef PORTREEVE_RUNTIME_FORWARDS_H
#define PORTREEVE_RUNTIME_FORWARDS_H

#include "portreeve/error.h"
#include "portreeve/policy.h"

/* Writes the policy's run-time forwards. 0 or -errno; then the file is as it was. */
int runtime_forwards_save(const char *directory, const struct policy *policy, struct error *error);

/*
 * An unsealed policy that holds the saved forwards, less those that have expired or that
 * `configured` has no room for; each of the latter, and a file that cannot be read, is logged.
 * Never fails but for memory (NULL).
 */
struct policy *runtime_forwards_load(const char *directory, const struct policy *configured);

#endif
