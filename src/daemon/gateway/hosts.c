/*
 * hosts.c - whose packets are translated: the sources of shares, the targets of forwards
 */
#include "hosts.h"

#include <stdlib.h>
#include <string.h>

struct prefix *hosts_sources(const struct policy *policy, size_t *count)
{
    struct prefix *sources;

    *count = 0;
    for (size_t i = 0; i < policy_share_count(policy); i++)
        *count += policy_share(policy, i)->source_count;
    sources = calloc(*count + 1, sizeof(*sources));
    *count = 0;
    for (size_t i = 0; sources != NULL && i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        memcpy(&sources[*count], share->source, share->source_count * sizeof(*sources));
        *count += share->source_count;
    }
    return sources;
}

struct address *hosts_targets(const struct policy *policy, size_t *count)
{
    struct address *targets;

    *count = 0;
    for (size_t i = 0; i < policy_forward_count(policy); i++)
        *count += policy_forward(policy, i)->target_count;
    targets = calloc(*count + 1, sizeof(*targets));
    *count = 0;
    for (size_t i = 0; targets != NULL && i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);

        for (size_t n = 0; n < forward->target_count; n++)
            targets[(*count)++] = forward->target[n].address;
    }
    return targets;
}
