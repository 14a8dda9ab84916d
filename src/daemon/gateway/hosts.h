/*
 * hosts.h - whose packets are translated: the sources of shares, the targets of forwards
 */
#ifndef PORTREEVE_GATEWAY_HOSTS_H
#define PORTREEVE_GATEWAY_HOSTS_H

#include "portreeve/policy.h"

/* All of them, with duplicates, if `out` is not NULL. Returns how many there are. */
size_t hosts_collect_sources(const struct policy *policy, struct prefix *out);
size_t hosts_collect_targets(const struct policy *policy, struct address *out);

#endif
