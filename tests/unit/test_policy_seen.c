/*
 * test_policy_seen.c - finding forwards by name and by port, beside a naive twin that scans the
 * list
 */
#include "support_run.h"

#include "portreeve/policy.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define RANDOM_POLICIES 100

static struct policy *policy;
static uint64_t state;

static void set_up(void)
{
    policy = policy_new();
    ck_assert_ptr_nonnull(policy);
}

static void tear_down(void)
{
    policy_free(policy);
}

/* splitmix64 */
static uint32_t random_below(uint32_t bound)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)((z ^ z >> 31) >> 32) % bound;
}

static struct port_range random_range(void)
{
    uint16_t first = (uint16_t)(random_below(4) ? random_below(700) : 65000 + random_below(535));
    uint32_t last = first + (random_below(2) ? 0 : random_below(200));

    return (struct port_range){first, last > UINT16_MAX ? UINT16_MAX : (uint16_t)last};
}

static void fill_randomly(void)
{
    for (uint32_t i = random_below(40); i > 0; i--) {
        struct forward forward = {.protocols = (uint8_t)(1 + random_below(3)),
                                  .listen = random_range()};

        snprintf(forward.name, sizeof(forward.name), "random-%u", i);
        ck_assert(policy_add_forward(policy, &forward));
    }
}

static const struct forward *naive_conflict(const struct forward *wanted)
{
    for (size_t i = 0; i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);

        if ((forward->protocols & wanted->protocols) != 0 &&
            forward->listen.first <= wanted->listen.last &&
            wanted->listen.first <= forward->listen.last)
            return forward;
    }
    return NULL;
}

static void compare_conflicts(void)
{
    for (int i = 0; i < 200; i++) {
        struct forward wanted = {.protocols = (uint8_t)(1 + random_below(3)),
                                 .listen = random_range()};

        ck_assert_ptr_eq(policy_find_conflict(policy, &wanted), naive_conflict(&wanted));
    }
}

/* Some are removed again: what was there before must not hide what is there. */
static void compare_names(void)
{
    char name[POLICY_NAME_MAX];

    for (int i = 0; i < 40; i++) {
        struct forward forward = {.protocols = FORWARD_TCP, .listen = {9000, 9000}};
        bool removed = random_below(2) != 0;

        snprintf(forward.name, sizeof(forward.name), "forward-%d", i);
        ck_assert(policy_add_forward(policy, &forward));
        ck_assert(!removed || policy_remove_forward(policy, forward.name));
        ck_assert((policy_find_forward(policy, forward.name) == NULL) == removed);
        snprintf(name, sizeof(name), "other-%d", i);
        ck_assert_ptr_null(policy_find_forward(policy, name));
    }
}

START_TEST(random_policies_find_names_and_conflicts_like_their_naive_twin)
{
    state = (uint64_t)_i;
    fill_randomly();
    compare_conflicts();
    compare_names();
    compare_conflicts();
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {random_policies_find_names_and_conflicts_like_their_naive_twin, RANDOM_POLICIES},
    };

    return RUN_REPEATED_TESTS("policy seen", set_up, tear_down, tests);
}
