#include "portreeve/table.h"

static uint32_t *host_bucket(const struct table *table, const struct address *address)
{
    return &table->host_bucket[hash_bytes(&table->key, address, sizeof(*address)) & table->bucket_mask];
}

static uint32_t host_find(const struct table *table, const struct address *address)
{
    uint32_t index = *host_bucket(table, address);

    while (index != INDEX_NONE && !address_equal(&table->host[index].address, address))
        index = table->host[index].next;
    return index;
}

/* The host's slot, a new one if it has none; INDEX_NONE when there is no room. */
static uint32_t host_find_or_add(struct table *table, const struct address *address)
{
    uint32_t index = host_find(table, address), *bucket;

    if (index != INDEX_NONE || table->free_host == INDEX_NONE)
        return index;
    index = table->free_host;
    bucket = host_bucket(table, address);
    table->free_host = table->host[index].next;
    table->host[index] = (struct host){.address = *address, .next = *bucket};
    *bucket = index;
    table->hosts_live++;
    return index;
}

static void host_drop_if_unused(struct table *table, uint32_t index)
{
    uint32_t *link;

    if (table->host[index].sessions > 0 || table->host[index].mappings > 0)
        return;
    link = host_bucket(table, &table->host[index].address);
    while (*link != index)
        link = &table->host[*link].next;
    *link = table->host[index].next;
    table->host[index].next = table->free_host;
    table->free_host = index;
    table->hosts_live--;
}

uint32_t host_get(struct table *table, const struct address *address, uint32_t limit)
{
    uint32_t index = limit > 0 ? host_find_or_add(table, address) : INDEX_NONE;

    if (index == INDEX_NONE || table->host[index].sessions >= limit)
        return INDEX_NONE;
    table->host[index].sessions++;
    return index;
}

void host_put(struct table *table, uint32_t index)
{
    table->host[index].sessions--;
    host_drop_if_unused(table, index);
}

uint32_t host_get_mapping(struct table *table, const struct address *address, uint32_t limit)
{
    uint32_t index = limit > 0 ? host_find_or_add(table, address) : INDEX_NONE;

    if (index == INDEX_NONE || table->host[index].mappings >= limit)
        return INDEX_NONE;
    table->host[index].mappings++;
    return index;
}

void host_put_mapping(struct table *table, uint32_t index)
{
    table->host[index].mappings--;
    host_drop_if_unused(table, index);
}

bool host_take_token(struct table *table, uint32_t index, uint32_t rate, uint64_t now)
{
    struct host *host = &table->host[index];
    uint64_t full = rate * UINT64_C(1000), earned = (now - host->filled) * rate;

    host->tokens = earned < full && host->tokens + earned < full ? host->tokens + earned : full;
    host->filled = now;
    if (host->tokens < 1000)
        return false;
    host->tokens -= 1000;
    return true;
}

uint32_t host_sessions(const struct table *table, const struct address *address)
{
    uint32_t index = host_find(table, address);

    return index == INDEX_NONE ? 0 : table->host[index].sessions;
}
