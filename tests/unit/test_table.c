/*
 * test_table.c - the translation table beside a list of sessions that is searched from front to
 * back
 *
 * The universe is small (four internal, four external, four remote endpoints), so that keys meet
 * often: hairpins share internal endpoints, and many sessions have the same filter key.
 */
#include "nat_internal.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

enum {
    CAPACITY = 40,
    EACH = 4,
};

static struct endpoint internal(uint32_t i)
{
    return (struct endpoint){address_from_ipv4(0x0a000001 + i / 2), (uint16_t)(1000 + i)};
}

static struct endpoint external(uint32_t i)
{
    return (struct endpoint){address_from_ipv4(0xcb007105), (uint16_t)(50000 + i)};
}

static struct endpoint remote(uint32_t i)
{
    return (struct endpoint){address_from_ipv4(0xc6336401 + i / 2), (uint16_t)(80 + i)};
}

struct entry {
    uint32_t slot;
    uint64_t id;
    struct tuple tuple[2];
    enum direction direction;
    enum session_state state;
    uint64_t listed; /* when it joined its age list */
};

struct model {
    struct table table;
    struct entry entry[CAPACITY];
    uint32_t count;
    uint64_t clock, now;
};

static struct model *model_new(void)
{
    static struct session memory[CAPACITY];
    struct model *model = calloc(1, sizeof(*model));

    ck_assert_ptr_nonnull(model);
    memset(memory, 0, sizeof(memory));
    model->now = 5000000;
    ck_assert(table_init(&model->table, CAPACITY, &(struct hash_key){{1, 2}}, memory, model->now));
    return model;
}

static void model_free(struct model *model)
{
    table_fini(&model->table);
    free(model);
}

static void fill_tuples(struct chance *chance, enum direction direction, struct tuple tuple[2])
{
    uint8_t protocol = chance_one_in(chance, 2) ? PROTOCOL_TCP : PROTOCOL_UDP;
    struct endpoint in = internal(chance_below(chance, EACH)),
                    out = external(chance_below(chance, EACH));
    struct endpoint peer = internal(chance_below(chance, EACH)),
                    other = external(chance_below(chance, EACH));
    struct endpoint far = remote(chance_below(chance, EACH));

    memset(tuple, 0, 2 * sizeof(*tuple));
    tuple[0].protocol = tuple[1].protocol = protocol;
    switch (direction) {
    case DIRECTION_OUTBOUND:
        tuple[0].source = in, tuple[0].destination = far;
        tuple[1].source = far, tuple[1].destination = out;
        break;
    case DIRECTION_INBOUND:
        tuple[0].source = far, tuple[0].destination = out;
        tuple[1].source = in, tuple[1].destination = far;
        break;
    default:
        tuple[0].source = in, tuple[0].destination = other;
        tuple[1].source = peer, tuple[1].destination = out;
    }
}

static const struct entry *model_find(const struct model *model, const struct tuple *tuple,
                                      enum role *role)
{
    for (uint32_t i = 0; i < model->count; i++) {
        for (int side = 0; side < 2; side++) {
            if (memcmp(&model->entry[i].tuple[side], tuple, sizeof(*tuple)) == 0) {
                *role = (enum role)side;
                return &model->entry[i];
            }
        }
    }
    return NULL;
}

static int age_of(enum session_state state)
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

static void model_open(struct model *model, struct chance *chance)
{
    enum direction direction = (enum direction)chance_below(chance, 3);
    struct entry entry = {.direction = direction, .listed = ++model->clock};
    struct session *session;
    enum role role;

    fill_tuples(chance, direction, entry.tuple);
    if (model_find(model, &entry.tuple[0], &role) != NULL ||
        model_find(model, &entry.tuple[1], &role) != NULL)
        return;
    entry.state = entry.tuple[0].protocol == PROTOCOL_TCP ? STATE_OPENING : STATE_UNANSWERED;
    entry.slot = table_allocate(&model->table);
    seeded(chance, (entry.slot == INDEX_NONE) == (model->count == CAPACITY));
    if (entry.slot == INDEX_NONE)
        return;
    session = &model->table.session[entry.slot];
    seeded(chance, session_mapping(session, ROLE_INITIATOR) == INDEX_NONE && !session->has_host);
    if (chance_one_in(chance, 10)) {
        table_cancel(&model->table, entry.slot);
        return;
    }
    session_set_tuples(session, entry.tuple);
    session->direction = direction & 3;
    session->state = entry.state & 15;
    table_activate(&model->table, entry.slot, 300, model->now);
    entry.id = session->id;
    model->entry[model->count++] = entry;
}

static void model_close(struct model *model, struct chance *chance)
{
    uint32_t i;

    if (model->count == 0)
        return;
    i = chance_below(chance, model->count);
    table_remove(&model->table, model->entry[i].slot);
    model->entry[i] = model->entry[--model->count];
}

static void model_change(struct model *model, struct chance *chance)
{
    struct entry *entry;
    enum session_state next;

    if (model->count == 0)
        return;
    entry = &model->entry[chance_below(chance, model->count)];
    next = (enum session_state)(STATE_OPENING + chance_below(chance, STATE_COUNT - STATE_OPENING));
    if (entry->tuple[0].protocol != PROTOCOL_TCP)
        next = chance_one_in(chance, 2) ? STATE_ANSWERED : STATE_UNANSWERED;
    if (age_of(next) != age_of(entry->state))
        entry->listed = ++model->clock;
    entry->state = next;
    table_set_state(&model->table, entry->slot, next);
}

static void check_tuple(const struct model *model, struct chance *chance, const struct tuple *tuple)
{
    enum role role = ROLE_INITIATOR, expected_role = ROLE_INITIATOR;
    const struct entry *entry = model_find(model, tuple, &expected_role);
    uint32_t slot = table_find(&model->table, tuple, &role);

    if (entry == NULL) {
        seeded(chance, slot == INDEX_NONE);
        return;
    }
    seeded(chance, slot == entry->slot);
    /* A host that speaks to its own external endpoint is both sides of its session. */
    seeded(chance, role == expected_role || tuple_equal(&entry->tuple[0], &entry->tuple[1]));
    seeded(chance, model->table.session[slot].id == entry->id &&
                       model->table.session[slot].live == SLOT_LIVE);
}

/* A random pair of any endpoints, so mostly ones that no session has. */
static void check_random_tuple(const struct model *model, struct chance *chance)
{
    struct endpoint any[3] = {internal(chance_below(chance, EACH)),
                              external(chance_below(chance, EACH)),
                              remote(chance_below(chance, EACH))};
    struct tuple tuple = {any[chance_below(chance, 3)], any[chance_below(chance, 3)], PROTOCOL_UDP,
                          0};

    if (chance_one_in(chance, 2))
        tuple.protocol = PROTOCOL_TCP;
    check_tuple(model, chance, &tuple);
}

static void check_filter(const struct model *model, struct chance *chance)
{
    uint8_t protocol = chance_one_in(chance, 2) ? PROTOCOL_TCP : PROTOCOL_UDP;
    struct endpoint in = internal(chance_below(chance, EACH)),
                    out = external(chance_below(chance, EACH));
    struct address far =
        chance_one_in(chance, 4) ? out.address : remote(chance_below(chance, EACH)).address;
    bool spoken = false;

    for (uint32_t i = 0; i < model->count; i++) {
        const struct entry *entry = &model->entry[i];

        spoken |= entry->direction != DIRECTION_INBOUND && entry->tuple[0].protocol == protocol &&
                  endpoint_equal(&entry->tuple[0].source, &in) &&
                  address_equal(&entry->tuple[0].destination.address, &far);
    }
    seeded(chance, table_has_spoken_to(&model->table, protocol, &in, &far) == spoken);
}

/*
 * Several hairpins may join the same two endpoints; any of them is right, with the role that fits.
 */
static void check_transit(const struct model *model, struct chance *chance)
{
    struct tuple transit = {internal(chance_below(chance, EACH)),
                            internal(chance_below(chance, EACH)),
                            chance_one_in(chance, 2) ? PROTOCOL_TCP : PROTOCOL_UDP, 0};
    enum role role = ROLE_INITIATOR;
    uint32_t slot = table_find_transit(&model->table, &transit, &role), matching = 0;
    bool found = false;

    for (uint32_t i = 0; i < model->count; i++) {
        const struct entry *entry = &model->entry[i];
        bool forth = endpoint_equal(&entry->tuple[0].source, &transit.source) &&
                     endpoint_equal(&entry->tuple[1].source, &transit.destination);
        bool back = endpoint_equal(&entry->tuple[1].source, &transit.source) &&
                    endpoint_equal(&entry->tuple[0].source, &transit.destination);

        if (entry->direction != DIRECTION_HAIRPIN || entry->tuple[0].protocol != transit.protocol)
            continue;
        matching += forth || back;
        found |= entry->slot == slot && (role == ROLE_INITIATOR ? forth : back);
    }
    seeded(chance, found == (matching > 0) && (slot == INDEX_NONE) == (matching == 0));
}

static void check_age_lists(const struct model *model, struct chance *chance)
{
    for (int list = 0; list < AGE_LISTS; list++) {
        uint64_t last = 0;
        uint32_t slot = table_oldest(&model->table, (enum age_list)list), listed = 0, expected = 0;

        for (uint32_t i = 0; i < model->count; i++)
            expected += age_of(model->entry[i].state) == list;
        for (; slot != INDEX_NONE; slot = table_younger(&model->table, slot), listed++) {
            const struct entry *entry = model->entry;

            while (entry->slot != slot)
                entry++;
            seeded(chance, age_of(entry->state) == list && entry->listed > last);
            last = entry->listed;
        }
        seeded(chance, listed == expected);
    }
}

START_TEST(the_table_finds_what_a_list_finds)
{
    struct chance chance = chance_new();
    struct model *model = model_new();

    for (int round = 0; round < 30000; round++) {
        if (chance_one_in(&chance, 3))
            model_close(model, &chance);
        else if (chance_one_in(&chance, 2))
            model_open(model, &chance);
        else
            model_change(model, &chance);
        seeded(&chance, model->table.live == model->count);
        for (uint32_t i = 0; i < model->count; i++) {
            check_tuple(model, &chance, &model->entry[i].tuple[0]);
            check_tuple(model, &chance, &model->entry[i].tuple[1]);
        }
        for (int i = 0; i < 8; i++) {
            check_random_tuple(model, &chance);
            check_filter(model, &chance);
            check_transit(model, &chance);
        }
        check_age_lists(model, &chance);
    }
    model_free(model);
}
END_TEST

START_TEST(an_id_is_never_used_again)
{
    struct chance chance = chance_new();
    struct model *model = model_new();
    uint64_t last = 0;

    for (int round = 0; round < 5000; round++) {
        uint32_t before = model->count;

        model_open(model, &chance);
        if (model->count > before) {
            seeded(&chance, model->entry[model->count - 1].id > last);
            last = model->entry[model->count - 1].id;
        }
        if (chance_one_in(&chance, 2))
            model_close(model, &chance);
    }
    model_free(model);
}
END_TEST

START_TEST(a_full_table_gives_no_slot_and_a_freed_one_serves_again)
{
    struct model *model = model_new();
    bool given[CAPACITY] = {false};
    uint32_t slot = 0;

    for (int i = 0; i < CAPACITY; i++) {
        slot = table_allocate(&model->table);
        ck_assert_uint_lt(slot, CAPACITY);
        ck_assert(!given[slot]);
        given[slot] = true;
    }
    ck_assert_uint_eq(table_allocate(&model->table), INDEX_NONE);
    table_cancel(&model->table, slot);
    ck_assert_uint_eq(table_allocate(&model->table), slot);
    model_free(model);
}
END_TEST

START_TEST(an_active_session_comes_due_at_its_timeout)
{
    struct chance chance = chance_new();
    struct model *model = model_new();
    uint32_t slot;

    while (model->count == 0)
        model_open(model, &chance);
    slot = model->entry[0].slot;
    ck_assert_uint_eq(wheel_take_due(model->table.wheel, model->now / 1000 + 299), INDEX_NONE);
    table_rearm(&model->table, slot, model->now + 400500);
    ck_assert_uint_eq(wheel_take_due(model->table.wheel, model->now / 1000 + 400), INDEX_NONE);
    ck_assert_uint_eq(wheel_take_due(model->table.wheel, model->now / 1000 + 401), slot);
    table_arm(&model->table, slot, 0);
    model_free(model);
}
END_TEST

static struct mapping mapping_of(const struct endpoint *in, uint8_t protocol)
{
    return (struct mapping){.internal = compact_address_of(&in->address),
                            .internal_port = in->port,
                            .protocol = protocol,
                            .sessions = 1};
}

START_TEST(mappings_are_found_by_their_internal_end)
{
    struct chance chance = chance_new();
    struct model *model = model_new();
    uint32_t index[EACH][2];

    memset(index, 0xff, sizeof(index));
    for (int round = 0; round < 20000; round++) {
        uint32_t i = chance_below(&chance, EACH), p = chance_below(&chance, 2);
        uint8_t protocol = p ? PROTOCOL_TCP : PROTOCOL_UDP;
        struct endpoint in = internal(i), out = external(i);

        seeded(&chance, mapping_find_internal(&model->table, protocol, &in, 0) == index[i][p]);
        seeded(&chance, mapping_find_internal(&model->table, protocol, &out, 0) == INDEX_NONE);
        if (index[i][p] == INDEX_NONE) {
            struct mapping mapping = mapping_of(&in, protocol);

            index[i][p] = mapping_add(&model->table, &mapping);
            seeded(&chance, index[i][p] < CAPACITY);
        } else {
            mapping_remove(&model->table, index[i][p]);
            index[i][p] = INDEX_NONE;
        }
    }
    model_free(model);
}
END_TEST

START_TEST(there_is_a_mapping_for_each_session_and_each_lease)
{
    struct model *model = model_new();
    struct endpoint in = internal(0);
    struct mapping mapping;

    for (uint16_t i = 0; i < 2 * CAPACITY; i++) {
        in.port = i;
        mapping = mapping_of(&in, PROTOCOL_UDP);
        ck_assert_uint_ne(mapping_add(&model->table, &mapping), INDEX_NONE);
    }
    in.port = 2 * CAPACITY;
    mapping = mapping_of(&in, PROTOCOL_UDP);
    ck_assert_uint_eq(mapping_add(&model->table, &mapping), INDEX_NONE);
    ck_assert_uint_eq(model->table.mappings_live, 2 * CAPACITY);
    model_free(model);
}
END_TEST

START_TEST(hosts_are_counted_up_to_their_limit)
{
    struct chance chance = chance_new();
    struct model *model = model_new();
    uint32_t count[8] = {0}, index[8];

    for (int round = 0; round < 20000; round++) {
        uint32_t i = chance_below(&chance, 8);
        struct address host = address_from_ipv4(0x0a000000 + i);

        if (chance_one_in(&chance, 2)) {
            uint32_t got = host_get(&model->table, &host, 3);

            seeded(&chance, (got == INDEX_NONE) == (count[i] == 3));
            if (got != INDEX_NONE) {
                seeded(&chance, count[i] == 0 || got == index[i]);
                index[i] = got;
                count[i]++;
            }
        } else if (count[i] > 0) {
            host_put(&model->table, index[i]);
            count[i]--;
        }
        seeded(&chance, host_sessions(&model->table, &host) == count[i]);
    }
    model_free(model);
}
END_TEST

START_TEST(a_refused_host_takes_no_room)
{
    struct model *model = model_new();
    struct address host = internal(0).address;

    ck_assert_uint_eq(host_get(&model->table, &host, 0), INDEX_NONE);
    ck_assert_uint_eq(model->table.hosts_live, 0);
    for (uint32_t i = 0; i < model->table.host_capacity; i++) {
        host = address_from_ipv4(0x0b000000 + i);
        ck_assert_uint_ne(host_get(&model->table, &host, 1), INDEX_NONE);
    }
    host = address_from_ipv4(0x0c000000);
    ck_assert_uint_eq(host_get(&model->table, &host, 1), INDEX_NONE);
    model_free(model);
}
END_TEST

START_TEST(the_memory_of_a_table_is_known)
{
    struct model *model = model_new();

    ck_assert_uint_ge(table_memory(&model->table),
                      CAPACITY * (sizeof(struct session) + sizeof(struct mapping)));
    model_free(model);
}
END_TEST

START_TEST(a_million_sessions_take_192_bytes_each_all_in)
{
    static const uint8_t secret[32] = "anything";
    const uint32_t sessions = 1000000;
    struct policy *policy = policy_new();
    struct nat *nat;

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = sessions;
    ck_assert(policy_seal(policy));
    nat = nat_new(policy, secret, NULL, 0);
    ck_assert_ptr_nonnull(nat);
    ck_assert_uint_le(nat_memory(nat), 192 * (size_t)sessions);
    ck_assert_uint_gt(nat_memory(nat),
                      table_memory(&nat->table) + EXTERNAL_ADDRESSES_MAX * 3 * sizeof(*nat->ports));
    nat_free(nat);
    policy_free(policy);
}
END_TEST

/* A host that sends from one port to all of a remote's has as many sessions with one filter key. */
START_TEST(sessions_of_one_filter_key_fill_no_lines)
{
    struct model *model = model_new();
    struct endpoint in = internal(0), far = remote(0), out = external(0);
    uint32_t slot[CAPACITY], used = 0;

    for (uint16_t i = 0; i < CAPACITY; i++) {
        struct session *session;

        far.port = i;
        slot[i] = table_allocate(&model->table);
        session = &model->table.session[slot[i]];
        session_set_tuples(
            session, (struct tuple[2]){{in, far, PROTOCOL_UDP, 0}, {far, out, PROTOCOL_UDP, 0}});
        table_activate(&model->table, slot[i], 300, model->now);
    }
    for (uint32_t line = 0; line < model->table.index.lines; line++) {
        for (int at = 0; at < INDEX_LINE_ENTRIES; at++)
            used += model->table.index.line[line].entry[at] != UINT32_MAX;
    }
    ck_assert_uint_eq(used, 2 * CAPACITY + 1);
    for (uint16_t i = 0; i < CAPACITY; i++) {
        ck_assert(table_has_spoken_to(&model->table, PROTOCOL_UDP, &in, &far.address));
        table_remove(&model->table, slot[i * 7 % CAPACITY]);
    }
    ck_assert(!table_has_spoken_to(&model->table, PROTOCOL_UDP, &in, &far.address));
    model_free(model);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_table_finds_what_a_list_finds,
        an_id_is_never_used_again,
        a_full_table_gives_no_slot_and_a_freed_one_serves_again,
        an_active_session_comes_due_at_its_timeout,
        mappings_are_found_by_their_internal_end,
        there_is_a_mapping_for_each_session_and_each_lease,
        hosts_are_counted_up_to_their_limit,
        a_refused_host_takes_no_room,
        the_memory_of_a_table_is_known,
        a_million_sessions_take_192_bytes_each_all_in,
        sessions_of_one_filter_key_fill_no_lines,
    };

    return RUN_TESTS("table", tests);
}
