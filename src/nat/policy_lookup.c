/*
 * policy_lookup.c - the questions that packets ask a sealed policy (policy_tables.c)
 */
#include "policy_internal.h"

#include <assert.h>
#include <string.h>

uint16_t policy_share_of(const struct policy *policy, const struct address *internal)
{
    const struct source_entry *sources = policy->tables.sources;
    size_t low = 0, high = policy->tables.source_count;
    uint32_t at;

    while (low < high) { /* the first entry that starts after the address */
        size_t middle = low + (high - low) / 2;

        if (memcmp(&sources[middle].prefix.address, internal, sizeof(*internal)) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    at = low > 0 ? (uint32_t)(low - 1) : INDEX_NONE;
    for (; at != INDEX_NONE; at = sources[at].enclosing) {
        if (prefix_contains(&sources[at].prefix, internal))
            return sources[at].share;
    }
    return POLICY_NONE;
}

uint16_t policy_forward_at(const struct policy *policy, uint8_t protocol, uint16_t external_port)
{
    enum protocol_index index = protocol_index(protocol);

    assert(policy->sealed);
    return index < PROTOCOL_PORTS_COUNT ? policy->tables.listen[index][external_port] : POLICY_NONE;
}

/* The port of a target that this external port leads to. */
static uint16_t target_port(const struct forward *forward, const struct endpoint *target,
                            uint16_t external_port)
{
    return (uint16_t)(target->port + (external_port - forward->listen.first));
}

struct endpoint policy_forward_target(const struct forward *forward, uint16_t external_port)
{
    const struct endpoint *first = &forward->target[0];

    return (struct endpoint){first->address, target_port(forward, first, external_port)};
}

bool policy_forward_delivers(const struct forward *forward, uint16_t external_port,
                             const struct endpoint *internal)
{
    for (size_t i = 0; i < forward->target_count; i++) {
        const struct endpoint *target = &forward->target[i];

        if (address_equal(&target->address, &internal->address) &&
            target_port(forward, target, external_port) == internal->port)
            return true;
    }
    return false;
}

/* True when the entry lies at or before the endpoint, in the table's order. */
static bool target_starts_by(const struct target_entry *entry, const struct endpoint *internal)
{
    int order = memcmp(&entry->address, &internal->address, sizeof(entry->address));

    return order < 0 || (order == 0 && entry->ports.first <= internal->port);
}

/* In the table's order; its count when there is none. */
static size_t first_target_after(const struct target_table *table, const struct endpoint *internal)
{
    size_t low = 0, high = table->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (target_starts_by(&table->entries[middle], internal))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint16_t policy_forward_to(const struct policy *policy, uint8_t protocol,
                           const struct endpoint *internal, uint16_t *external_port)
{
    enum protocol_index index = protocol_index(protocol);
    const struct target_entry *entries;
    size_t next;
    uint32_t at;

    if (index >= PROTOCOL_PORTS_COUNT)
        return POLICY_NONE;
    entries = policy->tables.targets[index].entries;
    next = first_target_after(&policy->tables.targets[index], internal);
    if (next == 0 || !address_equal(&entries[next - 1].address, &internal->address))
        return POLICY_NONE;
    at = (uint32_t)(next - 1);
    while (at != INDEX_NONE && entries[at].ports.last < internal->port)
        at = entries[at].longer;
    if (at == INDEX_NONE)
        return POLICY_NONE;
    *external_port = (uint16_t)(policy->forwards[entries[at].forward].listen.first +
                                (internal->port - entries[at].ports.first));
    return entries[at].forward;
}

bool policy_is_target(const struct policy *policy, const struct address *internal)
{
    const struct endpoint last = {*internal, UINT16_MAX};

    for (size_t p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        const struct target_table *table = &policy->tables.targets[p];
        size_t next = first_target_after(table, &last);

        if (next > 0 && address_equal(&table->entries[next - 1].address, internal))
            return true;
    }
    return false;
}

bool policy_forward_allows(const struct forward *forward, const struct address *remote)
{
    for (size_t i = 0; i < forward->allow_count; i++) {
        if (prefix_contains(&forward->allow[i], remote))
            return true;
    }
    return forward->allow_count == 0;
}

enum filtering share_filtering(const struct share *share, uint8_t protocol)
{
    enum protocol_index index = protocol_index(protocol);
    uint8_t own = index < PROTOCOL_COUNT ? share->filtering_of[index] : 0;

    return own ? (enum filtering)(own - 1) : share->filtering;
}

bool share_exempts(const struct share *share, const struct address *destination)
{
    for (size_t i = 0; i < share->exempt_count; i++) {
        if (prefix_contains(&share->exempt[i], destination))
            return true;
    }
    return false;
}

bool policy_is_shared(const struct policy *policy, const struct address *address)
{
    return policy_share_of(policy, address) != POLICY_NONE;
}

bool policy_must_translate(const struct policy *policy, const struct address *source,
                           const struct address *destination)
{
    uint16_t share = policy_share_of(policy, source);

    return share != POLICY_NONE && !share_exempts(policy_share(policy, share), destination);
}

bool policy_translates(const struct policy *policy, const struct tuple *sent)
{
    uint16_t port;

    if (policy_is_shared(policy, &sent->source.address))
        return policy_must_translate(policy, &sent->source.address, &sent->destination.address);
    return policy_forward_to(policy, sent->protocol, &sent->source, &port) != POLICY_NONE;
}

const struct pool *policy_pool(const struct policy *policy, uint16_t share, uint8_t protocol)
{
    enum protocol_index index = protocol_index(protocol);

    assert(policy->sealed && share < policy->share_count && index < PROTOCOL_COUNT);
    return &policy->tables.pools[policy->shares[share].pool][index];
}

bool policy_is_published(const struct policy *policy, uint8_t protocol, uint16_t external_port)
{
    enum protocol_index index = protocol_index(protocol);

    return index < PROTOCOL_COUNT && pool_contains(&policy->tables.published[index], external_port);
}

bool policy_keeps_port(const struct policy *policy, uint8_t protocol, uint16_t external_port)
{
    enum protocol_index index = protocol_index(protocol);

    return index < PROTOCOL_PORTS_COUNT && pool_contains(&policy->kept[index], external_port);
}

size_t policy_published(const struct policy *policy, uint8_t protocol, struct port_range *ranges,
                        size_t max)
{
    size_t count = 0;
    bool inside = false;

    for (uint32_t port = 0; port < PORT_COUNT; port++) {
        bool published = policy_is_published(policy, protocol, (uint16_t)port);

        if (published && !inside && count++ < max)
            ranges[count - 1].first = (uint16_t)port;
        if (published && count <= max)
            ranges[count - 1].last = (uint16_t)port;
        inside = published;
    }
    return count;
}
