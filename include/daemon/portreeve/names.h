/*
 * names.h - names of shares and forwards, and suggestions for mistyped words
 */
#ifndef PORTREEVE_NAMES_H
#define PORTREEVE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Fewer than POLICY_NAME_MAX letters, digits, dots, underscores and dashes, starting with a letter
 * or digit. So a name needs no quotes and no escapes wherever it is shown.
 */
bool config_name_is_good(const char *name);

/* The word of `words` that `typed` most likely means, or NULL. */
const char *config_suggest(const char *typed, const char *const *words, size_t count);

#endif
