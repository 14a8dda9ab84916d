#include "table_internal.h"

static uint64_t mapping_hash(const struct table *table, uint8_t protocol, compact_address internal,
                             uint16_t port)
{
    struct table_key key = {{internal, 0, port, 0}, protocol, NODE_MAPPING, 0};

    return table_hash(table, &key);
}

static uint64_t hash_of(const struct table *table, const struct mapping *mapping)
{
    return mapping_hash(table, mapping->protocol, mapping->internal, mapping->internal_port);
}

uint32_t mapping_find_internal(const struct table *table, uint8_t protocol,
                               const struct endpoint *internal)
{
    compact_address address = compact_address_of(&internal->address);
    struct index_search search =
        index_search(&table->index, mapping_hash(table, protocol, address, internal->port));
    uint32_t node;

    while ((node = index_next(&table->index, &search)) != INDEX_NONE) {
        const struct mapping *mapping = &table->mapping[node / INDEX_NODES];

        if (node % INDEX_NODES == NODE_MAPPING && mapping->protocol == protocol &&
            mapping->internal == address && mapping->internal_port == internal->port)
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
    return index;
}

void mapping_remove(struct table *table, uint32_t index)
{
    struct mapping *mapping = &table->mapping[index];

    index_remove(&table->index, hash_of(table, mapping), index * INDEX_NODES + NODE_MAPPING);
    mapping->sessions = 0;
    mapping->sharers = table->free_mapping;
    table->free_mapping = index;
    table->mappings_live--;
}
