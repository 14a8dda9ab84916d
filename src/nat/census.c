/*
 * census.c - sessions and mappings counted anew, while they come and go
 *
 * A walk counts slot after slot. What changes behind the walk changes its counts at once, and what
 * changes before it is counted when it gets there. So after the walk the counts are true, and stay
 * so, and each can be compared with what the table says of it at any moment.
 */
#include "census.h"

#include "table_internal.h"

/* The host of the initiator; NULL if it is unknown, or no longer known. */
static struct host_census *host_of(struct table *table, compact_address address)
{
    const struct address host = compact_address_expand(address);
    uint32_t index = host_find(table, &host);

    return index == INDEX_NONE ? NULL : &table->census->host[index];
}

static bool was_seen(const struct table *table, const struct session *session)
{
    return table->census != NULL && session->live == SLOT_LIVE &&
           (uint32_t)(session - table->session) < table->census->sessions_seen;
}

void census_host(struct table *table, const struct session *session, uint32_t change)
{
    struct host_census *host;

    if (!was_seen(table, session))
        return;
    host = host_of(table, session->sent[ROLE_INITIATOR].source);
    if (host != NULL)
        host->sessions += change;
}

void census_remote(struct table *table, const struct session *session, uint32_t change)
{
    if (was_seen(table, session))
        table->census->by_remotes += change;
}

void census_session(struct table *table, uint32_t slot, uint32_t change)
{
    const struct session *session = &table->session[slot];
    struct census *census = table->census;

    if (census == NULL || slot >= census->sessions_seen)
        return;
    census->sessions += change;
    for (int role = 0; role < 2; role++) {
        uint32_t mapping = session_mapping(session, (enum role)role);

        if (mapping < table->mapping_capacity)
            census->mapping[mapping] += change;
    }
    if (session->has_host)
        census_host(table, session, change);
    if (session->has_remote)
        census_remote(table, session, change);
}

void census_mapping(struct table *table, uint32_t index, uint32_t change)
{
    struct host_census *host;

    if (table->census == NULL || index >= table->census->mappings_seen)
        return;
    table->census->mappings += change;
    if (table->mapping[index].leased)
        table->census->leased += change;
    host = host_of(table, table->mapping[index].internal);
    if (host != NULL)
        host->mappings += change;
}

void census_lease(struct table *table, uint32_t mapping, uint32_t change)
{
    if (table->census != NULL && mapping < table->census->mappings_seen)
        table->census->leased += change;
}
