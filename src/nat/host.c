/*
 * host.c - internal hosts, counted as long as they have sessions or mappings
 */
#include "table_internal.h"

static uint64_t host_hash(const struct table *table, compact_address address)
{
    struct table_key key = {{address, 0, 0, 0}, 0, NODE_HOST, 0};

    return table_hash(table, &key);
}

static uint32_t find(const struct table *table, compact_address address)
{
    struct index_search search = index_search(&table->index, host_hash(table, address));
    uint32_t node;

    while ((node = index_next(&table->index, &search)) != INDEX_NONE) {
        if (node % INDEX_NODES == NODE_HOST && table->host[node / INDEX_NODES].address == address)
            return node / INDEX_NODES;
    }
    return INDEX_NONE;
}

uint32_t host_find(const struct table *table, const struct address *address)
{
    return find(table, compact_address_of(address));
}

/* The host's slot, a new one if it has none; INDEX_NONE when there is no room. */
static uint32_t host_find_or_add(struct table *table, const struct address *address)
{
    compact_address compact = compact_address_of(address);
    uint32_t index = find(table, compact);

    if (index != INDEX_NONE || table->free_host == INDEX_NONE)
        return index;
    index = table->free_host;
    table->free_host = table->host[index].tokens;
    table->host[index] = (struct host){.address = compact};
    index_add(&table->index, host_hash(table, compact), index * INDEX_NODES + NODE_HOST);
    table->hosts_live++;
    table_host_came(table, index);
    return index;
}

static void host_drop_if_unused(struct table *table, uint32_t index)
{
    struct host *host = &table->host[index];

    if (host_is_used(host))
        return;
    index_remove(&table->index, host_hash(table, host->address), index * INDEX_NODES + NODE_HOST);
    host->tokens = table->free_host;
    table->free_host = index;
    table->hosts_live--;
    table_host_gone(table, index);
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

uint32_t host_get_mapping(struct table *table, const struct address *address, uint8_t protocol,
                          uint32_t limit)
{
    uint32_t index = limit > 0 ? host_find_or_add(table, address) : INDEX_NONE;

    if (index == INDEX_NONE || host_mappings(&table->host[index]) >= limit)
        return INDEX_NONE;
    table->host[index].mappings[protocol_index(protocol)]++;
    return index;
}

void host_put_mapping(struct table *table, uint32_t index, uint8_t protocol)
{
    table->host[index].mappings[protocol_index(protocol)]--;
    host_drop_if_unused(table, index);
}

bool host_has_token(struct table *table, uint32_t index, uint32_t rate, uint64_t now)
{
    struct host *host = &table->host[index];
    uint64_t full = rate * UINT64_C(1000), earned = (now - host->filled) * rate;

    earned = earned < full ? earned + host->tokens : full;
    host->tokens = (uint32_t)(earned < full ? earned : full);
    host->filled = now;
    return host->tokens >= 1000;
}

bool host_take_token(struct table *table, uint32_t index, uint32_t rate, uint64_t now)
{
    bool has = host_has_token(table, index, rate, now);

    if (has)
        table->host[index].tokens -= 1000;
    return has;
}

uint32_t host_sessions(const struct table *table, const struct address *address)
{
    uint32_t index = host_find(table, address);

    return index == INDEX_NONE ? 0 : table->host[index].sessions;
}
