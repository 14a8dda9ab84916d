/*
 * hosts.h - whose packets are translated: the sources of shares, the targets of forwards
 */
#ifndef PORTREEVE_GATEWAY_HOSTS_H
#define PORTREEVE_GATEWAY_HOSTS_H

#include "portreeve/policy.h"

/* All of them, with duplicates. Free it. NULL without memory. */
struct prefix *hosts_sources(const struct policy *policy, size_t *count);
struct address *hosts_targets(const struct policy *policy, size_t *count);

#endif
