/*
 * hosts.h - whose packets are translated: the sources of shares, the targets of forwards
 */
#ifndef PORTREEVE_GATEWAY_HOSTS_H
#define PORTREEVE_GATEWAY_HOSTS_H

#include "portreeve/policy.h"
#include "portreeve/ruleset.h"

/* All of them, with duplicates. Free it. NULL without memory. */
struct prefix *hosts_sources(const struct policy *policy, size_t *count);
struct address *hosts_targets(const struct policy *policy, size_t *count);

/* The destinations that closed shares exempt, in the same way. */
struct prefix *hosts_exempt(const struct policy *policy, size_t *count);

/*
 * The hosts of closed shares, as sorted ranges: a share with a longer prefix decides for its hosts.
 * The policy is sealed. Free it. NULL without memory.
 */
struct address_range *hosts_closed(const struct policy *policy, size_t *count);

#endif
