/*
 * test_ports_wishes.c - a port that is like the internal one: its class, its parity, and giving
 * these up
 */
#include "ports.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

static struct pool *pool_of(const uint16_t *ranges)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    ck_assert_ptr_nonnull(pool);
    for (; ranges[0] != 0; ranges += 2) {
        for (uint32_t port = ranges[0]; port <= ranges[1]; port++) {
            pool->size += !pool_contains(pool, (uint16_t)port); /* ranges may overlap */
            pool->members[port / 64] |= UINT64_C(1) << (port % 64);
            if (pool->first == 0 || port < pool->first)
                pool->first = (uint16_t)port;
            if (port > pool->last)
                pool->last = (uint16_t)port;
        }
    }
    return pool;
}
#define POOL(...) pool_of((const uint16_t[]){__VA_ARGS__, 0})

static struct port_space *space_new(void)
{
    struct port_space *space = malloc(sizeof(*space));

    ck_assert_ptr_nonnull(space);
    ports_init(space);
    return space;
}

static struct random stream(uint64_t seed)
{
    return (struct random){{{seed, ~seed}}, 0};
}

/* A port that is given back at once. */
static uint16_t look(struct port_space *space, const struct pool *pool, struct random *random,
                     uint16_t internal, bool keep_parity)
{
    uint16_t port = ports_allocate_like(space, pool, internal, keep_parity, random, 0);

    if (port != 0)
        ports_release(space, port, false, 0);
    return port;
}

/* The naive twin: a list of the ports that are wanted most. */

static bool is_free(const struct port_space *space, const struct pool *pool, uint32_t port)
{
    return (pool->members[port / 64] >> (port % 64) & 1) &&
           !(space->taken[port / 64] >> (port % 64) & 1);
}

/*
 * 3: class and parity, 2: class, 1: parity, 0: neither. Without `keep_parity` the parity is always
 * right.
 */
static int likeness(uint32_t port, uint16_t internal, bool keep_parity)
{
    bool same_class = (port < 1024) == (internal < 1024),
         same_parity = !keep_parity || port % 2 == internal % 2;

    return 2 * same_class + same_parity;
}

/* The ports of the greatest likeness that is to be had; returns how many, 0 of a dry pool. */
static size_t wanted(const struct port_space *space, const struct pool *pool, uint16_t internal,
                     bool keep_parity, bool is_wanted[65536])
{
    size_t count = 0;
    int best = -1;

    memset(is_wanted, 0, 65536 * sizeof(*is_wanted));
    for (uint32_t port = 1; port < 65536; port++) {
        if (is_free(space, pool, port) && likeness(port, internal, keep_parity) > best)
            best = likeness(port, internal, keep_parity);
    }
    for (uint32_t port = 1; port < 65536; port++) {
        is_wanted[port] =
            is_free(space, pool, port) && likeness(port, internal, keep_parity) == best;
        count += is_wanted[port];
    }
    return count;
}

static struct pool *random_pool(struct chance *chance)
{
    uint16_t ranges[9] = {0};

    for (size_t i = 0; i < 1 + chance_below(chance, 4); i++) {
        uint32_t near = chance_one_in(chance, 2) ? 900 + chance_below(chance, 250)
                                                 : 1 + chance_below(chance, 65000);
        uint32_t last = near + chance_below(chance, chance_one_in(chance, 3) ? 200 : 4);

        ranges[2 * i] = (uint16_t)near;
        ranges[2 * i + 1] = (uint16_t)(last < 65535 ? last : 65535);
    }
    return pool_of(ranges);
}

START_TEST(rfc4787_req3a_and_req4_random_pools_give_what_their_naive_twin_wants)
{
    static bool is_wanted[65536];
    struct chance chance = chance_new();
    struct random random = stream(1);

    for (int round = 0; round < 60; round++) {
        struct pool *pool = random_pool(&chance);
        struct port_space *space = space_new();
        bool keep_parity = chance_one_in(&chance, 2);

        for (;;) {
            uint32_t near = chance_one_in(&chance, 2) ? 1000 + chance_below(&chance, 50)
                                                      : chance_below(&chance, 65536);
            size_t choice = wanted(space, pool, (uint16_t)near, keep_parity, is_wanted);
            uint16_t port =
                ports_allocate_like(space, pool, (uint16_t)near, keep_parity, &random, 0);

            seeded(&chance, (port == 0) == (choice == 0));
            if (port == 0)
                break;
            seeded(&chance, is_wanted[port] && !is_free(space, pool, port));
        }
        seeded(&chance, ports_used(space, pool, 0) == pool->size);
        free(space);
        free(pool);
    }
}
END_TEST

START_TEST(rfc4787_req3a_the_classes_meet_between_1023_and_1024)
{
    struct pool *pool = POOL(1023, 1024);
    struct port_space *space = space_new();
    struct random random = stream(2);

    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(look(space, pool, &random, 1, false), 1023);
        ck_assert_uint_eq(look(space, pool, &random, 1023, false), 1023);
        ck_assert_uint_eq(look(space, pool, &random, 1024, false), 1024);
        ck_assert_uint_eq(look(space, pool, &random, 65535, false), 1024);
        ck_assert_uint_eq(look(space, pool, &random, 22, true), 1023); /* the class counts more */
    }
    free(space);
    free(pool);
}
END_TEST

START_TEST(rfc4787_req4_parity_is_kept_where_the_class_cannot_be)
{
    struct pool *dynamic = POOL(50000, 50099), *system = POOL(600, 699);
    struct port_space *space = space_new();
    struct random random = stream(3);

    for (uint16_t i = 0; i < 1000; i++) {
        ck_assert_uint_eq(look(space, dynamic, &random, i, true) % 2, i % 2u);
        ck_assert_uint_eq(look(space, system, &random, (uint16_t)(5000 + i), true) % 2, i % 2u);
    }
    free(space);
    free(dynamic);
    free(system);
}
END_TEST

START_TEST(a_port_that_rests_is_not_wanted)
{
    struct pool *pool = POOL(50000, 50003);
    struct port_space *space = space_new();
    struct random random = stream(4);

    ck_assert(ports_take(space, 50000) && ports_take(space, 50002));
    ports_release(space, 50000, true, 0);
    ports_release(space, 50002, false, 0);
    for (int i = 0; i < 50; i++)
        ck_assert_uint_eq(look(space, pool, &random, 4000, true), 50002);
    ck_assert(ports_take(space, 50002));
    ck_assert_uint_eq(look(space, pool, &random, 4000, true) % 2,
                      1); /* the parity is given up before the rest is */
    ck_assert_uint_eq(ports_allocate_like(space, pool, 4000, true, &random, 120000), 50000);
    free(space);
    free(pool);
}
END_TEST

START_TEST(what_is_wanted_ends_where_the_pool_ends)
{
    struct pool *pool = POOL(63, 64, 127, 128, 65535, 65535);
    struct port_space *space = space_new();
    struct random random = stream(5);
    bool seen[65536] = {false};

    for (int i = 0; i < 5; i++)
        seen[ports_allocate_like(space, pool, 22, i % 2 == 0, &random, 0)] = true;
    ck_assert(seen[63] && seen[64] && seen[127] && seen[128] && seen[65535]);
    ck_assert_uint_eq(ports_allocate_like(space, pool, 22, true, &random, 0), 0);
    free(space);
    free(pool);
}
END_TEST

/* 1000 draws of each wanted port on average: six standard deviations either way. */
static void assert_uniform(struct port_space *space, const struct pool *pool, uint16_t internal,
                           bool keep_parity)
{
    static bool is_wanted[65536];
    static uint32_t drawn[65536];
    struct random random = stream(internal);
    size_t choice = wanted(space, pool, internal, keep_parity, is_wanted);

    memset(drawn, 0, sizeof(drawn));
    for (size_t i = 0; i < 1000 * choice; i++)
        drawn[look(space, pool, &random, internal, keep_parity)]++;
    for (uint32_t port = 0; port < 65536; port++) {
        ck_assert_uint_le(drawn[port], is_wanted[port] ? 1000 + 190 : 0);
        ck_assert_uint_ge(drawn[port], is_wanted[port] ? 1000 - 190 : 0);
    }
}

START_TEST(rfc6056_every_port_that_fulfils_the_wish_is_equally_likely)
{
    struct pool *pool = POOL(10, 17, 1000, 1040, 20000, 20001, 40063, 40064, 65535, 65535);
    struct port_space *space = space_new();

    assert_uniform(space, pool, 22, false);
    assert_uniform(space, pool, 22, true);
    assert_uniform(space, pool, 4000, false);
    assert_uniform(space, pool, 4001, true);
    for (uint16_t port = 1000; port <= 1040; port++)
        ck_assert(ports_take(space, port)); /* nearly dry: found by its rank, not by luck */
    assert_uniform(space, pool, 4000, false);
    assert_uniform(space, pool, 4001, true);
    free(space);
    free(pool);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc4787_req3a_and_req4_random_pools_give_what_their_naive_twin_wants,
        rfc4787_req3a_the_classes_meet_between_1023_and_1024,
        rfc4787_req4_parity_is_kept_where_the_class_cannot_be,
        a_port_that_rests_is_not_wanted,
        what_is_wanted_ends_where_the_pool_ends,
        rfc6056_every_port_that_fulfils_the_wish_is_equally_likely,
    };

    return RUN_TESTS("ports wishes", tests);
}
