/*
 * hosts.c - whose packets are translated: the sources of shares, the targets of forwards
 */
#include "hosts.h"

size_t hosts_collect_sources(const struct policy *policy, struct prefix *out)
{
    size_t count = 0;

    for (size_t i = 0; i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        for (size_t n = 0; n < share->source_count; n++, count++) {
            if (out != NULL)
                out[count] = share->source[n];
        }
    }
    return count;
}

size_t hosts_collect_targets(const struct policy *policy, struct address *out)
{
    size_t count = 0;

    for (size_t i = 0; i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);

        for (size_t n = 0; n < forward->target_count; n++, count++) {
            if (out != NULL)
                out[count] = forward->target[n].address;
        }
    }
    return count;
}
