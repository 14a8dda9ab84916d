/*
 * changes.h - what is different between two versions of a forward
 */
#ifndef PORTREEVE_CONTROL_CHANGES_H
#define PORTREEVE_CONTROL_CHANGES_H

#include "portreeve/policy.h"

#include <jansson.h>
#include <stddef.h>

/*
 * An object with the members of `forwards` that are different, each with `before` and `after`; NULL
 * without memory.
 */
json_t *changes_json(const struct forward *before, const struct forward *after);

/* How many of the forwards and of the shares that changed are named. */
#define CHANGES_NAMED_MAX 1000

/*
 * What is different between two policies. `forwards` and `shares` have the numbers `added`,
 * `removed` and `changed`, and the object `names`, with the word "added" or "removed", or what
 * changes_json gives, for each. `settings` is an object as of changes_json, of timeouts and limits.
 * NULL without memory.
 */
json_t *changes_between(const struct policy *before, const struct policy *after);

#define CHANGES_TEXT_MAX 1024

/* The same for the log: `note "a" -> "b", allow [] -> ["192.0.2.0/24"]`, cut to the buffer. */
const char *changes_text(const json_t *changes, char buffer[CHANGES_TEXT_MAX]);

/* All values of a forward, for the log. */
const char *changes_describe(const struct forward *forward, char buffer[CHANGES_TEXT_MAX]);

#endif
