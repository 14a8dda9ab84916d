/*
 * table.c - sessions, their keys and their places in the index, the wheel and the age lists
 */
#include "census.h"
#include "portreeve/offload.h"
#include "seal.h"
#include "table_internal.h"

#include <stdlib.h>
#include <string.h>

static struct links wheel_links(const struct table *table)
{
    return (struct links){(uint8_t *)&table->session[0].wheel_link, sizeof(struct session)};
}

static struct links age_links(const struct table *table)
{
    return (struct links){(uint8_t *)&table->session[0].age_link, sizeof(struct session)};
}

static struct links filter_links(const struct table *table)
{
    return (struct links){(uint8_t *)&table->session[0].filter_link, sizeof(struct session)};
}

static void chain_free_slots(struct table *table)
{
    for (uint32_t i = 0; i < table->capacity; i++) {
        uint32_t next = i + 1 < table->capacity ? i + 1 : INDEX_NONE;

        if (table->session[i].live != SLOT_FREE) {
            table->session[i].live = SLOT_CANDIDATE;
            table->has_candidates = true;
        }
        table->session[i].wheel_link.next = next;
    }
    for (uint32_t i = 0; i < table->mapping_capacity; i++)
        table->mapping[i].sharers = i + 1 < table->mapping_capacity ? i + 1 : INDEX_NONE;
    for (uint32_t i = 0; i < table->host_capacity; i++)
        table->host[i].tokens = i + 1 < table->host_capacity ? i + 1 : INDEX_NONE;
    table->free_session = table->free_mapping = table->free_host = 0;
}

uint32_t table_leases(uint32_t capacity)
{
    const uint32_t most = 4096;

    return capacity < most ? capacity : most;
}

bool table_init(struct table *table, uint32_t capacity, const struct hash_key *key,
                struct session *memory, uint64_t now)
{
    *table = (struct table){
        .key = *key,
        .capacity = capacity,
        .host_capacity = capacity < 65536
                             ? capacity + 1
                             : 65536, /* one more: a full table evicts for a new host */
        .next_id = 1,
        .session = memory,
        .lease_capacity = table_leases(capacity),
        .mapping_capacity = capacity + table_leases(capacity),
        .wheel = malloc(sizeof(struct wheel)),
    };
    table->mapping = calloc(table->mapping_capacity, sizeof(struct mapping));
    table->host = calloc(table->host_capacity, sizeof(struct host));
    if (table->mapping == NULL || table->host == NULL || table->wheel == NULL ||
        !index_init(&table->index,
                    capacity * SESSION_KEYS + table->mapping_capacity + table->host_capacity,
                    (table->mapping_capacity + 1) * INDEX_NODES)) {
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
    free(table->mapping);
    free(table->host);
    index_fini(&table->index);
    free(table->wheel);
    memset(table, 0, sizeof(*table));
}

size_t table_memory(const struct table *table)
{
    return table->capacity * sizeof(struct session) +
           table->mapping_capacity * sizeof(struct mapping) +
           table->host_capacity * sizeof(struct host) + index_memory(&table->index) +
           sizeof(struct wheel);
}

/* The keys of sessions. A node names a session's slot and one of its keys. */

static struct table_key tuple_key(uint8_t protocol, const struct tuple *tuple,
                                  enum session_key which)
{
    return (struct table_key){compact_tuple_of(tuple), protocol, (uint8_t)which, 0};
}

static struct table_key filter_key(uint8_t protocol, compact_address internal, uint16_t port,
                                   compact_address remote)
{
    return (struct table_key){{remote, internal, 0, port}, protocol, KEY_FILTER, 0};
}

static struct table_key transit_key(uint8_t protocol, compact_address one, uint16_t one_port,
                                    compact_address other, uint16_t other_port)
{
    if (one < other || (one == other && one_port <= other_port))
        return (struct table_key){{one, other, one_port, other_port}, protocol, KEY_TRANSIT, 0};
    return (struct table_key){{other, one, other_port, one_port}, protocol, KEY_TRANSIT, 0};
}

/*
 * False when the session has no such key. Both tuples are keys of one kind: a packet may carry
 * either.
 */
static bool session_key(const struct session *session, enum session_key which,
                        struct table_key *key)
{
    const struct compact_tuple *initiator = &session->sent[ROLE_INITIATOR];
    const struct compact_tuple *responder = &session->sent[ROLE_RESPONDER];
    uint8_t protocol = session_protocol(session);

    switch (which) {
    case KEY_INITIATOR:
    case KEY_RESPONDER:
        *key = (struct table_key){session->sent[which], protocol, KEY_INITIATOR, 0};
        return true;
    case KEY_FILTER:
        *key =
            filter_key(protocol, initiator->source, initiator->source_port, initiator->destination);
        return session->direction != DIRECTION_INBOUND;
    default:
        *key = transit_key(protocol, initiator->source, initiator->source_port, responder->source,
                           responder->source_port);
        return session->direction == DIRECTION_HAIRPIN;
    }
}

static uint32_t session_node(uint32_t slot, enum session_key which)
{
    return slot * INDEX_NODES + which;
}

static uint32_t find_node(const struct table *table, const struct table_key *key)
{
    struct index_search search = index_search(&table->index, table_hash(table, key));

    for (;;) {
        uint32_t node = index_next(&table->index, &search), which = node % INDEX_NODES;
        struct table_key other;

        if (node == INDEX_NONE ||
            (which < SESSION_KEYS &&
             session_key(&table->session[node / INDEX_NODES], which, &other) &&
             memcmp(&other, key, sizeof(other)) == 0))
            return node;
    }
}

uint32_t table_find(const struct table *table, const struct tuple *tuple, enum role *role)
{
    struct table_key key = tuple_key(tuple->protocol, tuple, KEY_INITIATOR);
    uint32_t node = find_node(table, &key);

    if (node == INDEX_NONE)
        return INDEX_NONE;
    *role = node % INDEX_NODES == KEY_INITIATOR ? ROLE_INITIATOR : ROLE_RESPONDER;
    return node / INDEX_NODES;
}

void table_prefetch(const struct table *table, const struct tuple *tuples, size_t count,
                    bool for_packets)
{
    uint64_t hash[TABLE_PREFETCH_MAX];

    if (count > TABLE_PREFETCH_MAX)
        count = TABLE_PREFETCH_MAX;
    for (size_t i = 0; i < count; i++) {
        struct table_key key = tuple_key(tuples[i].protocol, &tuples[i], KEY_INITIATOR);

        hash[i] = table_hash(table, &key);
        index_prefetch(&table->index, hash[i]);
    }
    for (size_t i = 0; i < count; i++) {
        struct index_search search = index_search(&table->index, hash[i]);
        uint32_t node = index_next(&table->index, &search);

        if (node != INDEX_NONE && node % INDEX_NODES < SESSION_KEYS) {
            const struct session *session = &table->session[node / INDEX_NODES];

            __builtin_prefetch(session, 1);
            if (for_packets && tuples[i].protocol == PROTOCOL_TCP)
                __builtin_prefetch(&session->tcp, 1);
        }
    }
}

uint32_t table_find_transit(const struct table *table, const struct tuple *transit, enum role *role)
{
    struct compact_tuple sent = compact_tuple_of(transit);
    struct table_key key = transit_key(transit->protocol, sent.source, sent.source_port,
                                       sent.destination, sent.destination_port);
    uint32_t node = find_node(table, &key), slot = node / INDEX_NODES;
    const struct compact_tuple *initiator;

    if (node == INDEX_NONE)
        return INDEX_NONE;
    initiator = &table->session[slot].sent[ROLE_INITIATOR];
    *role = initiator->source == sent.source && initiator->source_port == sent.source_port
                ? ROLE_INITIATOR
                : ROLE_RESPONDER;
    return slot;
}

bool table_has_spoken_to(const struct table *table, uint8_t protocol,
                         const struct endpoint *internal, const struct address *remote)
{
    struct table_key key = filter_key(protocol, compact_address_of(&internal->address),
                                      internal->port, compact_address_of(remote));

    return find_node(table, &key) != INDEX_NONE;
}

/*
 * One internal port may have sessions with many ports of one remote: their filter keys are equal.
 * Only the first of them is in the index.
 */
static void join_filter(struct table *table, uint32_t slot, const struct table_key *key)
{
    uint32_t first = find_node(table, key);

    table->session[slot].filter_link = (struct link){INDEX_NONE, INDEX_NONE};
    if (first == INDEX_NONE)
        index_add(&table->index, table_hash(table, key), session_node(slot, KEY_FILTER));
    else
        list_insert_after(filter_links(table), first / INDEX_NODES, slot);
}

static void leave_filter(struct table *table, uint32_t slot, const struct table_key *key)
{
    struct link *link = &table->session[slot].filter_link;
    uint64_t hash = table_hash(table, key);

    if (link->previous != INDEX_NONE)
        table->session[link->previous].filter_link.next = link->next;
    else if (link->next != INDEX_NONE)
        index_replace(&table->index, hash, session_node(slot, KEY_FILTER),
                      session_node(link->next, KEY_FILTER));
    else
        index_remove(&table->index, hash, session_node(slot, KEY_FILTER));
    if (link->next != INDEX_NONE)
        table->session[link->next].filter_link.previous = link->previous;
}

static void index_session(struct table *table, uint32_t slot)
{
    for (uint32_t which = 0; which < SESSION_KEYS; which++) {
        struct table_key key;

        if (!session_key(&table->session[slot], which, &key))
            continue;
        if (which == KEY_FILTER)
            join_filter(table, slot, &key);
        else
            index_add(&table->index, table_hash(table, &key), session_node(slot, which));
    }
}

static void unindex_session(struct table *table, uint32_t slot)
{
    for (uint32_t which = 0; which < SESSION_KEYS; which++) {
        struct table_key key;

        if (!session_key(&table->session[slot], which, &key))
            continue;
        if (which == KEY_FILTER)
            leave_filter(table, slot, &key);
        else
            index_remove(&table->index, table_hash(table, &key), session_node(slot, which));
    }
}

static uint16_t seal_of(const struct session *session)
{
    uint64_t sum = seal_words(1, session->sent, sizeof(session->sent) / (sizeof(uint64_t)));

    sum = seal_word(sum, (uint64_t)session->created << 8 | (uint64_t)session->direction << 4 |
                             session->protocol);
    return seal_end(seal_word(sum, session->id));
}

void table_seal(struct session *session)
{
    session->check = seal_of(session);
}

bool table_is_whole(const struct session *session)
{
    return session->check == seal_of(session);
}

void table_reverse(struct table *table, uint32_t slot)
{
    struct session *session = &table->session[slot];
    const struct session before = *session;

    unindex_session(table, slot);
    for (int role = 0; role < 2; role++) {
        session->sent[role] = before.sent[!role];
        session->side[role] = before.side[!role];
        session->packets_low[role] = before.packets_low[!role];
        session->packets_high[role] = before.packets_high[!role];
        session->bytes[role] = before.bytes[!role];
    }
    if (before.direction == DIRECTION_OUTBOUND)
        session->direction = DIRECTION_INBOUND;
    else if (before.direction == DIRECTION_INBOUND)
        session->direction = DIRECTION_OUTBOUND;
    table_seal(session);
    index_session(table, slot);
}

/* Life of a slot. */

uint32_t table_allocate(struct table *table)
{
    uint32_t slot = table->free_session;

    if (slot == INDEX_NONE)
        return INDEX_NONE;
    table->free_session = table->session[slot].wheel_link.next;
    table->session[slot] =
        (struct session){.share = UINT8_MAX, .side = {SIDE_NONE, SIDE_NONE}, .offload = OFFLOAD_NO};
    return slot;
}

void table_cancel(struct table *table, uint32_t slot)
{
    table->session[slot].live = SLOT_FREE;
    table->session[slot].wheel_link.next = table->free_session;
    table->free_session = slot;
}

void table_arm(struct table *table, uint32_t slot, uint64_t due_ms)
{
    table->session[slot].wheel_slot =
        wheel_arm(table->wheel, slot, (due_ms + 999) / 1000) & (WHEEL_SLOTS - 1u);
}

/* Into the index, the wheel and the age list. */
static void enter(struct table *table, uint32_t slot, uint64_t due_ms)
{
    struct session *session = &table->session[slot];
    enum age_list list = session_age_list(session);

    index_session(table, slot);
    table_arm(table, slot, due_ms);
    if (list != AGE_NONE)
        list_append(&table->age[list], age_links(table), slot);
    table->live++;
    __atomic_signal_fence(__ATOMIC_RELEASE);
    session->live = SLOT_LIVE; /* last: a process that is killed before leaves a free slot */
    census_session(table, slot, CENSUS_MORE);
}

void table_activate(struct table *table, uint32_t slot, uint32_t timeout, uint64_t now)
{
    struct session *session = &table->session[slot];

    session->id = table->next_id++ & SESSION_ID_MAX;
    session->created = (uint32_t)(now >> 6);
    session->last_seen = (uint32_t)now;
    table_seal(session);
    enter(table, slot, now + timeout * UINT64_C(1000));
}

void table_readmit(struct table *table, uint32_t slot, uint64_t due_ms)
{
    struct session *session = &table->session[slot];

    if (session->id >= table->next_id)
        table->next_id = session->id + 1;
    enter(table, slot, due_ms);
}

void table_end_adoption(struct table *table)
{
    table->free_session = INDEX_NONE;
    table->has_candidates = false;
    for (uint32_t slot = table->capacity; slot-- > 0;) {
        if (table->session[slot].live != SLOT_LIVE)
            table_cancel(table, slot);
    }
}

void table_remove(struct table *table, uint32_t slot)
{
    struct session *session = &table->session[slot];

    census_session(table, slot, CENSUS_LESS);
    session->live = SLOT_FREE; /* first: a crash after this leaves a free slot */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    session->check ^= UINT16_MAX; /* a damaged `live` does not bring it back */
    unindex_session(table, slot);
    wheel_disarm(table->wheel, slot, session->wheel_slot);
    if (session_age_list(session) != AGE_NONE)
        list_remove(&table->age[session_age_list(session)], age_links(table), slot);
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

enum age_list session_age_list(const struct session *session)
{
    return age_list_of((enum session_state)session->state);
}

void table_set_state(struct table *table, uint32_t slot, enum session_state state)
{
    struct session *session = &table->session[slot];
    enum age_list before = session_age_list(session), after = age_list_of(state);

    session->state = state & 15;
    if (before == after)
        return;
    if (before != AGE_NONE)
        list_remove(&table->age[before], age_links(table), slot);
    if (after != AGE_NONE)
        list_append(&table->age[after], age_links(table), slot);
}

void table_rearm(struct table *table, uint32_t slot, uint64_t due_ms)
{
    wheel_disarm(table->wheel, slot, table->session[slot].wheel_slot);
    table_arm(table, slot, due_ms);
}

uint32_t table_oldest(const struct table *table, enum age_list list)
{
    return table->age[list].head;
}

uint32_t table_younger(const struct table *table, uint32_t slot)
{
    return list_next(age_links(table), slot);
}

/* Consistency (check.c) */

/* The slot that the index has under this key of the session. */
static uint32_t indexed(const struct table *table, uint32_t slot, enum session_key which)
{
    struct table_key key;
    uint32_t node;

    if (!session_key(&table->session[slot], which, &key))
        return slot; /* it has no such key */
    node = find_node(table, &key);
    return node == INDEX_NONE ? INDEX_NONE : node / INDEX_NODES;
}

static bool is_filtered(const struct table *table, uint32_t slot)
{
    const struct session *session = &table->session[slot];
    const struct link *link = &session->filter_link;
    struct table_key key;

    if (!session_key(session, KEY_FILTER, &key))
        return true;
    return link->previous == INDEX_NONE
               ? indexed(table, slot, KEY_FILTER) == slot
               : link->previous < table->capacity &&
                     table->session[link->previous].live == SLOT_LIVE &&
                     table->session[link->previous].filter_link.next == slot;
}

/* The next free slot is in the table, and free; before the adoption it may be a candidate. */
static bool is_free(const struct table *table, uint32_t slot)
{
    uint32_t next = table->session[slot].wheel_link.next;

    return table->has_candidates ||
           (table->session[slot].live == SLOT_FREE &&
            (next == INDEX_NONE ||
             (next < table->capacity && table->session[next].live == SLOT_FREE)));
}

unsigned table_wrongs(const struct table *table, uint32_t slot)
{
    const struct session *session = &table->session[slot];
    enum age_list age = session_age_list(session);
    unsigned wrong = 0;

    if (session->live != SLOT_LIVE)
        return is_free(table, slot) ? 0 : TABLE_NOT_FREE;
    for (int which = 0; which < SESSION_KEYS; which++) {
        if (which != KEY_FILTER && indexed(table, slot, (enum session_key)which) != slot)
            wrong |= TABLE_NOT_INDEXED;
    }
    if (!is_filtered(table, slot))
        wrong |= TABLE_NOT_FILTERED;
    if (!list_holds(&table->wheel->slot[session->wheel_slot], wheel_links(table), table->capacity,
                    slot))
        wrong |= TABLE_NOT_ARMED;
    if (age != AGE_NONE && !list_holds(&table->age[age], age_links(table), table->capacity, slot))
        wrong |= TABLE_NOT_IN_AGE_LIST;
    return wrong;
}
