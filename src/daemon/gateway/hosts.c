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

struct prefix *hosts_exempt(const struct policy *policy, size_t *count)
{
    struct prefix *exempt;

    *count = 0;
    for (size_t i = 0; i < policy_share_count(policy); i++)
        *count += policy_share(policy, i)->exempt_count;
    exempt = calloc(*count + 1, sizeof(*exempt));
    *count = 0;
    for (size_t i = 0; exempt != NULL && i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        for (size_t n = 0; !share->open && n < share->exempt_count; n++)
            exempt[(*count)++] = share->exempt[n];
    }
    return exempt;
}

static int compare_first(const void *one, const void *other)
{
    return memcmp(&((const struct address_range *)one)->first,
                  &((const struct address_range *)other)->first, sizeof(struct address));
}

static uint32_t last_of(const struct prefix *prefix)
{
    const unsigned every_ipv4 = 96, one_address = 128;
    uint32_t host_bits =
        prefix->length == one_address ? 0 : UINT32_MAX >> (prefix->length - every_ipv4);

    return address_to_ipv4(&prefix->address) | host_bits;
}

/* Where another share may begin: at each prefix, and behind it. Returns how many. */
static size_t collect_borders(const struct policy *policy, struct address_range *out)
{
    size_t count = 0;

    for (size_t i = 0; i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        for (size_t n = 0; n < share->source_count; n++) {
            uint32_t last = last_of(&share->source[n]);

            out[count++].first = share->source[n].address;
            if (last < UINT32_MAX)
                out[count++].first = address_from_ipv4(last + 1);
        }
    }
    qsort(out, count, sizeof(*out), compare_first);
    return count;
}

static bool is_closed(const struct policy *policy, const struct address *host)
{
    uint16_t share = policy_share_of(policy, host);

    return share != POLICY_NONE && !policy_share(policy, share)->open;
}

/* What begins at one border ends before the next one. Reading is ahead of writing. */
static size_t keep_closed(const struct policy *policy, struct address_range *ranges, size_t borders)
{
    size_t count = 0;

    for (size_t i = 0; i < borders; i++) {
        const struct address first = ranges[i].first;
        uint32_t last = UINT32_MAX;

        if (i + 1 < borders && address_equal(&first, &ranges[i + 1].first))
            continue;
        if (i + 1 < borders)
            last = address_to_ipv4(&ranges[i + 1].first) - 1;
        if (is_closed(policy, &first))
            ranges[count++] = (struct address_range){first, address_from_ipv4(last)};
    }
    return count;
}

struct address_range *hosts_closed(const struct policy *policy, size_t *count)
{
    struct address_range *ranges;
    size_t sources = 0;

    *count = 0;
    for (size_t i = 0; i < policy_share_count(policy); i++)
        sources += policy_share(policy, i)->source_count;
    ranges = calloc(2 * sources + 1, sizeof(*ranges));
    if (ranges != NULL)
        *count = keep_closed(policy, ranges, collect_borders(policy, ranges));
    return ranges;
}
