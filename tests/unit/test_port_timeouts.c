/*
 * test_port_timeouts.c - timeouts of single ports: whose they are, from when on, and what follows
 * them
 */
#include "support.h"

#include <stdio.h>

static struct gateway gateway;

/* 10 seconds for UDP port 53, an hour for TCP port 22, and a forward to a DNS server. */
static void start(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    ck_assert(timeouts_set_port(policy_timeouts(policy), PROTOCOL_UDP, 53, 10));
    ck_assert(timeouts_set_port(policy_timeouts(policy), PROTOCOL_TCP, 22, 3600));
    add_forward(policy, "dns", FORWARD_UDP, 53, 53, "10.9.0.53:5353", NULL);
    gateway_start(&gateway, policy);
}

static bool lives(const char *internal, const char *remote)
{
    struct session_view view;

    return find_view(&gateway, internal, remote, &view);
}

/* A question and its answer. */
static void ask(const char *internal, const char *server)
{
    const char *external = udp_out(&gateway, internal, server);

    ck_assert_ptr_nonnull(external);
    ck_assert_int_eq(udp_in(&gateway, server, external), DROP_NONE);
}

START_TEST(rfc4787_req5a_an_answered_question_is_kept_as_long_as_its_port_says)
{
    struct session_view view;

    start();
    ask("10.0.0.5:4000", REMOTE ":53");
    ck_assert(find_view(&gateway, "10.0.0.5:4000", REMOTE ":53", &view));
    ck_assert_uint_eq(view.expires_in_ms, 10000);
    gateway_wait(&gateway, 9000);
    ck_assert(lives("10.0.0.5:4000", REMOTE ":53"));
    gateway_wait(&gateway, 1000);
    ck_assert(!lives("10.0.0.5:4000", REMOTE ":53"));
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(each_packet_begins_the_time_of_the_port_anew)
{
    start();
    for (int i = 0; i < 5; i++) {
        ask("10.0.0.5:4000", REMOTE ":53");
        gateway_wait(&gateway, 9000);
    }
    ck_assert_uint_eq(gateway.nat->counters.opened, 1);
    gateway_wait(&gateway, 1000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

/* A slow server must still be able to answer. */
START_TEST(a_question_without_answer_is_kept_as_any_other)
{
    const char *external;

    start();
    external = udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    gateway_wait(&gateway, 299000);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    gateway_wait(&gateway, 10000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(other_ports_and_protocols_keep_their_timeouts)
{
    start();
    ask("10.0.0.5:4000", REMOTE ":54");
    ask("10.0.0.5:53", REMOTE ":4000"); /* the port that counts is the one that is called */
    tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":53");
    gateway_wait(&gateway, 299000);
    ck_assert_uint_eq(gateway.nat->table.live, 3);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_mapping_lives_as_long_as_the_longest_of_its_sessions)
{
    char external[32];

    start();
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:4000", REMOTE ":5000"));
    ask("10.0.0.5:4000", REMOTE ":53");
    gateway_wait(&gateway, 20000);
    ck_assert(!lives("10.0.0.5:4000", REMOTE ":53"));
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", "192.0.2.1:53"), external);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forwards_sessions_are_kept_by_the_port_that_the_client_calls)
{
    struct sample sample;

    start();
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":4000", EXTERNAL ":53"), DROP_NONE);
    make_udp(&sample, "10.9.0.53:5353", REMOTE ":4000", 20);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    gateway_wait(&gateway, 10000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_established_connection_is_kept_as_long_as_its_port_says)
{
    start();
    tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":22");
    tcp_connect(&gateway, "10.0.0.5:4001", REMOTE ":23");
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4002", REMOTE ":22", TCP_SYN));
    gateway_wait(&gateway, 241000); /* being opened: tcp-transitory */
    ck_assert_uint_eq(gateway.nat->table.live, 2);
    gateway_wait(&gateway, 3360000);
    ck_assert(!lives("10.0.0.5:4000", REMOTE ":22"));
    ck_assert(lives("10.0.0.5:4001", REMOTE ":23"));
    gateway_stop(&gateway);
}
END_TEST

/* The kernel rewrites its packets: it is asked before the session ends. */
START_TEST(an_offloaded_session_is_kept_as_long_as_its_port_says)
{
    struct offload_order order;
    struct offload_traffic traffic = {.packets = {3, 3}, .bytes = {300, 300}};

    start();
    ck_assert(nat_offload_init(gateway.nat, 4, 2));
    ask("10.0.0.5:4000", REMOTE ":53");
    nat_offload_let_enter(gateway.nat, gateway.now, OFFLOAD_OVERFULL);
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    nat_offload_added(gateway.nat, order.entry, true);
    gateway_wait(&gateway, 10000);
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    ck_assert_int_eq(order.task, OFFLOAD_ASK);
    nat_offload_answered(gateway.nat, order.entry, &traffic, gateway.now);
    ck_assert(lives("10.0.0.5:4000", REMOTE ":53"));
    gateway_wait(&gateway, 10000);
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    nat_offload_answered(gateway.nat, order.entry, &traffic, gateway.now); /* nothing new */
    ck_assert(!lives("10.0.0.5:4000", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_timeout_that_is_set_again_replaces_the_first)
{
    struct policy *policy = policy_new();
    struct timeouts *timeouts = policy_timeouts(policy);

    ck_assert_uint_eq(timeouts_of_port(timeouts, PROTOCOL_UDP, 53), 0);
    ck_assert(timeouts_set_port(timeouts, PROTOCOL_UDP, 53, 10));
    ck_assert(timeouts_set_port(timeouts, PROTOCOL_UDP, 53, 20));
    ck_assert_uint_eq(timeouts_of_port(timeouts, PROTOCOL_UDP, 53), 20);
    ck_assert_uint_eq(timeouts_of_port(timeouts, PROTOCOL_TCP, 53), 0);
    for (uint16_t port = 1000; port < 1000 + PORT_TIMEOUTS_MAX - 1; port++)
        ck_assert(timeouts_set_port(timeouts, PROTOCOL_TCP, port, 1));
    ck_assert(!timeouts_set_port(timeouts, PROTOCOL_TCP, 9, 1));
    policy_free(policy);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc4787_req5a_an_answered_question_is_kept_as_long_as_its_port_says,
        each_packet_begins_the_time_of_the_port_anew,
        a_question_without_answer_is_kept_as_any_other,
        other_ports_and_protocols_keep_their_timeouts,
        a_mapping_lives_as_long_as_the_longest_of_its_sessions,
        a_forwards_sessions_are_kept_by_the_port_that_the_client_calls,
        an_established_connection_is_kept_as_long_as_its_port_says,
        an_offloaded_session_is_kept_as_long_as_its_port_says,
        a_timeout_that_is_set_again_replaces_the_first,
    };

    return RUN_TESTS("port timeouts", tests);
}
