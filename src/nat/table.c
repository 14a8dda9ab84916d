#include "portreeve/table.h"
#include "portreeve/offload.h"

#include <stdlib.h>
#include <string.h>

/* Tells the kinds of keys apart in one index; stands in tuple.reserved. */
enum key_kind {
    KIND_TUPLE,
    KIND_FILTER,
    KIND_TRANSIT,
};

const char *direction_name(enum direction direction)
{
    static const char *const names[] = {"outbound", "inbound", "hairpin"};

    return names[direction];
}

static struct links wheel_links(const struct table *table)
{
    return (struct links){(uint8_t *)&table->session[0].wheel_link, sizeof(struct session)};
}

static struct links age_links(const struct table *table)
{
    return (struct links){(uint8_t *)&table->session[0].age_link, sizeof(struct session)};
}

static uint32_t buckets_for(uint32_t entries)
{
    uint32_t buckets = 1024;

    while (buckets < entries)
        buckets *= 2;
    return buckets;
}

static uint32_t *bucket_array(uint32_t buckets)
{
    uint32_t *array = malloc(buckets * sizeof(*array));

    if (array != NULL)
        memset(array, 0xff, buckets * sizeof(*array)); /* INDEX_NONE */
    return array;
}

static void chain_free_slots(struct table *table)
{
    for (uint32_t i = 0; i < table->capacity; i++) {
        uint32_t next = i + 1 < table->capacity ? i + 1 : INDEX_NONE;

        if (table->session[i].live != SLOT_FREE)
            table->session[i].live = SLOT_CANDIDATE;
        table->session[i].key_next[0] = next;
        table->mapping[i].internal_next = next;
    }
    for (uint32_t i = 0; i < table->host_capacity; i++)
        table->host[i].next = i + 1 < table->host_capacity ? i + 1 : INDEX_NONE;
    table->free_session = table->free_mapping = table->free_host = 0;
}

bool table_init(struct table *table, uint32_t capacity, const struct hash_key *key, struct session *memory,
                uint64_t now)
{
    uint32_t buckets = buckets_for(capacity);

    *table = (struct table){
        .key = *key,
        .capacity = capacity,
        .host_capacity = capacity < 65536 ? capacity + 1 : 65536, /* one more: a full table evicts for a new host */
        .bucket_mask = buckets - 1,
        .next_id = 1,
        .session = memory != NULL ? memory : calloc(capacity, sizeof(struct session)),
        .session_is_ours = memory == NULL,
        .mapping = calloc(capacity, sizeof(struct mapping)),
        .bucket = bucket_array(buckets * 2),
        .internal_bucket = bucket_array(buckets),
        .external_bucket = bucket_array(buckets),
        .host_bucket = bucket_array(buckets),
        .wheel = malloc(sizeof(struct wheel)),
    };
    table->host = calloc(table->host_capacity, sizeof(struct host));
    if (!table->session || !table->mapping || !table->host || !table->bucket || !table->internal_bucket ||
        !table->external_bucket || !table->host_bucket || !table->wheel) {
        table_fini(table);
        return false;
    }
    chain_free_slots(table); /* writes to every page, so that no packet waits for one */
    for (int i = 0; i < AGE_LISTS; i++)
        list_init(&table->age[i]);
    wheel_init(table->wheel, wheel_links(table), now / 1000);
    return true;
}

void table_fini(struct table *table)
{
    if (table->session_is_ours)
        free(table->session);
    free(table->mapping);
    free(table->host);
    free(table->bucket);
    free(table->internal_bucket);
    free(table->external_bucket);
    free(table->host_bucket);
    free(table->wheel);
    memset(table, 0, sizeof(*table));
}

size_t table_memory(const struct table *table)
{
    size_t buckets = (size_t)table->bucket_mask + 1;

    return table->capacity * (sizeof(struct session) + sizeof(struct mapping)) +
           table->host_capacity * sizeof(struct host) + buckets * 5 * sizeof(uint32_t) + sizeof(struct wheel);
}

/* The index of tuples. A node names a session's slot and one of its keys. */

static uint32_t *tuple_bucket(const struct table *table, const struct tuple *key)
{
    uint64_t hash = hash_bytes(&table->key, key, sizeof(*key));

    return &table->bucket[hash & ((uint64_t)table->bucket_mask * 2 + 1)];
}

static struct tuple filter_key(uint8_t protocol, const struct endpoint *internal, const struct address *remote)
{
    return (struct tuple){
        .source = {*remote, 0}, .destination = *internal, .protocol = protocol, .reserved = KIND_FILTER};
}

static struct tuple transit_key(uint8_t protocol, const struct endpoint *one, const struct endpoint *other)
{
    bool ordered = memcmp(one, other, sizeof(*one)) <= 0;

    return (struct tuple){.source = ordered ? *one : *other,
                          .destination = ordered ? *other : *one,
                          .protocol = protocol,
                          .reserved = KIND_TRANSIT};
}

/* False when the session has no such key. */
static bool session_key(const struct session *session, enum session_key which, struct tuple *key)
{
    const struct tuple *initiator = &session->tuple[ROLE_INITIATOR], *responder = &session->tuple[ROLE_RESPONDER];

    switch (which) {
    case KEY_INITIATOR:
    case KEY_RESPONDER:
        *key = session->tuple[which];
        return true;
    case KEY_FILTER:
        *key = filter_key(initiator->protocol, &initiator->source, &initiator->destination.address);
        return session->direction != DIRECTION_INBOUND;
    default:
        *key = transit_key(initiator->protocol, &initiator->source, &responder->source);
        return session->direction == DIRECTION_HAIRPIN;
    }
}

static uint32_t find_node(const struct table *table, const struct tuple *key)
{
    for (uint32_t node = *tuple_bucket(table, key); node != INDEX_NONE;) {
        const struct session *session = &table->session[node / SESSION_KEYS];
        enum session_key which = node % SESSION_KEYS;
        struct tuple other;

        if (session_key(session, which, &other) && tuple_equal(&other, key))
            return node;
        node = session->key_next[which];
    }
    return INDEX_NONE;
}

uint32_t table_find(const struct table *table, const struct tuple *tuple, enum role *role)
{
    uint32_t node = find_node(table, tuple);

    if (node == INDEX_NONE)
        return INDEX_NONE;
    *role = node % SESSION_KEYS == KEY_INITIATOR ? ROLE_INITIATOR : ROLE_RESPONDER;
    return node / SESSION_KEYS;
}

uint32_t table_find_transit(const struct table *table, const struct tuple *transit, enum role *role)
{
    struct tuple key = transit_key(transit->protocol, &transit->source, &transit->destination);
    uint32_t node = find_node(table, &key), slot = node / SESSION_KEYS;

    if (node == INDEX_NONE)
        return INDEX_NONE;
    *role = endpoint_equal(&table->session[slot].tuple[ROLE_INITIATOR].source, &transit->source) ? ROLE_INITIATOR
                                                                                                 : ROLE_RESPONDER;
    return slot;
}

bool table_has_spoken_to(const struct table *table, uint8_t protocol, const struct endpoint *internal,
                         const struct address *remote)
{
    struct tuple key = filter_key(protocol, internal, remote);

    return find_node(table, &key) != INDEX_NONE;
}

static void index_session(struct table *table, uint32_t slot)
{
    for (uint32_t which = 0; which < SESSION_KEYS; which++) {
        struct tuple key;

        if (session_key(&table->session[slot], which, &key)) {
            uint32_t *bucket = tuple_bucket(table, &key);

            table->session[slot].key_next[which] = *bucket;
            *bucket = slot * SESSION_KEYS + which;
        }
    }
}

static void unindex_session(struct table *table, uint32_t slot)
{
    for (uint32_t which = 0; which < SESSION_KEYS; which++) {
        struct tuple key;
        uint32_t *link;

        if (!session_key(&table->session[slot], which, &key))
            continue;
        link = tuple_bucket(table, &key);
        while (*link != slot * SESSION_KEYS + which)
            link = &table->session[*link / SESSION_KEYS].key_next[*link % SESSION_KEYS];
        *link = table->session[slot].key_next[which];
    }
}

void table_reverse(struct table *table, uint32_t slot)
{
    struct session *session = &table->session[slot];
    const struct session before = *session;

    unindex_session(table, slot);
    for (int role = 0; role < 2; role++) {
        session->tuple[role] = before.tuple[!role];
        session->forward[role] = before.forward[!role];
        session->mapping[role] = before.mapping[!role];
        session->packets[role] = before.packets[!role];
        session->bytes[role] = before.bytes[!role];
    }
    if (before.direction == DIRECTION_OUTBOUND)
        session->direction = DIRECTION_INBOUND;
    else if (before.direction == DIRECTION_INBOUND)
        session->direction = DIRECTION_OUTBOUND;
    index_session(table, slot);
}

/* Life of a slot. */

uint32_t table_allocate(struct table *table)
{
    uint32_t slot = table->free_session;

    if (slot == INDEX_NONE)
        return INDEX_NONE;
    table->free_session = table->session[slot].key_next[0];
    table->session[slot] = (struct session){
        .share = POLICY_NONE,
        .forward = {POLICY_NONE, POLICY_NONE},
        .mapping = {INDEX_NONE, INDEX_NONE},
        .host = INDEX_NONE,
        .age_list = AGE_NONE,
        .offload = OFFLOAD_NO,
    };
    return slot;
}

void table_cancel(struct table *table, uint32_t slot)
{
    table->session[slot].live = SLOT_FREE;
    table->session[slot].key_next[0] = table->free_session;
    table->free_session = slot;
}

void table_activate(struct table *table, uint32_t slot, uint32_t timeout, uint64_t now)
{
    struct session *session = &table->session[slot];

    session->id = table->next_id++;
    session->created = session->last_seen = now;
    index_session(table, slot);
    session->wheel_slot = wheel_arm(table->wheel, slot, (now + timeout * UINT64_C(1000) + 999) / 1000);
    table_set_state(table, slot, session->state);
    table->live++;
    __atomic_store_n(&session->live, SLOT_LIVE, __ATOMIC_RELEASE); /* last: a crash before leaves a free slot */
}

void table_readmit(struct table *table, uint32_t slot, uint64_t due_ms)
{
    struct session *session = &table->session[slot];

    if (session->id >= table->next_id)
        table->next_id = session->id + 1;
    session->age_list = AGE_NONE;
    index_session(table, slot);
    session->wheel_slot = wheel_arm(table->wheel, slot, (due_ms + 999) / 1000);
    table_set_state(table, slot, session->state);
    table->live++;
    session->live = SLOT_LIVE;
}

void table_end_adoption(struct table *table)
{
    table->free_session = INDEX_NONE;
    for (uint32_t slot = table->capacity; slot-- > 0;) {
        if (table->session[slot].live != SLOT_LIVE)
            table_cancel(table, slot);
    }
}

void table_remove(struct table *table, uint32_t slot)
{
    struct session *session = &table->session[slot];

    __atomic_store_n(&session->live, SLOT_FREE, __ATOMIC_RELEASE);
    unindex_session(table, slot);
    wheel_disarm(table->wheel, slot, session->wheel_slot);
    if (session->age_list != AGE_NONE)
        list_remove(&table->age[session->age_list], age_links(table), slot);
    table->live--;
    table_cancel(table, slot);
}

static enum age_list age_list_of(enum session_state state)
{
    switch (state) {
    case STATE_CLOSED:
    case STATE_RESET:
        return AGE_CLOSED;
    case STATE_UNANSWERED:
    case STATE_OPENING:
    case STATE_ANSWERED_SYN:
        return AGE_UNANSWERED;
    default:
        return AGE_NONE;
    }
}

void table_set_state(struct table *table, uint32_t slot, enum session_state state)
{
    struct session *session = &table->session[slot];
    enum age_list list = age_list_of(state);

    session->state = (uint8_t)state;
    if (list == session->age_list)
        return;
    if (session->age_list != AGE_NONE)
        list_remove(&table->age[session->age_list], age_links(table), slot);
    if (list != AGE_NONE)
        list_append(&table->age[list], age_links(table), slot);
    session->age_list = (uint8_t)list;
}

void table_rearm(struct table *table, uint32_t slot, uint64_t due_ms)
{
    struct session *session = &table->session[slot];

    wheel_disarm(table->wheel, slot, session->wheel_slot);
    session->wheel_slot = wheel_arm(table->wheel, slot, (due_ms + 999) / 1000);
}

uint32_t table_oldest(const struct table *table, enum age_list list)
{
    return table->age[list].head;
}

uint32_t table_younger(const struct table *table, uint32_t slot)
{
    return list_next(age_links(table), slot);
}
