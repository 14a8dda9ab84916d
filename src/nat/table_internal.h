/*
 * table_internal.h - what table.c, mapping.c and host.c share: one index and its keys
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

static inline uint64_t table_hash(const struct table *table, const struct table_key *key)
{
    return hash_bytes(&table->key, key, sizeof(*key));
}

#endif
