/*
 * runtime_forwards.h - run-time forwards, kept across restarts of the daemon
 *
 * forwards.json in [state] lasting-directory is replaced as a whole after each change.
 */
#ifndef PORTREEVE_RUNTIME_FORWARDS_H
#define PORTREEVE_RUNTIME_FORWARDS_H

#include "portreeve/error.h"
#include "portreeve/policy.h"

/*
 * Writes the policy's run-time forwards. Returns 0, or -errno and a sentence; then the file has not
 * changed.
 */
int runtime_forwards_save(const char *directory, const struct policy *policy, struct error *error);

/*
 * An unsealed policy with the saved forwards, without those that have expired or that conflict with
 * `configured`. Conflicts, and a file that cannot be read, are logged. Returns NULL only if memory
 * runs out.
 */
struct policy *runtime_forwards_load(const char *directory, const struct policy *configured);

#endif
