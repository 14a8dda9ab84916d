/*
 * test_refusals.c - the latest dropped packets: what is noted, and what a flood cannot sweep away
 */
#include "support.h"

#include "portreeve/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gateway gateway;
static struct refusal list[REFUSALS_MAX];
static size_t count;
static uint64_t others;

static void start(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "guarded", FORWARD_TCP | FORWARD_UDP, 22, 22, "10.0.0.80:22",
                "198.51.100.0/24");
    add_forward(policy, "also", FORWARD_TCP, 23, 60, "10.0.0.80:23", "198.51.100.0/24");
    gateway_start(&gateway, policy);
}

static void look(void)
{
    count = nat_refusals(gateway.nat, list, &others);
}

static const struct refusal *find(const char *from, uint16_t port)
{
    struct address address = address_of(from);

    look();
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&list[i].from, &address) && list[i].to.port == port)
            return &list[i];
    }
    return NULL;
}

static void knock(uint32_t source, uint16_t port)
{
    char from[32], to[32];

    snprintf(from, sizeof(from), "192.%u.%u.%u:1000", source >> 16 & 255, source >> 8 & 255,
             source & 255);
    snprintf(to, sizeof(to), "%s:%u", EXTERNAL, port);
    ck_assert_int_eq(tcp_in(&gateway, from, to, TCP_SYN), DROP_NOT_ALLOWED);
}

START_TEST(a_refusal_says_who_what_and_why)
{
    const struct refusal *refusal;
    uint64_t begun;

    start();
    begun = gateway.now;
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.7:1000", EXTERNAL ":22", TCP_SYN), DROP_NOT_ALLOWED);
    gateway.now += 3000;
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.7:1001", EXTERNAL ":22", TCP_SYN), DROP_NOT_ALLOWED);
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.7:1001", EXTERNAL ":22"), DROP_NOT_ALLOWED);
    refusal = find("192.0.2.7", 22);
    ck_assert_uint_eq(count, 2); /* the protocol tells them apart, the source port does not */
    ck_assert_ptr_nonnull(refusal);
    refusal = refusal->protocol == PROTOCOL_TCP ? refusal : refusal + 1;
    ck_assert_uint_eq(list[0].count + list[1].count, 3);
    ck_assert_uint_eq(list[0].reason, DROP_NOT_ALLOWED);
    ck_assert(!list[0].from_inside);
    ck_assert_uint_eq(list[0].last, begun + 3000);
    ck_assert_uint_eq(others, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_passes_is_not_noted)
{
    start();
    ck_assert_int_eq(tcp_in(&gateway, "198.51.100.7:1000", EXTERNAL ":22", TCP_SYN), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, "198.51.100.7:1000", EXTERNAL ":9999", TCP_SYN), DROP_NONE);
    look();
    ck_assert_uint_eq(count, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(of_a_host_inside_all_destinations_are_one_entry)
{
    start();
    for (int i = 0; i < 100; i++) {
        char to[32];

        snprintf(to, sizeof(to), "%s:%d", REMOTE, 1000 + i);
        ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.5:4000", to, TCP_ACK));
    }
    look();
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(list[0].count, 100);
    ck_assert(list[0].from_inside);
    ck_assert_uint_eq(list[0].reason, DROP_NOT_SYN);
    ck_assert_uint_eq(list[0].to.port, 1099);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_flood_to_one_port_leaves_what_is_known_of_others)
{
    size_t left = 0;

    start();
    for (uint16_t port = 24; port < 60; port++)
        knock(1, port);
    for (uint32_t source = 100; source < 100000; source++)
        knock(source, 22);
    for (uint16_t port = 24; port < 60; port++)
        left += find("192.0.0.1", port) != NULL;
    ck_assert_uint_ge(left, 30); /* but for those that share its set */
    ck_assert_uint_gt(others, 90000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(who_comes_again_stays_in_a_flood)
{
    start();
    knock(7, 22);
    knock(7, 22);
    for (uint32_t source = 100; source < 100000; source++) {
        if (source % 10000 == 0)
            knock(7, 22);
        knock(source, 22);
    }
    ck_assert_ptr_nonnull(find("192.0.0.7", 22));
    ck_assert_uint_eq(find("192.0.0.7", 22)->count, 11);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(those_who_come_no_more_give_way_after_a_minute)
{
    start();
    for (uint32_t source = 0; source < 2 * REFUSALS_MAX; source++) {
        knock(source, 22);
        knock(source, 22);
    }
    ck_assert_ptr_nonnull(find("192.0.0.1", 22));
    gateway.now += 60000;
    for (uint32_t source = 0; source < REFUSALS_MAX; source++) {
        knock(source + 10000, 22);
        knock(source + 10000, 22);
    }
    ck_assert_ptr_null(find("192.0.0.1", 22));
    ck_assert_ptr_nonnull(find("192.0.39.16", 22)); /* 10000 */
    gateway_stop(&gateway);
}
END_TEST

START_TEST(all_dropped_packets_are_counted_somewhere)
{
    struct chance chance = chance_new();
    uint64_t sum = 0;

    start();
    for (int i = 0; i < 20000; i++)
        knock(chance_below(&chance, 5000), (uint16_t)(22 + chance_below(&chance, 30)));
    look();
    for (size_t i = 0; i < count; i++)
        sum += list[i].count;
    seeded(&chance, sum + others == 20000);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_refusal_says_who_what_and_why,
        what_passes_is_not_noted,
        of_a_host_inside_all_destinations_are_one_entry,
        a_flood_to_one_port_leaves_what_is_known_of_others,
        who_comes_again_stays_in_a_flood,
        those_who_come_no_more_give_way_after_a_minute,
        all_dropped_packets_are_counted_somewhere,
    };

    return RUN_TESTS("refusals", tests);
}
