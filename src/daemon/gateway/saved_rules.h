/*
 * saved_rules.h - whether our table was saved with the host's own rules
 */
#ifndef PORTREEVE_GATEWAY_SAVED_RULES_H
#define PORTREEVE_GATEWAY_SAVED_RULES_H

#include "notices.h"

#include <stdbool.h>

/* True if this file of nft has our table in it. False also if it cannot be read. */
bool saved_rules_have_table(const char *path);

/* One of the files that nftables.service loads at boot, if it has our table in it; or NULL. */
const char *saved_rules_find(void);

/*
 * At the start and once a second; looks every ten seconds. `*due` is for this module, 0 at first.
 * `now` is gateway_now().
 */
void saved_rules_check(struct notices *notices, uint64_t now, uint64_t *due);

/* What is wrong with it, for a file that saved_rules_find has found. */
#define SAVED_RULES_TEXT                                                                           \
    "%s has a copy of table ip portreeve in it, which nft cannot load: after the next boot this "  \
    "host would have none of the rules of that file; take the table out of it"

#endif
