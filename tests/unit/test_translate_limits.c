/*
 * test_translate_limits.c - a full table, a dry pool, limits for hosts, ports that rest
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct gateway gateway;

/* A table of `sessions`, a pool of `ports`, and a forward on port 80. */
static void start(uint32_t sessions, uint32_t per_host, uint16_t ports)
{
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = sessions;
    policy_limits(policy)->sessions_per_host = per_host;
    add_share(policy, "lab", "10.0.0.0/24", 50000, (uint16_t)(50000 + ports - 1),
              FILTERING_ENDPOINT_INDEPENDENT);
    add_forward(policy, "web", FORWARD_TCP | FORWARD_UDP, 80, 80, "10.9.0.80:80", NULL);
    add_forward(policy, "closed", FORWARD_TCP, 81, 81, "10.9.0.80:81", "192.0.2.200/32");
    gateway_start(&gateway, policy);
}

static uint64_t dropped(enum drop_reason reason)
{
    return gateway.nat->counters.dropped[reason];
}

static uint64_t ended(enum close_reason reason)
{
    return gateway.nat->counters.closed[reason];
}

static const char *numbered(const char *prefix, int number)
{
    static char text[4][40];
    static int next;

    next = (next + 1) % 4;
    snprintf(text[next], sizeof(text[next]), "%s:%d", prefix, number);
    return text[next];
}

static bool lives(const char *internal, const char *remote)
{
    struct session_view view;

    return find_view(&gateway, internal, remote, &view);
}

/* Limits of hosts (RFC 6888 REQ-4, REQ-5). */

START_TEST(rfc6888_req5_a_host_has_no_more_sessions_than_its_limit)
{
    start(100, 3, 50);
    for (int i = 1; i <= 3; i++)
        ck_assert_ptr_nonnull(udp_out(&gateway, numbered("10.0.0.5", i), REMOTE ":53"));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:9", REMOTE ":53"));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:1", REMOTE ":54"));
    ck_assert_uint_eq(dropped(DROP_HOST_LIMIT), 2);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53")); /* what it has goes on */
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.6:1", REMOTE ":53")); /* and so do others */
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_session_that_ends_makes_room_for_its_host)
{
    start(100, 1, 50);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:2", REMOTE ":53"));
    gateway_wait(&gateway, 301000);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:2", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_others_open_to_a_host_does_not_count_against_it)
{
    char external[32];

    start(100, 1, 50);
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    for (int i = 1; i <= 5; i++)
        ck_assert_int_eq(udp_in(&gateway, numbered("192.0.2.1", i), external), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_hairpin_counts_for_the_host_that_opened_it)
{
    struct sample sample;

    start(100, 1, 50);
    make_udp(&sample, "10.0.0.5:1", EXTERNAL ":80", 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    make_udp(&sample, "10.0.0.5:2", EXTERNAL ":80", 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_HOST_LIMIT);
    gateway_stop(&gateway);
}
END_TEST

/* A full table. */

START_TEST(a_full_table_parts_with_the_oldest_unanswered_session)
{
    start(3, 100, 50);
    for (int i = 1; i <= 3; i++)
        ck_assert_ptr_nonnull(udp_out(&gateway, numbered("10.0.0.5", i), REMOTE ":53"));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4", REMOTE ":53"));
    ck_assert_uint_eq(ended(CLOSE_EVICTED), 1);
    ck_assert(!lives("10.0.0.5:1", REMOTE ":53"));
    ck_assert(lives("10.0.0.5:2", REMOTE ":53") && lives("10.0.0.5:3", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_full_table_parts_with_closed_sessions_first)
{
    start(3, 100, 50);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    tcp_connect(&gateway, "10.0.0.5:2", REMOTE ":443");
    tcp_connect(&gateway, "10.0.0.5:3", REMOTE ":443");
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:3", REMOTE ":443", TCP_RST));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4", REMOTE ":53"));
    ck_assert(!lives("10.0.0.5:3", REMOTE ":443"));
    ck_assert(lives("10.0.0.5:1", REMOTE ":53") && lives("10.0.0.5:2", REMOTE ":443"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc6888_req11_established_sessions_are_never_evicted)
{
    char external[32];

    start(3, 100, 50);
    tcp_connect(&gateway, "10.0.0.5:1", REMOTE ":443");
    tcp_connect(&gateway, "10.0.0.5:2", REMOTE ":443");
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:3", REMOTE ":53"));
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:4", REMOTE ":53"));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_SYN), DROP_TABLE_FULL);
    ck_assert_uint_eq(dropped(DROP_TABLE_FULL), 2);
    ck_assert_uint_eq(ended(CLOSE_EVICTED), 0);
    gateway_stop(&gateway);
}
END_TEST

/* An answer makes a session worth keeping, a question alone does not. */
START_TEST(a_flood_of_syns_evicts_itself)
{
    start(10, 100, 50);
    tcp_connect(&gateway, "10.0.0.5:1", REMOTE ":443");
    for (int i = 1; i <= 100; i++)
        ck_assert_int_eq(tcp_in(&gateway, numbered("192.0.2.1", i), EXTERNAL ":80", TCP_SYN),
                         DROP_NONE);
    ck_assert(lives("10.0.0.5:1", REMOTE ":443"));
    ck_assert_uint_eq(ended(CLOSE_EVICTED), 91);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_refused_packet_evicts_nothing)
{
    start(3, 100, 50);
    for (int i = 1; i <= 3; i++)
        ck_assert_ptr_nonnull(udp_out(&gateway, numbered("10.0.0.5", i), REMOTE ":53"));
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.1:1", EXTERNAL ":81", TCP_SYN), DROP_NOT_ALLOWED);
    ck_assert_uint_eq(ended(CLOSE_EVICTED), 0);
    ck_assert_uint_eq(gateway.nat->table.live, 3);
    gateway_stop(&gateway);
}
END_TEST

/* The mapping that a packet is for may be the one that makes room for it. */
START_TEST(an_eviction_may_take_the_mapping_that_the_packet_was_for)
{
    char external[32];

    start(1, 100, 50);
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:1", external), DROP_NO_SESSION);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":54"));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":55"));
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

/* And so may what admitted it. */
START_TEST(an_eviction_may_close_the_door_that_the_packet_came_by)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    char external[32];

    policy_limits(policy)->sessions = 2;
    gateway_start(&gateway, policy);
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", "192.0.2.1:53"));
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":54", external), DROP_FILTERED);
    ck_assert(lives("10.0.0.5:1", "192.0.2.1:53"));
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_eviction_may_take_the_host_that_a_hairpin_was_for)
{
    struct sample sample;
    char external[32];

    start(2, 100, 50);
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.6:1", REMOTE ":53"));
    make_udp(&sample, "10.0.0.7:1", external, 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NO_SESSION);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 1);
    gateway_stop(&gateway);
}
END_TEST

/* A dry pool. */

START_TEST(a_dry_pool_refuses_new_mappings_and_keeps_the_old_ones)
{
    start(100, 100, 4);
    for (int i = 1; i <= 4; i++)
        ck_assert_ptr_nonnull(udp_out(&gateway, numbered("10.0.0.5", i), REMOTE ":53"));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:5", REMOTE ":53"));
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 1);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":54"));
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:5", REMOTE ":53", TCP_SYN));
    ck_assert_uint_eq(gateway.nat->table.live, 6);
    gateway_stop(&gateway);
}
END_TEST

static void reset(int port)
{
    tcp_connect(&gateway, numbered("10.0.0.5", port), REMOTE ":443");
    ck_assert_ptr_nonnull(tcp_out(&gateway, numbered("10.0.0.5", port), REMOTE ":443", TCP_RST));
}

START_TEST(a_dry_pool_takes_back_the_oldest_closed_connections_port)
{
    char newcomer[32];

    start(100, 100, 3);
    tcp_connect(&gateway, "10.0.0.5:1", REMOTE ":443");
    reset(2);
    reset(3);
    snprintf(newcomer, sizeof(newcomer), "%s", tcp_connect(&gateway, "10.0.0.5:4", REMOTE ":443"));
    ck_assert_uint_eq(ended(CLOSE_RECLAIMED), 1);
    ck_assert(!lives("10.0.0.5:2", REMOTE ":443"));
    ck_assert(lives("10.0.0.5:1", REMOTE ":443") && lives("10.0.0.5:3", REMOTE ":443"));
    tcp_connect(&gateway, "10.0.0.5:5", REMOTE ":443");
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.5:6", REMOTE ":443", TCP_SYN));
    ck_assert_uint_eq(ended(CLOSE_RECLAIMED), 2);
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_connection_that_was_refused_gives_its_port_back)
{
    char external[32];

    start(100, 100, 1);
    snprintf(external, sizeof(external), "%s",
             tcp_out(&gateway, "10.0.0.5:1", REMOTE ":443", TCP_SYN));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":443", external, TCP_RST | TCP_ACK), DROP_NONE);
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.5:2", REMOTE ":443", TCP_SYN), external);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_3_a_dry_tcp_pool_shares_ports_between_destinations)
{
    char first[32], second[32];
    struct sample sample;

    start(100, 100, 1);
    snprintf(first, sizeof(first), "%s", tcp_connect(&gateway, "10.0.0.5:1", REMOTE ":443"));
    snprintf(second, sizeof(second), "%s", tcp_connect(&gateway, "10.0.0.6:1", "192.0.2.1:443"));
    ck_assert_str_eq(first, second);
    make_tcp(&sample, REMOTE ":443", first, TCP_ACK);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), "10.0.0.5:1");
    make_tcp(&sample, "192.0.2.1:443", first, TCP_ACK);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), "10.0.0.6:1");
    /* Where answers could not be told apart, it does not. */
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.7:1", REMOTE ":443", TCP_SYN));
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 1);
    gateway_stop(&gateway);
}
END_TEST

/* Whoever of the two goes first, the other one keeps the port, and nobody else gets it. */
START_TEST(a_shared_port_is_free_when_both_have_gone)
{
    for (int stays = 0; stays < 2; stays++) {
        const char *const host[2] = {"10.0.0.5:1", "10.0.0.6:1"};
        const char *const far[2] = {REMOTE ":443", "192.0.2.1:443"};
        uint32_t used, size;

        start(100, 100, 1);
        for (int i = 0; i < 2; i++) {
            ck_assert_ptr_nonnull(tcp_out(&gateway, host[i], far[i], TCP_SYN));
            if (i == stays)
                tcp_connect(&gateway, host[i], far[i]);
        }
        gateway_wait(&gateway, 241000);
        ck_assert_uint_eq(gateway.nat->table.live, 1);
        ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.7:1", far[stays], TCP_SYN));
        gateway_wait(&gateway, 121000);
        nat_pool_use(gateway.nat, 0, PROTOCOL_TCP, gateway.now, &used, &size);
        ck_assert(used == 1 && size == 1);
        gateway_wait(&gateway, 7441000);
        ck_assert_uint_eq(gateway.nat->table.live, 0);
        gateway_wait(&gateway, 120000);
        ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.7:1", REMOTE ":443", TCP_SYN));
        gateway_stop(&gateway);
    }
}
END_TEST

START_TEST(rfc4787_req3_udp_never_shares_ports)
{
    start(100, 100, 1);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.6:1", "192.0.2.1:53"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(udp_does_not_take_ports_back_from_tcp)
{
    start(100, 100, 1);
    reset(1);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:2", REMOTE ":53"));
    ck_assert_uint_eq(ended(CLOSE_RECLAIMED), 0);
    gateway_stop(&gateway);
}
END_TEST

/* Ports that rest. */

START_TEST(rfc6888_req8_an_expired_mappings_port_rests_120_seconds)
{
    uint32_t used, size;

    start(100, 100, 1);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    gateway_wait(&gateway, 300000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    nat_pool_use(gateway.nat, 0, PROTOCOL_UDP, gateway.now, &used, &size);
    ck_assert(used == 1 && size == 1);
    gateway_wait(&gateway, 119999);
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    gateway_wait(&gateway, 1);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_killed_mappings_port_rests_as_well)
{
    start(100, 100, 1);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    for (uint32_t slot = 0; slot < gateway.nat->table.capacity; slot++) {
        struct session_view view;

        if (nat_view(gateway.nat, slot, gateway.now, &view))
            gateway_kill(&gateway, slot);
    }
    ck_assert_uint_eq(ended(CLOSE_KILLED), 1);
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:2", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_refused_packet_costs_no_port)
{
    uint32_t used, size;
    struct sample sample;

    start(100, 1, 10);
    make_tcp(&sample, "10.0.0.5:1", EXTERNAL ":81", TCP_SYN);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NOT_ALLOWED);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:2", REMOTE ":53"));
    nat_pool_use(gateway.nat, 0, PROTOCOL_UDP, gateway.now, &used, &size);
    ck_assert_uint_eq(used, 1);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc6888_req5_a_host_has_no_more_sessions_than_its_limit,
        a_session_that_ends_makes_room_for_its_host,
        what_others_open_to_a_host_does_not_count_against_it,
        a_hairpin_counts_for_the_host_that_opened_it,
        a_full_table_parts_with_the_oldest_unanswered_session,
        a_full_table_parts_with_closed_sessions_first,
        rfc6888_req11_established_sessions_are_never_evicted,
        a_flood_of_syns_evicts_itself,
        a_refused_packet_evicts_nothing,
        an_eviction_may_take_the_mapping_that_the_packet_was_for,
        an_eviction_may_close_the_door_that_the_packet_came_by,
        an_eviction_may_take_the_host_that_a_hairpin_was_for,
        a_dry_pool_refuses_new_mappings_and_keeps_the_old_ones,
        a_dry_pool_takes_back_the_oldest_closed_connections_port,
        a_connection_that_was_refused_gives_its_port_back,
        rfc7857_3_a_dry_tcp_pool_shares_ports_between_destinations,
        a_shared_port_is_free_when_both_have_gone,
        rfc4787_req3_udp_never_shares_ports,
        udp_does_not_take_ports_back_from_tcp,
        rfc6888_req8_an_expired_mappings_port_rests_120_seconds,
        a_killed_mappings_port_rests_as_well,
        a_refused_packet_costs_no_port,
    };

    return RUN_TESTS("translate limits", tests);
}
