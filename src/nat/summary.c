/*
 * summary.c - how large a translator is, and how full
 */
#include "external.h"
#include "nat_internal.h"
#include "outside.h"
#include "refusals.h"

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
        .outside = nat->outside.sessions,
        .outside_max = outside_limit(nat->policy),
        .remote_max = outside_limit_of_remote(nat->policy),
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
           EXTERNAL_ADDRESSES_MAX * PROTOCOL_COUNT * sizeof(struct port_space) + outside_memory() +
           REFUSALS_MAX * sizeof(struct refusal);
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

bool nat_pool_is_short(struct nat *nat, uint16_t share, uint8_t protocol, uint32_t percent,
                       uint64_t now, struct nat_pool_level *level)
{
    const struct pool *pool = policy_pool(nat->policy, share, protocol);
    uint32_t short_of = pool->size - (uint32_t)(((uint64_t)pool->size * percent + 99) / 100) + 1;

    *level = (struct nat_pool_level){.size = pool->size};
    for (size_t i = 0; pool->size > 0 && i < EXTERNAL_ADDRESSES_MAX; i++) {
        struct port_space *space = external_port_space(nat, i, protocol);
        uint32_t used;

        if (!nat->external_valid[i] || ports_has_free(space, pool, short_of, now))
            continue;
        used = ports_used(space, pool, now);
        if (used >= level->used)
            *level = (struct nat_pool_level){nat->external[i], used, pool->size};
    }
    return level->used > 0;
}

static void note_most(struct nat_most *most, const struct host *host, uint32_t count)
{
    if (count > most->count)
        *most = (struct nat_most){compact_address_expand(host->address), count};
}

/* True when the mappings of this host count in the survey. */
static bool concerns(const struct nat *nat, const struct nat_survey *survey,
                     const struct host *host)
{
    struct address address = compact_address_expand(host->address);
    uint16_t share;

    if (survey->share == POLICY_NONE)
        return true;
    share = policy_share_of(nat->policy, &address);
    return share != POLICY_NONE && policy_pool(nat->policy, share, PROTOCOL_TCP) ==
                                       policy_pool(nat->policy, survey->share, PROTOCOL_TCP);
}

bool nat_survey_hosts(const struct nat *nat, struct nat_survey *survey, uint32_t budget)
{
    const struct table *table = &nat->table;

    for (; budget > 0 && survey->seen < table->hosts_live && survey->next < table->host_capacity;
         budget--, survey->next++) {
        const struct host *host = &table->host[survey->next];
        uint32_t mappings = survey->protocol == 0
                                ? host_mappings(host)
                                : host->mappings[protocol_index(survey->protocol)];

        survey->seen += host_is_used(host);
        survey->all_sessions += host->sessions;
        note_most(&survey->sessions, host, host->sessions);
        if (mappings > survey->mappings.count && concerns(nat, survey, host))
            note_most(&survey->mappings, host, mappings);
    }
    return survey->seen < table->hosts_live && survey->next < table->host_capacity;
}
