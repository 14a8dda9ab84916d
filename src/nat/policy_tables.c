/*
 * policy_tables.c - the tables of a sealed policy: how they are built, and what is asked of them
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
 * host), so each entry links to the nearest entry before it that ends later. What lies between the
 * two ends too early for any port that this entry does not contain. Again a binary search and a
 * walk no longer than the nesting is deep. If several forwards deliver to one endpoint, the one
 * whose range begins last is used, and of those the first in the configuration.
 *
 * A trie would do the same in more code and more cache misses: tables of this kind have tens of
 * entries.
 */
#include "policy_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/*
 * The last port of a target that a forward delivers to. What would run past 65535 is the
 * configuration's error; here it is cut.
 */
static uint16_t target_last(const struct forward *forward, const struct endpoint *target)
{
    uint32_t last = (uint32_t)target->port + forward->listen.last - forward->listen.first;

    return last > UINT16_MAX ? UINT16_MAX : (uint16_t)last;
}

static bool build_listen(struct policy *policy)
{
    struct policy_tables *tables = &policy->tables;

    tables->listen = malloc(PROTOCOL_PORTS_COUNT * sizeof(*tables->listen));
    if (tables->listen == NULL)
        return false;
    memset(tables->listen, 0xff, PROTOCOL_PORTS_COUNT * sizeof(*tables->listen));
    _Static_assert(POLICY_NONE == 0xffff, "memset writes POLICY_NONE");
    for (size_t i = policy->forward_count;
         i-- > 0;) { /* backwards, so that the first of several stays */
        const struct forward *forward = &policy->forwards[i];

        for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
            if (!(forward->protocols & 1u << p))
                continue;
            for (uint32_t port = forward->listen.first; port <= forward->listen.last; port++)
                tables->listen[p][port] = (uint16_t)i;
        }
    }
    return true;
}

static bool build_buckets(struct policy *policy)
{
    policy->tables.buckets = calloc(policy->forward_count + 1, sizeof(*policy->tables.buckets));
    policy->tables.uses = calloc(policy->forward_count + 1, sizeof(*policy->tables.uses));
    return policy->tables.buckets != NULL && policy->tables.uses != NULL;
}

static int compare_sources(const void *left, const void *right)
{
    const struct source_entry *one = left, *other = right;
    int order = memcmp(&one->prefix.address, &other->prefix.address, sizeof(struct address));

    if (order != 0)
        return order;
    if (one->prefix.length != other->prefix.length)
        return one->prefix.length < other->prefix.length ? -1 : 1;
    return (int)other->share - (int)one->share; /* a search finds the last of equal ones first: the
                                                   first in the configuration */
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
    if (tables->sources == NULL)
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

static bool build_targets(struct policy *policy, enum protocol_index protocol)
{
    struct target_table *table = &policy->tables.targets[protocol];

    if (policy->forward_count == 0)
        return true;
    table->entries = malloc(policy->forward_count * FORWARD_TARGETS_MAX * sizeof(*table->entries));
    if (table->entries == NULL)
        return false;
    for (size_t i = 0; i < policy->forward_count; i++) {
        const struct forward *forward = &policy->forwards[i];

        for (size_t t = 0; forward->protocols & 1u << protocol && t < forward->target_count; t++)
            table->entries[table->count++] = (struct target_entry){
                .address = forward->target[t].address,
                .ports = {forward->target[t].port, target_last(forward, &forward->target[t])},
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
 * The protocol whose pool holds the ranges as they are configured. It has no ports, so forwards and
 * local sockets take nothing out of it.
 */
#define CONFIGURED (PROTOCOL_COUNT - 1)

_Static_assert(PROTOCOL_PORTS_COUNT < PROTOCOL_COUNT, "the last protocol has no ports");

/* Gives every share its pool, in the column of CONFIGURED. */
static bool assign_pools(struct policy *policy)
{
    struct policy_tables *tables = &policy->tables;

    if (policy->share_count == 0)
        return true;
    tables->pools = calloc(policy->share_count, sizeof(*tables->pools));
    if (tables->pools == NULL)
        return false;
    for (size_t s = 0; s < policy->share_count; s++) {
        struct share *share = &policy->shares[s];
        struct pool *configured = &tables->pools[tables->pool_count][CONFIGURED];
        size_t i;

        pool_from_ranges(configured, share->ports, share->ports_count);
        for (i = 0; i < tables->pool_count; i++) {
            const struct pool *other = &tables->pools[i][CONFIGURED];

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

/* Takes forwards and local sockets out of the pool of a protocol with ports. */
static void thin_pool(const struct policy *policy, enum protocol_index protocol, struct pool *pool)
{
    for (size_t i = 0; i < PORT_COUNT / 64; i++)
        pool->members[i] &= ~policy->excluded[protocol].members[i];
    for (uint32_t port = 0; port < PORT_COUNT; port++) {
        if (policy->tables.listen[protocol][port] != POLICY_NONE)
            pool->members[port / 64] &= ~(UINT64_C(1) << (port % 64));
    }
}

static void build_published(struct policy_tables *tables, enum protocol_index protocol)
{
    struct pool *published = &tables->published[protocol];

    for (size_t i = 0; i < tables->pool_count; i++) {
        for (size_t word = 0; word < PORT_COUNT / 64; word++)
            published->members[word] |= tables->pools[i][protocol].members[word];
    }
    for (uint32_t port = 0; protocol < PROTOCOL_PORTS_COUNT && port < PORT_COUNT; port++) {
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
        pool_measure(&tables->pools[i][CONFIGURED]);
        for (enum protocol_index p = 0; p < CONFIGURED; p++) {
            tables->pools[i][p] = tables->pools[i][CONFIGURED];
            if (p < PROTOCOL_PORTS_COUNT)
                thin_pool(policy, p, &tables->pools[i][p]);
            pool_measure(&tables->pools[i][p]);
        }
    }
    memset(tables->published, 0, sizeof(tables->published));
    for (enum protocol_index p = 0; p < PROTOCOL_COUNT; p++)
        build_published(tables, p);
    return true;
}

bool policy_tables_build(struct policy *policy)
{
    bool complete = build_listen(policy) && build_buckets(policy) && build_sources(policy);

    for (enum protocol_index p = 0; complete && p < PROTOCOL_PORTS_COUNT; p++)
        complete = build_targets(policy, p);
    return complete && build_pools(policy);
}

void policy_tables_free(struct policy_tables *tables)
{
    free(tables->listen);
    free(tables->pools);
    free(tables->sources);
    free(tables->buckets);
    free(tables->uses);
    for (size_t p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        free(tables->targets[p].entries);
    memset(tables, 0, sizeof(*tables));
}
