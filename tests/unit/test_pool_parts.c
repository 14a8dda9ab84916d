/*
 * test_pool_parts.c - mappings-per-host = auto: a host leaves room in the pool for the others
 */
#include "support.h"

#include <stdio.h>

static struct gateway gateway;

#define POOL 1000

/* A pool of POOL ports; `limit` 0: auto. */
static void start(uint32_t limit)
{
    struct policy *policy = lab_policy(FILTERING_ENDPOINT_INDEPENDENT);

    policy_limits(policy)->sessions = 2048;
    policy_limits(policy)->sessions_per_host = 2048;
    policy_limits(policy)->mappings_auto = limit == 0;
    policy_limits(policy)->mappings_per_host = limit;
    gateway_start(&gateway, policy);
}

static uint64_t dropped(enum drop_reason reason)
{
    return gateway.nat->counters.dropped[reason];
}

/* The host sends a UDP packet from each of so many new ports; returns how many get out. */
static uint32_t open_udp(const char *host, uint32_t first, uint32_t count)
{
    uint32_t out = 0;
    char internal[48];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(internal, sizeof(internal), "%s:%u", host, first + i);
        out += udp_out(&gateway, internal, REMOTE ":5000") != NULL;
    }
    return out;
}

/* It connects from each of so many new ports to a server. */
static uint32_t open_tcp(const char *host, uint32_t first, uint32_t count, const char *server)
{
    uint32_t out = 0;
    char internal[48];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(internal, sizeof(internal), "%s:%u", host, first + i);
        out += tcp_out(&gateway, internal, server, TCP_SYN) != NULL;
    }
    return out;
}

START_TEST(a_host_alone_gets_four_fifths_of_a_pool)
{
    start(0);
    ck_assert_uint_eq(open_udp("10.0.0.5", 1000, POOL), POOL / 5 * 4);
    ck_assert_uint_eq(dropped(DROP_HOST_LIMIT), POOL / 5);
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 0);
    ck_assert_uint_eq(open_udp("10.0.0.5", 1000, POOL / 5 * 4), POOL / 5 * 4); /* what it has */
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc6888_req4_hosts_that_take_all_they_can_leave_room_for_one_more)
{
    uint32_t got[3] = {0};
    char host[32];

    start(0);
    for (uint32_t i = 0; i < POOL; i++) {
        for (int h = 0; h < 3; h++) {
            snprintf(host, sizeof(host), "10.0.0.%d", 5 + h);
            got[h] += open_udp(host, 1000 + i, 1);
        }
    }
    for (int h = 0; h < 3; h++) /* 4 parts of 13 */
        ck_assert(got[h] >= POOL * 4 / 13 - 4 && got[h] <= POOL * 4 / 13 + 4);
    ck_assert_uint_eq(open_udp("10.0.0.9", 1000, 50), 50);
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(hosts_that_need_few_ports_use_a_pool_to_the_last_one)
{
    uint32_t got = 0;
    char host[32];

    start(0);
    for (int h = 0; h < 20; h++) {
        snprintf(host, sizeof(host), "10.0.0.%d", 5 + h);
        got += open_udp(host, 1000, 50);
    }
    ck_assert_uint_eq(got, POOL);
    ck_assert_uint_eq(open_udp("10.0.0.99", 1000, 1), 0);
    ck_assert_uint_eq(dropped(DROP_HOST_LIMIT), 0);
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_host_may_have_more_again_when_others_have_given_ports_back)
{
    start(0);
    ck_assert_uint_eq(open_udp("10.0.0.6", 1000, 500), 500);
    gateway_wait(&gateway, 100000);
    ck_assert_uint_eq(open_udp("10.0.0.5", 1000, POOL), 400);
    gateway_wait(&gateway, 200000); /* the first 500 end, and rest */
    ck_assert_uint_eq(open_udp("10.0.0.5", 5000, 1), 0);
    gateway_wait(&gateway, 99000); /* 400 stay alive, so that they are not given back */
    ck_assert_uint_eq(open_udp("10.0.0.5", 1000, 400), 400);
    gateway_wait(&gateway, 22000);
    ck_assert_uint_eq(open_udp("10.0.0.5", 5000, POOL), 400);
    gateway_stop(&gateway);
}
END_TEST

/* Each protocol has ports of its own. */
START_TEST(a_host_with_its_part_of_one_protocol_may_still_use_another)
{
    start(0);
    open_udp("10.0.0.5", 1000, POOL);
    ck_assert_uint_eq(open_tcp("10.0.0.5", 1000, 100, REMOTE ":443"), 100);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(connections_beyond_the_part_of_a_host_share_its_ports)
{
    start(0);
    ck_assert_uint_eq(open_tcp("10.0.0.5", 1000, 800, REMOTE ":443"), 800);
    ck_assert_uint_eq(open_tcp("10.0.0.5", 2000, 100, "192.0.2.1:443"), 100);
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 100);
    ck_assert_uint_eq(dropped(DROP_HOST_LIMIT), 0);
    ck_assert_uint_eq(open_tcp("10.0.0.6", 1000, 40, REMOTE ":443"), 40);
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 100);
    gateway_stop(&gateway);
}
END_TEST

/* So the browser of one host, or a load test, may open connections at any rate. */
START_TEST(connections_beyond_the_part_of_a_host_take_back_ports_of_closed_ones)
{
    char internal[48], external[32];

    start(0);
    for (int i = 0; i < 2000; i++) {
        snprintf(internal, sizeof(internal), "10.0.0.5:%d", 1000 + i);
        snprintf(external, sizeof(external), "%s", tcp_connect(&gateway, internal, REMOTE ":443"));
        ck_assert_ptr_nonnull(tcp_out(&gateway, internal, REMOTE ":443", TCP_RST));
    }
    ck_assert_uint_eq(dropped(DROP_HOST_LIMIT) + dropped(DROP_POOL_DRY), 0);
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_RECLAIMED], 2000 - 800);
    ck_assert_uint_eq(open_tcp("10.0.0.6", 1000, 40, REMOTE ":443"), 40);
    gateway_stop(&gateway);
}
END_TEST

/*
 * A resolver that asks from a new port each time, so often that the pool would be dry after five
 * minutes (55 times a second with 16384 ports), beside a host that needs a port now and then.
 */
START_TEST(a_busy_resolver_does_not_refuse_others_their_ports)
{
    uint32_t asked = 0, rounds = 300;

    start(0);
    for (uint32_t i = 0; i < rounds; i++) {
        asked += open_udp("10.0.0.53", 1024 + i * 10, 10);
        ck_assert_uint_eq(open_udp("10.0.0.6", 1024 + i, 1), 1);
        gateway_wait(&gateway, 3000);
    }
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 0);
    ck_assert_uint_eq(asked + dropped(DROP_HOST_LIMIT), rounds * 10);
    ck_assert_uint_gt(dropped(DROP_HOST_LIMIT), 0); /* otherwise this tests nothing */
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_number_of_mappings_per_host_is_just_that_number)
{
    start(900);
    ck_assert_uint_eq(open_udp("10.0.0.5", 1000, POOL), 900);
    ck_assert_uint_eq(dropped(DROP_HOST_LIMIT), 100);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(without_the_limit_one_host_may_use_the_whole_pool)
{
    start(UINT32_MAX);
    policy_limits(gateway.policy)->mappings_per_host = 0;
    ck_assert_uint_eq(open_udp("10.0.0.5", 1000, POOL), POOL);
    ck_assert_uint_eq(open_udp("10.0.0.5", 3000, 1), 0);
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(with_several_addresses_each_of_them_keeps_room)
{
    const struct address addresses[2] = {address_of(EXTERNAL), address_of("203.0.113.6")};
    uint32_t got;

    start(0);
    gateway_set_addresses(&gateway, addresses, 2);
    got = open_udp("10.0.0.5", 1000, POOL + POOL / 2); /* paired: of one address only */
    ck_assert_uint_eq(got, POOL / 5 * 4);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_host_alone_gets_four_fifths_of_a_pool,
        rfc6888_req4_hosts_that_take_all_they_can_leave_room_for_one_more,
        hosts_that_need_few_ports_use_a_pool_to_the_last_one,
        a_host_may_have_more_again_when_others_have_given_ports_back,
        a_host_with_its_part_of_one_protocol_may_still_use_another,
        connections_beyond_the_part_of_a_host_share_its_ports,
        connections_beyond_the_part_of_a_host_take_back_ports_of_closed_ones,
        a_busy_resolver_does_not_refuse_others_their_ports,
        a_number_of_mappings_per_host_is_just_that_number,
        without_the_limit_one_host_may_use_the_whole_pool,
        with_several_addresses_each_of_them_keeps_room,
    };

    return RUN_TESTS("pool parts", tests);
}
