/*
 * mapping.c - mappings: found by either endpoint, entered and released, with their ports
 *
 * The index knows a mapping by its internal endpoint and uplink; the port space of its external
 * address knows the mapping that a port belongs to, and that mapping counts those which share the
 * port.
 */
#include "mapping.h"

#include "census.h"
#include "external.h"
#include "table_internal.h"

static uint64_t mapping_hash(const struct table *table, uint8_t protocol, compact_address internal,
                             uint16_t port, uint8_t uplink)
{
    struct table_key key = {{internal, 0, port, uplink}, protocol, NODE_MAPPING, 0};

    return table_hash(table, &key);
}

static uint64_t hash_of(const struct table *table, const struct mapping *mapping)
{
    return mapping_hash(table, mapping->protocol, mapping->internal, mapping->internal_port,
                        mapping->uplink);
}

uint32_t mapping_find_internal(const struct table *table, uint8_t protocol,
                               const struct endpoint *internal, uint8_t uplink)
{
    compact_address address = compact_address_of(&internal->address);
    struct index_search search =
        index_search(&table->index, mapping_hash(table, protocol, address, internal->port, uplink));
    uint32_t node;

    while ((node = index_next(&table->index, &search)) != INDEX_NONE) {
        const struct mapping *mapping = &table->mapping[node / INDEX_NODES];

        if (node % INDEX_NODES == NODE_MAPPING && mapping->protocol == protocol &&
            mapping->internal == address && mapping->internal_port == internal->port &&
            mapping->uplink == uplink)
            return node / INDEX_NODES;
    }
    return INDEX_NONE;
}

uint32_t mapping_add(struct table *table, const struct mapping *mapping)
{
    uint32_t index = table->free_mapping;

    if (index == INDEX_NONE)
        return INDEX_NONE;
    table->free_mapping = table->mapping[index].sharers;
    table->mapping[index] = *mapping;
    index_add(&table->index, hash_of(table, mapping), index * INDEX_NODES + NODE_MAPPING);
    table->mappings_live++;
    census_mapping(table, index, CENSUS_MORE);
    return index;
}

void mapping_remove(struct table *table, uint32_t index)
{
    struct mapping *mapping = &table->mapping[index];

    census_mapping(table, index, CENSUS_LESS);
    index_remove(&table->index, hash_of(table, mapping), index * INDEX_NODES + NODE_MAPPING);
    *mapping = (struct mapping){0};
    mapping->sharers = table->free_mapping;
    table->free_mapping = index;
    table->mappings_live--;
}

static struct port_space *space_of(const struct nat *nat, const struct mapping *mapping)
{
    return external_port_space(nat, mapping->external_index, mapping->protocol);
}

struct endpoint mapping_external(const struct nat *nat, const struct mapping *mapping)
{
    return (struct endpoint){nat->external[mapping->external_index], mapping->external_port};
}

uint32_t mapping_find_external(const struct nat *nat, uint8_t protocol,
                               const struct endpoint *external)
{
    size_t index = external_find(nat, &external->address);
    uint32_t holder;

    if (index == EXTERNAL_ADDRESSES_MAX)
        return INDEX_NONE;
    holder = ports_holder(external_port_space(nat, index, protocol), external->port);
    return holder < HOLDER_SHARED ? holder : INDEX_NONE;
}

bool mapping_shares_port(const struct nat *nat, uint32_t index)
{
    const struct mapping *mapping = &nat->table.mapping[index];

    return mapping->is_overload
               ? ports_holder(space_of(nat, mapping), mapping->external_port) != HOLDER_SHARED + 1
               : mapping->sharers > 0;
}

/* Counts one sharer of a port more or less, at the place where they are counted now. */
static void count_sharer(struct nat *nat, const struct mapping *mapping, uint32_t change)
{
    struct port_space *space = space_of(nat, mapping);
    uint32_t holder = ports_holder(space, mapping->external_port);

    if (holder < HOLDER_SHARED)
        nat->table.mapping[holder].sharers += change;
    else
        ports_set_holder(space, mapping->external_port, holder + change);
}

uint32_t mapping_enter(struct nat *nat, const struct mapping *mapping)
{
    uint32_t index = mapping_add(&nat->table, mapping);

    if (index == INDEX_NONE)
        return INDEX_NONE;
    if (mapping->is_overload) {
        count_sharer(nat, mapping, 1);
    } else {
        nat->table.mapping[index].sharers =
            ports_holder(space_of(nat, mapping), mapping->external_port) - HOLDER_SHARED;
        ports_set_holder(space_of(nat, mapping), mapping->external_port, index);
    }
    return index;
}

/* A mapping ends whose port others share. */
static void leave_port(struct nat *nat, uint32_t index)
{
    const struct mapping *mapping = &nat->table.mapping[index];

    if (mapping->is_overload)
        count_sharer(nat, mapping, UINT32_MAX); /* one less */
    else
        ports_set_holder(space_of(nat, mapping), mapping->external_port,
                         HOLDER_SHARED + mapping->sharers);
}

uint16_t mapping_share(const struct nat *nat, uint32_t index)
{
    const struct mapping *mapping = &nat->table.mapping[index];
    struct address internal = mapping_internal(mapping).address;
    uint16_t share = policy_share_of(nat->policy, &internal);

    if (share == POLICY_NONE || !nat->external_valid[mapping->external_index] ||
        !pool_contains(policy_pool(nat->policy, share, mapping->protocol), mapping->external_port))
        return POLICY_NONE;
    return share;
}

static void release(struct nat *nat, uint32_t index, bool hold, uint64_t now)
{
    const struct mapping *mapping = &nat->table.mapping[index];
    struct address internal = mapping_internal(mapping).address;

    if (mapping_shares_port(nat, index))
        leave_port(nat, index);
    else
        ports_release(space_of(nat, mapping), mapping->external_port, hold, now);
    host_put_mapping(&nat->table, host_find(&nat->table, &internal), mapping->protocol);
    mapping_remove(&nat->table, index);
}

void mapping_release_unused(struct nat *nat, uint32_t index, bool hold, uint64_t now)
{
    if (nat->table.mapping[index].sessions == 0 && !nat->table.mapping[index].leased)
        release(nat, index, hold, now);
}
