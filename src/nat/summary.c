/*
 * summary.c - how large a translator is, and how full
 */
#include "external.h"
#include "nat_internal.h"

uint32_t nat_slots(const struct nat *nat)
{
    return nat->table.mapping_capacity;
}

size_t nat_memory_needed(uint32_t sessions)
{
    return sessions * sizeof(struct session) + table_leases(sessions) * sizeof(struct lease);
}

void nat_summarize(const struct nat *nat, struct nat_summary *summary)
{
    *summary = (struct nat_summary){
        .sessions = nat->table.live,
        .sessions_max = nat->table.capacity,
        .mappings = nat->table.mappings_live,
        .hosts = nat->table.hosts_live,
        .leases = nat->leases.live,
        .counters = nat->counters,
        .offloaded = nat->offload.used,
        .offloaded_max = nat->offload.capacity,
        .offload_memory = nat->offload.capacity * sizeof(*nat->offload.entry),
        .offload = nat->offload.counters,
    };
}

void nat_each_array(const struct nat *nat, void (*each)(void *start, size_t length))
{
    const struct table *table = &nat->table;

    each(table->session, table->capacity * sizeof(*table->session));
    each(table->mapping, table->mapping_capacity * sizeof(*table->mapping));
    each(table->index.line, index_memory(&table->index));
}

size_t nat_memory(const struct nat *nat)
{
    return sizeof(*nat) + table_memory(&nat->table) +
           nat->table.lease_capacity * sizeof(struct lease) + EVENT_RING * sizeof(struct event) +
           EXTERNAL_ADDRESSES_MAX * PROTOCOL_COUNT * sizeof(struct port_space);
}

void nat_pool_use(struct nat *nat, uint16_t share, uint8_t protocol, uint64_t now, uint32_t *used,
                  uint32_t *size)
{
    const struct pool *pool = policy_pool(nat->policy, share, protocol);

    *used = *size = 0;
    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_valid[i]) {
            *used += ports_used(external_port_space(nat, i, protocol), pool, now);
            *size += pool->size;
        }
    }
}
