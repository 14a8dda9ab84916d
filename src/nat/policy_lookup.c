/*
 * policy_lookup.c - the tables of a sealed policy, and the questions that packets ask them
 *
 * External port -> forward: an array of 65536 per protocol. Costs 256 KiB and one memory access,
 * whatever the configuration.
 *
 * Internal address -> share: all source prefixes in one array, sorted by address, then by length.
 * Prefixes are either disjoint or nested, never half overlapping, so the prefixes that contain an
 * address are the last one that starts at or before it and the ones that enclose that: a binary
 * search, then a walk up links, no longer than the nesting is deep. The first hit is the longest
 * prefix.
 *
 * Internal endpoint -> forward: the target ranges in one array per protocol, sorted by address,
 * then by first port. Here ranges may overlap in any way (two external ranges may deliver to one
 * host), so each entry links to the nearest entry before it that ends later: whatever lies between
 * the two ends too early to hold a port that this entry is too short for. Again a binary search and
 * a walk no longer than the nesting is deep. Where several forwards deliver to one endpoint, the
 * one whose range begins last answers, and of those the first configured.
 *
 * A trie would do the same in more code and more cache misses: tables of this kind have tens of
 * entries.
 */
#include "policy_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum policy_protocol policy_protocol(uint8_t protocol)
{
    switch (protocol) {
    case PROTOCOL_TCP:
        return POLICY_TCP;
    case PROTOCOL_UDP:
        return POLICY_UDP;
    case PROTOCOL_ICMP:
        return POLICY_ICMP;
    default:
        return POLICY_PROTOCOLS;
    }
}

/*
 * The last port a forward delivers to. What would run past 65535 is the configuration's error; here
 * it is cut.
 */
static uint16_t target_last(const struct forward *forward)
{
    uint32_t last = (uint32_t)forward->to.port + forward->listen.last - forward->listen.first;

    return last > UINT16_MAX ? UINT16_MAX : (uint16_t)last;
}

/* ---- building ---- */

static bool build_listen(struct policy *policy)
{
    struct policy_tables *tables = &policy->tables;

    tables->listen = malloc(FORWARD_PROTOCOL_COUNT * sizeof(*tables->listen));
    if (!tables->listen)
        return false;
    memset(tables->listen, 0xff, FORWARD_PROTOCOL_COUNT * sizeof(*tables->listen));
    _Static_assert(POLICY_NONE == 0xffff, "memset writes POLICY_NONE");
    for (size_t i = policy->forward_count;
         i-- > 0;) { /* backwards: the first one of a conflict stays */
        const struct forward *forward = &policy->forwards[i];

        for (enum policy_protocol p = 0; p < FORWARD_PROTOCOL_COUNT; p++) {
            if (!(forward->protocols & policy_forward_bit(p)))
                continue;
            for (uint32_t port = forward->listen.first; port <= forward->listen.last; port++)
                tables->listen[p][port] = (uint16_t)i;
        }
    }
    return true;
}

static int compare_sources(const void *left, const void *right)
{
    const struct source_entry *one = left, *other = right;
    int order = memcmp(&one->prefix.address, &other->prefix.address, sizeof(struct address));

    if (order != 0)
        return order;
    if (one->prefix.length != other->prefix.length)
        return one->prefix.length < other->prefix.length ? -1 : 1;
    return (int)other->share -
           (int)one->share; /* searches meet the last of equals first: the first configured */
}

static bool build_sources(struct policy *policy)
{
    struct policy_tables *tables = &policy->tables;
    size_t total = 0, at = 0;

    for (size_t s = 0; s < policy->share_count; s++)
        total += policy->shares[s].source_count;
    if (total == 0)
        return true;
    tables->sources = malloc(total * sizeof(*tables->sources));
    if (!tables->sources)
        return false;
    tables->source_count = total;
    for (size_t s = 0; s < policy->share_count; s++) {
        for (size_t i = 0; i < policy->shares[s].source_count; i++)
            tables->sources[at++] =
                (struct source_entry){policy->shares[s].source[i], (uint16_t)s, INDEX_NONE};
    }
    qsort(tables->sources, total, sizeof(*tables->sources), compare_sources);
    for (size_t i = 1; i < total; i++) {
        uint32_t candidate = (uint32_t)(i - 1);

        while (candidate != INDEX_NONE && !prefix_contains(&tables->sources[candidate].prefix,
                                                           &tables->sources[i].prefix.address))
            candidate = tables->sources[candidate].enclosing;
        tables->sources[i].enclosing = candidate;
    }
    return true;
}

static int compare_targets(const void *left, const void *right)
{
    const struct target_entry *one = left, *other = right;
    int order = memcmp(&one->address, &other->address, sizeof(struct address));

    if (order != 0)
        return order;
    if (one->ports.first != other->ports.first)
        return one->ports.first < other->ports.first ? -1 : 1;
    return (int)other->forward - (int)one->forward; /* as in compare_sources */
}

static void link_targets(struct target_table *table)
{
    for (size_t i = 1; i < table->count; i++) {
        struct target_entry *entry = &table->entries[i];
        uint32_t candidate = (uint32_t)(i - 1);

        if (!address_equal(&table->entries[candidate].address, &entry->address))
            continue;
        while (candidate != INDEX_NONE && table->entries[candidate].ports.last <= entry->ports.last)
            candidate = table->entries[candidate].longer;
        entry->longer = candidate;
    }
}

static bool build_targets(struct policy *policy, enum policy_protocol protocol)
{
    struct target_table *table = &policy->tables.targets[protocol];

    if (policy->forward_count == 0)
        return true;
    table->entries = malloc(policy->forward_count * sizeof(*table->entries));
    if (!table->entries)
        return false;
    for (size_t i = 0; i < policy->forward_count; i++) {
        const struct forward *forward = &policy->forwards[i];

        if (forward->protocols & policy_forward_bit(protocol))
            table->entries[table->count++] = (struct target_entry){
                .address = forward->to.address,
                .ports = {forward->to.port, target_last(forward)},
                .forward = (uint16_t)i,
                .longer = INDEX_NONE,
            };
    }
    qsort(table->entries, table->count, sizeof(*table->entries), compare_targets);
    link_targets(table);
    return true;
}

static void pool_from_ranges(struct pool *pool, const struct port_range *ranges, size_t count)
{
    memset(pool, 0, sizeof(*pool));
    for (size_t i = 0; i < count; i++) {
        for (uint32_t port = ranges[i].first; port <= ranges[i].last; port++)
            pool->members[port / 64] |= UINT64_C(1) << (port % 64);
    }
}

/* Sets size, first and last from the members. */
static void pool_measure(struct pool *pool)
{
    pool->size = 0;
    pool->first = pool->last = 0;
    for (uint32_t i = 0; i < PORT_COUNT / 64; i++) {
        uint64_t word = pool->members[i];

        if (word == 0)
            continue;
        if (pool->size == 0)
            pool->first = (uint16_t)(i * 64 + (uint32_t)__builtin_ctzll(word));
        pool->last = (uint16_t)(i * 64 + 63 - (uint32_t)__builtin_clzll(word));
        pool->size += (uint32_t)__builtin_popcountll(word);
    }
}

static bool pool_meets(const struct pool *one, const struct pool *other)
{
    for (size_t i = 0; i < PORT_COUNT / 64; i++) {
        if (one->members[i] & other->members[i])
            return true;
    }
    return false;
}

/*
 * Gives every share its pool. While this runs, the pool in the ICMP column holds the ranges as they
 * are configured; nothing is ever taken out of that one.
 */
static bool assign_pools(struct policy *policy)
{
    struct policy_tables *tables = &policy->tables;

    if (policy->share_count == 0)
        return true;
    tables->pools = calloc(policy->share_count, sizeof(*tables->pools));
    if (!tables->pools)
        return false;
    for (size_t s = 0; s < policy->share_count; s++) {
        struct share *share = &policy->shares[s];
        struct pool *configured = &tables->pools[tables->pool_count][POLICY_ICMP];
        size_t i;

        pool_from_ranges(configured, share->ports, share->ports_count);
        for (i = 0; i < tables->pool_count; i++) {
            const struct pool *other = &tables->pools[i][POLICY_ICMP];

            if (memcmp(other->members, configured->members, sizeof(other->members)) == 0)
                break;
            if (pool_meets(other, configured))
                return false;
        }
        share->pool = (uint16_t)i;
        if (i == tables->pool_count)
            tables->pool_count++;
    }
    return true;
}

/* Takes forwards and local sockets out of a pool of TCP or UDP. */
static void thin_pool(const struct policy *policy, enum policy_protocol protocol, struct pool *pool)
{
    for (size_t i = 0; i < PORT_COUNT / 64; i++)
        pool->members[i] &= ~policy->excluded[protocol].members[i];
    for (uint32_t port = 0; port < PORT_COUNT; port++) {
        if (policy->tables.listen[protocol][port] != POLICY_NONE)
            pool->members[port / 64] &= ~(UINT64_C(1) << (port % 64));
    }
}

static void build_published(struct policy_tables *tables, enum policy_protocol protocol)
{
    struct pool *published = &tables->published[protocol];

    for (size_t i = 0; i < tables->pool_count; i++) {
        for (size_t word = 0; word < PORT_COUNT / 64; word++)
            published->members[word] |= tables->pools[i][protocol].members[word];
    }
    for (uint32_t port = 0; protocol < FORWARD_PROTOCOL_COUNT && port < PORT_COUNT; port++) {
        if (tables->listen[protocol][port] != POLICY_NONE)
            published->members[port / 64] |= UINT64_C(1) << (port % 64);
    }
    pool_measure(published);
}

static bool build_pools(struct policy *policy)
{
    struct policy_tables *tables = &policy->tables;

    if (!assign_pools(policy))
        return false;
    for (size_t i = 0; i < tables->pool_count; i++) {
        pool_measure(&tables->pools[i][POLICY_ICMP]);
        for (enum policy_protocol p = 0; p < FORWARD_PROTOCOL_COUNT; p++) {
            tables->pools[i][p] = tables->pools[i][POLICY_ICMP];
            thin_pool(policy, p, &tables->pools[i][p]);
            pool_measure(&tables->pools[i][p]);
        }
    }
    memset(tables->published, 0, sizeof(tables->published));
    for (enum policy_protocol p = 0; p < POLICY_PROTOCOLS; p++)
        build_published(tables, p);
    return true;
}

bool policy_tables_build(struct policy *policy)
{
    return build_listen(policy) && build_sources(policy) && build_targets(policy, POLICY_TCP) &&
           build_targets(policy, POLICY_UDP) && build_pools(policy);
}

void policy_tables_free(struct policy_tables *tables)
{
    free(tables->listen);
    free(tables->pools);
    free(tables->sources);
    for (size_t p = 0; p < FORWARD_PROTOCOL_COUNT; p++)
        free(tables->targets[p].entries);
    memset(tables, 0, sizeof(*tables));
}

/* ---- asking ---- */

uint16_t policy_share_of(const struct policy *policy, const struct address *internal)
{
    const struct source_entry *sources = policy->tables.sources;
    size_t low = 0, high = policy->tables.source_count;
    uint32_t at;

    while (low < high) { /* the first entry that starts behind the address */
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
    enum policy_protocol index = policy_protocol(protocol);

    assert(policy->sealed);
    return index < FORWARD_PROTOCOL_COUNT ? policy->tables.listen[index][external_port]
                                          : POLICY_NONE;
}

struct endpoint policy_forward_target(const struct forward *forward, uint16_t external_port)
{
    struct endpoint target = forward->to;

    target.port = (uint16_t)(target.port + (external_port - forward->listen.first));
    return target;
}

/* True when the entry lies at or before the endpoint, in the table's order. */
static bool target_starts_by(const struct target_entry *entry, const struct endpoint *internal)
{
    int order = memcmp(&entry->address, &internal->address, sizeof(entry->address));

    return order < 0 || (order == 0 && entry->ports.first <= internal->port);
}

uint16_t policy_forward_to(const struct policy *policy, uint8_t protocol,
                           const struct endpoint *internal, uint16_t *external_port)
{
    enum policy_protocol index = policy_protocol(protocol);
    const struct target_entry *entries;
    size_t low = 0, high;
    uint32_t at;

    if (index >= FORWARD_PROTOCOL_COUNT)
        return POLICY_NONE;
    entries = policy->tables.targets[index].entries;
    high = policy->tables.targets[index].count;
    while (low < high) { /* the first entry behind the endpoint */
        size_t middle = low + (high - low) / 2;

        if (target_starts_by(&entries[middle], internal))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || !address_equal(&entries[low - 1].address, &internal->address))
        return POLICY_NONE;
    at = (uint32_t)(low - 1);
    while (at != INDEX_NONE && entries[at].ports.last < internal->port)
        at = entries[at].longer;
    if (at == INDEX_NONE)
        return POLICY_NONE;
    *external_port = (uint16_t)(policy->forwards[entries[at].forward].listen.first +
                                (internal->port - entries[at].ports.first));
    return entries[at].forward;
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
    uint8_t own = protocol == PROTOCOL_TCP   ? share->filtering_tcp
                  : protocol == PROTOCOL_UDP ? share->filtering_udp
                                             : 0;

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
    enum policy_protocol index = policy_protocol(protocol);

    assert(policy->sealed && share < policy->share_count && index < POLICY_PROTOCOLS);
    return &policy->tables.pools[policy->shares[share].pool][index];
}

bool policy_is_published(const struct policy *policy, uint8_t protocol, uint16_t external_port)
{
    enum policy_protocol index = policy_protocol(protocol);

    return index < POLICY_PROTOCOLS &&
           pool_contains(&policy->tables.published[index], external_port);
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
