#include "portreeve/table.h"

struct mapping_key {
    struct endpoint endpoint;
    uint8_t protocol;
    uint8_t external;
};

_Static_assert(sizeof(struct mapping_key) == 20, "a key that is hashed has no padding");

static uint32_t *mapping_bucket(const struct table *table, uint8_t protocol, const struct endpoint *endpoint,
                                bool external)
{
    struct mapping_key key = {*endpoint, protocol, external};
    uint64_t hash = hash_bytes(&table->key, &key, sizeof(key));

    return &(external ? table->external_bucket : table->internal_bucket)[hash & table->bucket_mask];
}

uint32_t mapping_find_internal(const struct table *table, uint8_t protocol, const struct endpoint *internal)
{
    uint32_t index = *mapping_bucket(table, protocol, internal, false);

    while (index != INDEX_NONE && !(table->mapping[index].protocol == protocol &&
                                    endpoint_equal(&table->mapping[index].internal, internal)))
        index = table->mapping[index].internal_next;
    return index;
}

static bool has_external(const struct mapping *mapping, uint8_t protocol, const struct endpoint *external)
{
    return mapping->protocol == protocol && endpoint_equal(&mapping->external, external);
}

uint32_t mapping_find_external(const struct table *table, uint8_t protocol, const struct endpoint *external)
{
    uint32_t index = *mapping_bucket(table, protocol, external, true);

    while (index != INDEX_NONE && (table->mapping[index].is_overload ||
                                   !has_external(&table->mapping[index], protocol, external)))
        index = table->mapping[index].external_next;
    return index;
}

bool mapping_shares_port(const struct table *table, uint32_t index)
{
    const struct mapping *mapping = &table->mapping[index];
    uint32_t other = *mapping_bucket(table, mapping->protocol, &mapping->external, true);

    while (other != INDEX_NONE &&
           (other == index || !has_external(&table->mapping[other], mapping->protocol, &mapping->external)))
        other = table->mapping[other].external_next;
    return other != INDEX_NONE;
}

uint32_t mapping_add(struct table *table, const struct mapping *mapping)
{
    uint32_t index = table->free_mapping, *bucket;
    struct mapping *slot = &table->mapping[index];

    if (index == INDEX_NONE)
        return INDEX_NONE;
    table->free_mapping = slot->internal_next;
    *slot = *mapping;
    bucket = mapping_bucket(table, slot->protocol, &slot->internal, false);
    slot->internal_next = *bucket;
    *bucket = index;
    bucket = mapping_bucket(table, slot->protocol, &slot->external, true);
    slot->external_next = *bucket;
    *bucket = index;
    table->mappings_live++;
    return index;
}

void mapping_remove(struct table *table, uint32_t index)
{
    struct mapping *mapping = &table->mapping[index];
    uint32_t *link = mapping_bucket(table, mapping->protocol, &mapping->internal, false);

    while (*link != index)
        link = &table->mapping[*link].internal_next;
    *link = mapping->internal_next;
    link = mapping_bucket(table, mapping->protocol, &mapping->external, true);
    while (*link != index)
        link = &table->mapping[*link].external_next;
    *link = mapping->external_next;
    mapping->sessions = 0;
    mapping->internal_next = table->free_mapping;
    table->free_mapping = index;
    table->mappings_live--;
}
