/*
 * table_internal.h - what table.c, mapping.c, host.c and census.c share: one index and its keys,
 * and what is counted anew
 */
#ifndef PORTREEVE_TABLE_INTERNAL_H
#define PORTREEVE_TABLE_INTERNAL_H

#include "table.h"

/*
 * A node of the index is a slot times INDEX_NODES plus one of these: a session's key, or what else
 * the slot is of.
 */
enum {
    NODE_MAPPING = SESSION_KEYS,
    NODE_HOST,
    NODE_REMOTE, /* is in no index, only hashed (outside.c) */
    INDEX_NODES = 8,
};

/* What is hashed. */
struct table_key {
    struct compact_tuple tuple;
    uint8_t protocol;
    uint8_t kind; /* enum session_key, KEY_INITIATOR for both tuples; or NODE_ */
    uint16_t zero;
};

_Static_assert(sizeof(struct table_key) == 16, "a key that is hashed has no padding");

/* What was counted behind the walk (census.h). */
struct host_census {
    uint32_t sessions, mappings;
};

struct census {
    uint32_t sessions_seen, mappings_seen, hosts_seen; /* slots that the walk has passed */
    uint32_t sessions, mappings, hosts;                /* live ones among them */
    uint32_t by_remotes;                               /* sessions that count for the outside */
    uint32_t leased;                                   /* mappings that have a lease */
    uint32_t *mapping;                                 /* sessions that name each mapping */
    struct host_census *host;                          /* what each host has */
};

/* For the census. A host goes with the last of its sessions and mappings. */
static inline void table_host_came(struct table *table, uint32_t index)
{
    if (table->census != NULL && index < table->census->hosts_seen)
        table->census->hosts++;
}

static inline void table_host_gone(struct table *table, uint32_t index)
{
    if (table->census == NULL)
        return;
    table->census->host[index] = (struct host_census){0, 0};
    if (index < table->census->hosts_seen)
        table->census->hosts--;
}

static inline uint64_t table_hash(const struct table *table, const struct table_key *key)
{
    return hash_bytes(&table->key, key, sizeof(*key));
}

#endif
