/*
 * test_ports.c - the external ports of one address and protocol, beside a plain array of 65536
 */
#include "ports.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

/* A pool of these ranges (pairs of first and last, ended by 0). */
static struct pool *pool_of(const uint16_t *ranges)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    ck_assert_ptr_nonnull(pool);
    for (; ranges[0] != 0; ranges += 2) {
        for (uint32_t port = ranges[0]; port <= ranges[1]; port++) {
            pool->members[port / 64] |= UINT64_C(1) << (port % 64);
            pool->size++;
            if (pool->first == 0 || port < pool->first)
                pool->first = (uint16_t)port;
            if (port > pool->last)
                pool->last = (uint16_t)port;
        }
    }
    return pool;
}
#define POOL(...) pool_of((const uint16_t[]){__VA_ARGS__, 0})

static bool has(const struct pool *pool, uint32_t port)
{
    return pool->members[port / 64] >> (port % 64) & 1;
}

static struct port_space *space_new(void)
{
    struct port_space *space = malloc(sizeof(*space));

    ck_assert_ptr_nonnull(space);
    memset(space, 0xa5, sizeof(*space));
    ports_init(space);
    return space;
}

static struct random stream(uint64_t seed)
{
    return (struct random){{{seed, ~seed}}, 0};
}

START_TEST(every_port_of_a_pool_is_given_once)
{
    struct pool *pools[] = {POOL(50000, 50999), POOL(1, 1), POOL(65535, 65535), POOL(1, 65535),
                            POOL(1, 1, 1024, 1087, 50063, 50065, 65535, 65535)};
    struct random random = stream(1);

    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
        struct port_space *space = space_new();
        bool given[65536] = {false};

        for (uint32_t n = 0; n < pools[i]->size; n++) {
            uint16_t port = ports_allocate(space, pools[i], &random, 0);

            ck_assert_uint_ne(port, 0);
            ck_assert(has(pools[i], port) && !given[port]);
            given[port] = true;
            if (n % 1000 == 0)
                ck_assert_uint_eq(ports_used(space, pools[i], 0), n + 1);
        }
        ck_assert_uint_eq(ports_allocate(space, pools[i], &random, 0), 0);
        ck_assert_uint_eq(ports_used(space, pools[i], 0), pools[i]->size);
        free(space);
        free(pools[i]);
    }
}
END_TEST

START_TEST(an_empty_pool_is_dry)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    struct port_space *space = space_new();
    struct random random = stream(2);

    ck_assert_uint_eq(ports_allocate(space, pool, &random, 0), 0);
    ck_assert_uint_eq(ports_used(space, pool, 0), 0);
    free(space);
    free(pool);
}
END_TEST

START_TEST(rfc6888_req8_a_released_port_rests_120_seconds)
{
    struct pool *pool = POOL(50000, 50000);
    struct port_space *space = space_new();
    struct random random = stream(3);

    ck_assert_uint_eq(ports_allocate(space, pool, &random, 1000), 50000);
    ports_release(space, 50000, true, 5000);
    ck_assert_uint_eq(ports_allocate(space, pool, &random, 5000), 0);
    ck_assert_uint_eq(ports_used(space, pool, 5000 + 119999), 1);
    ck_assert(!ports_take(space, 50000));
    ck_assert_uint_eq(ports_allocate(space, pool, &random, 5000 + 119999), 0);
    ck_assert_uint_eq(ports_allocate(space, pool, &random, 5000 + 120000), 50000);
    free(space);
    free(pool);
}
END_TEST

/*
 * Gaps between releases are stored in 16 bits: exact up to half a minute, then to a thousandth, and
 * never too short.
 */
START_TEST(a_port_rests_its_time_whatever_the_gap_before_its_release)
{
    static const uint64_t gaps[] = {0,     1,      32767,   32768,    32769,     65535,
                                    65536, 119999, 3599999, 86399999, 2591999999};
    struct pool *pool = POOL(50000, 50001);
    struct random random = stream(14);

    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        struct port_space *space = space_new();
        uint64_t released = 5000 + gaps[i], hold = 2592000000,
                 late = gaps[i] < 32768 ? 0 : gaps[i] / 1000;

        space->hold_ms = (uint32_t)hold;
        ck_assert(ports_take(space, 50000) && ports_take(space, 50001));
        ports_release(space, 50000, true, 5000);
        ports_release(space, 50001, true, released);
        ck_assert_uint_eq(ports_used(space, pool, 5000 + hold - 1), 2);
        if (gaps[i] > 0)
            ck_assert_uint_eq(ports_used(space, pool, 5000 + hold), 1);
        ck_assert_uint_eq(ports_used(space, pool, released + hold - 1), gaps[i] > 0 ? 1 : 2);
        ck_assert_uint_eq(ports_used(space, pool, released + hold + late), 0);
        ck_assert_uint_ne(ports_allocate(space, pool, &random, released + hold + late), 0);
        free(space);
    }
    free(pool);
}
END_TEST

START_TEST(the_holder_of_a_port_is_known_until_it_rests)
{
    struct pool *pool = POOL(50000, 50000);
    struct port_space *space = space_new();

    ck_assert_uint_eq(ports_holder(space, 50000), INDEX_NONE);
    ck_assert(ports_take(space, 50000));
    ck_assert_uint_eq(ports_holder(space, 50000), HOLDER_SHARED);
    ports_set_holder(space, 50000, 7);
    ck_assert_uint_eq(ports_holder(space, 50000), 7);
    ports_release(space, 50000, true, 0);
    ck_assert_uint_eq(ports_holder(space, 50000), INDEX_NONE);
    ck_assert_uint_eq(ports_used(space, pool, PORTS_HOLD_MS), 0);
    ck_assert(ports_take(space, 50000));
    ck_assert_uint_eq(ports_holder(space, 50000), HOLDER_SHARED);
    free(space);
    free(pool);
}
END_TEST

START_TEST(a_port_released_without_hold_is_free_at_once)
{
    struct pool *pool = POOL(50000, 50000);
    struct port_space *space = space_new();
    struct random random = stream(4);

    ck_assert_uint_eq(ports_allocate(space, pool, &random, 0), 50000);
    ports_release(space, 50000, false, 0);
    ck_assert_uint_eq(ports_used(space, pool, 0), 0);
    ck_assert(ports_take(space, 50000));
    ck_assert(!ports_take(space, 50000));
    ck_assert_uint_eq(ports_allocate(space, pool, &random, 0), 0);
    free(space);
    free(pool);
}
END_TEST

START_TEST(pools_that_change_share_what_is_taken)
{
    struct pool *narrow = POOL(50000, 50001), *wide = POOL(49999, 50002);
    struct port_space *space = space_new();
    struct random random = stream(5);
    uint32_t sum = 0;

    ck_assert_uint_ne(ports_allocate(space, narrow, &random, 0), 0);
    ck_assert_uint_ne(ports_allocate(space, narrow, &random, 0), 0);
    sum += ports_allocate(space, wide, &random, 0);
    sum += ports_allocate(space, wide, &random, 0);
    ck_assert_uint_eq(sum, 49999 + 50002);
    ck_assert_uint_eq(ports_allocate(space, wide, &random, 0), 0);
    ck_assert_uint_eq(ports_used(space, narrow, 0), 2);
    free(space);
    free(narrow);
    free(wide);
}
END_TEST

/* 64 ports with 1000 draws each, given back each time: six standard deviations either way. */
START_TEST(free_ports_of_a_pool_are_counted_beside_those_of_others)
{
    struct pool *pool = POOL(50000, 50099), *other = POOL(60000, 60999);
    struct port_space *space = space_new();
    struct random random = stream(8);

    for (int i = 0; i < 900; i++)
        ports_allocate(space, other, &random, 0);
    ck_assert(ports_has_free(space, pool, 100, 0));
    ck_assert(!ports_has_free(space, pool, 101, 0));
    for (uint32_t n = 1; n <= 100; n++) {
        ports_allocate(space, pool, &random, 0);
        ck_assert(ports_has_free(space, pool, 100 - n, 0));
        ck_assert(!ports_has_free(space, pool, 101 - n, 0));
    }
    ports_release(space, 50007, true, 1000); /* rests */
    ports_release(space, 50008, false, 1000);
    ck_assert(ports_has_free(space, pool, 1, 1000) && !ports_has_free(space, pool, 2, 1000));
    ck_assert(ports_has_free(space, pool, 2, 1000 + PORTS_HOLD_MS));
    free(space);
    free(pool);
    free(other);
}
END_TEST

START_TEST(rfc6056_ports_are_chosen_at_random)
{
    struct pool *pool = POOL(50010, 50073);
    struct port_space *space = space_new();
    struct random random = stream(6);
    uint32_t drawn[64] = {0}, neighbours = 0;
    uint16_t last = 0;

    for (int i = 0; i < 64000; i++) {
        uint16_t port = ports_allocate(space, pool, &random, 0);

        drawn[port - 50010]++;
        neighbours += port == last + 1;
        last = port;
        ports_release(space, port, false, 0);
    }
    for (int i = 0; i < 64; i++) {
        ck_assert_uint_gt(drawn[i], 1000 - 190);
        ck_assert_uint_lt(drawn[i], 1000 + 190);
    }
    ck_assert_uint_lt(neighbours, 1000 + 190);
    free(space);
    free(pool);
}
END_TEST

/* Far apart and few: neighbours and loners alike. 8 ports, 8000 draws. */
START_TEST(the_ports_of_a_pool_with_gaps_are_equally_likely)
{
    struct pool *pool =
        POOL(1, 1, 700, 701, 20000, 20000, 40001, 40001, 40063, 40064, 65535, 65535);
    struct port_space *space = space_new();
    struct random random = stream(7);
    static uint32_t drawn[65536];

    for (int i = 0; i < 8000; i++) {
        uint16_t port = ports_allocate(space, pool, &random, 0);

        ck_assert(has(pool, port));
        drawn[port]++;
        ports_release(space, port, false, 0);
    }
    for (uint32_t port = 0; port < 65536; port++)
        ck_assert(!has(pool, port) || (drawn[port] > 1000 - 190 && drawn[port] < 1000 + 190));
    free(space);
    free(pool);
}
END_TEST

/* Takes a port like this one, and gives it back at once if `back`. */
static uint16_t like(struct port_space *space, const struct pool *pool, struct random *random,
                     uint16_t internal, bool keep_parity, bool back)
{
    uint16_t port = ports_allocate_like(space, pool, internal, keep_parity, random, 0);

    ck_assert(port == 0 || has(pool, port));
    if (port != 0 && back)
        ports_release(space, port, false, 0);
    return port;
}

START_TEST(rfc4787_req3a_the_class_of_the_internal_port_is_kept)
{
    struct pool *pool = POOL(600, 2000);
    struct port_space *space = space_new();
    struct random random = stream(9);

    for (int i = 0; i < 5000; i++) {
        ck_assert_uint_le(like(space, pool, &random, (uint16_t)(i % 1024), false, true), 1023);
        ck_assert_uint_ge(like(space, pool, &random, (uint16_t)(1024 + i), false, true), 1024);
    }
    ck_assert_uint_le(like(space, pool, &random, 1023, true, true), 1023);
    ck_assert_uint_ge(like(space, pool, &random, 1024, true, true), 1024);
    free(space);
    free(pool);
}
END_TEST

START_TEST(rfc4787_req4_the_parity_of_the_internal_port_is_kept_where_asked)
{
    struct pool *pool = POOL(600, 2000);
    struct port_space *space = space_new();
    struct random random = stream(10);
    int other = 0;

    for (uint16_t i = 0; i < 5000; i++) {
        ck_assert_uint_eq(like(space, pool, &random, i, true, true) % 2, i % 2);
        other += like(space, pool, &random, i, false, true) % 2 != i % 2;
    }
    ck_assert_int_gt(other, 2000);
    free(space);
    free(pool);
}
END_TEST

/* First the parity, then the class, and then there is nothing. */
START_TEST(a_wish_that_cannot_be_fulfilled_is_given_up)
{
    struct pool *pool = POOL(1000, 1003, 1100, 1101);
    struct port_space *space = space_new();
    struct random random = stream(11);

    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(like(space, pool, &random, 22, true, false) & 0xfffd, 1000);
    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(like(space, pool, &random, 22, true, false) & 0xfffd, 1001);
    ck_assert_uint_eq(like(space, pool, &random, 22, true, false) & 0xfffe, 1100);
    ck_assert_uint_eq(like(space, pool, &random, 22, true, false) & 0xfffe, 1100);
    ck_assert_uint_eq(like(space, pool, &random, 22, true, false), 0);
    free(space);
    free(pool);
}
END_TEST

START_TEST(a_pool_of_one_class_serves_both)
{
    struct pool *system = POOL(5, 5), *dynamic = POOL(50000, 50000), *empty = POOL(0);
    struct port_space *space = space_new();
    struct random random = stream(12);

    ck_assert_uint_eq(like(space, system, &random, 4000, false, true), 5);
    ck_assert_uint_eq(like(space, system, &random, 22, false, true), 5);
    ck_assert_uint_eq(like(space, dynamic, &random, 22, true, true), 50000);
    ck_assert_uint_eq(like(space, dynamic, &random, 4001, true, true), 50000);
    ck_assert_uint_eq(like(space, empty, &random, 4001, true, true), 0);
    free(space);
    free(system);
    free(dynamic);
    free(empty);
}
END_TEST

/* What a port space is, plainly. */
struct naive {
    enum { FREE, TAKEN, HELD } port[65536];
    uint64_t until[65536];
};

static void naive_pass(struct naive *naive, const struct pool *pool, uint64_t now)
{
    for (uint32_t port = pool->first; port <= pool->last; port++) {
        if (naive->port[port] == HELD && naive->until[port] <= now)
            naive->port[port] = FREE;
    }
}

/*
 * After a pause a port may rest a thousandth longer: true while that leaves open whether some port
 * does.
 */
static bool naive_is_unsure(const struct naive *naive, const struct pool *pool, uint64_t now)
{
    bool unsure = false;

    for (uint32_t port = pool->first; port <= pool->last; port++)
        unsure |= naive->port[port] == HELD && naive->until[port] <= now &&
                  now <= naive->until[port] + 120;
    return unsure;
}

static uint32_t naive_used(const struct naive *naive, const struct pool *pool)
{
    uint32_t used = 0;

    for (uint32_t port = pool->first; port <= pool->last; port++)
        used += has(pool, port) && naive->port[port] != FREE;
    return used;
}

static void naive_step(struct naive *naive, struct port_space *space, const struct pool *pool,
                       struct random *random, struct chance *chance, uint64_t now)
{
    uint32_t any = pool->first + chance_below(chance, (uint32_t)(pool->last - pool->first) + 1);
    bool dry = naive_used(naive, pool) == pool->size;

    if (chance_one_in(chance, 2)) {
        uint16_t port = ports_allocate(space, pool, random, now);

        seeded(chance, (port == 0) == dry);
        seeded(chance, port == 0 || (has(pool, port) && naive->port[port] == FREE));
        if (port != 0)
            naive->port[port] = TAKEN;
    } else if (naive->port[any] == TAKEN) {
        bool hold = chance_one_in(chance, 2);

        ports_release(space, (uint16_t)any, hold, now);
        naive->port[any] = hold ? HELD : FREE;
        naive->until[any] = now + 120000;
    } else {
        bool taken = ports_take(space, (uint16_t)any);

        seeded(chance, taken == (naive->port[any] == FREE));
        if (taken)
            naive->port[any] = TAKEN;
    }
}

START_TEST(a_port_space_behaves_as_a_plain_array)
{
    struct pool *pools[] = {POOL(50000, 50099), POOL(50010, 50020, 50090, 50130)};
    struct naive *naive = calloc(1, sizeof(*naive));
    struct port_space *space = space_new();
    struct chance chance = chance_new();
    struct random random = stream(8);
    uint64_t now = 7;

    for (int round = 0; round < 40000; round++) {
        const struct pool *pool = pools[chance_below(&chance, 2)];

        now += chance_below(&chance, chance_one_in(&chance, 500) ? 200000 : 3000);
        while (naive_is_unsure(naive, pools[0], now) || naive_is_unsure(naive, pools[1], now))
            now++;
        naive_pass(naive, pools[0], now);
        naive_pass(naive, pools[1], now);
        seeded(&chance, ports_used(space, pool, now) == naive_used(naive, pool));
        naive_step(naive, space, pool, &random, &chance, now);
    }
    free(space);
    free(naive);
    free(pools[0]);
    free(pools[1]);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        every_port_of_a_pool_is_given_once,
        an_empty_pool_is_dry,
        rfc6888_req8_a_released_port_rests_120_seconds,
        a_port_rests_its_time_whatever_the_gap_before_its_release,
        the_holder_of_a_port_is_known_until_it_rests,
        a_port_released_without_hold_is_free_at_once,
        pools_that_change_share_what_is_taken,
        free_ports_of_a_pool_are_counted_beside_those_of_others,
        rfc6056_ports_are_chosen_at_random,
        the_ports_of_a_pool_with_gaps_are_equally_likely,
        rfc4787_req3a_the_class_of_the_internal_port_is_kept,
        rfc4787_req4_the_parity_of_the_internal_port_is_kept_where_asked,
        a_wish_that_cannot_be_fulfilled_is_given_up,
        a_pool_of_one_class_serves_both,
        a_port_space_behaves_as_a_plain_array,
    };

    return RUN_TESTS("ports", tests);
}
