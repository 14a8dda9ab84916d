/*
 * test_closed_sessions.c - closed connections: they do not count as their host's, until they are
 * opened anew
 */
#include "support.h"

#include <stdio.h>

static struct gateway gateway;

static void start(uint32_t per_host, uint32_t per_second)
{
    struct policy *policy = lab_policy(FILTERING_ENDPOINT_INDEPENDENT);

    policy_limits(policy)->sessions_per_host = per_host;
    policy_limits(policy)->new_sessions_per_host = per_second;
    add_forward(policy, "web", FORWARD_TCP, 80, 80, "10.0.0.80:80", NULL);
    gateway_start(&gateway, policy);
}

/* Connects and closes from both sides. */
static void visit(const char *internal, const char *remote)
{
    char external[32];

    snprintf(external, sizeof(external), "%s", tcp_connect(&gateway, internal, remote));
    ck_assert_ptr_nonnull(tcp_out(&gateway, internal, remote, TCP_FIN | TCP_ACK));
    ck_assert_int_eq(tcp_in(&gateway, remote, external, TCP_FIN | TCP_ACK), DROP_NONE);
}

static uint32_t counted(const char *host)
{
    struct address address = address_of(host);

    return host_sessions(&gateway.nat->table, &address);
}

START_TEST(a_host_may_open_any_number_of_connections_one_after_the_other)
{
    char internal[32];

    start(2, 0);
    for (int i = 0; i < 200; i++) {
        snprintf(internal, sizeof(internal), "10.0.0.5:%d", 4000 + i);
        visit(internal, REMOTE ":80");
        ck_assert_uint_eq(counted("10.0.0.5"), 0);
    }
    ck_assert_uint_eq(gateway.nat->table.live, 200);
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_HOST_LIMIT], 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_connection_that_is_half_closed_still_counts)
{
    start(1, 0);
    tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":80");
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":80", TCP_FIN | TCP_ACK));
    ck_assert_uint_eq(counted("10.0.0.5"), 1);
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.5:4001", REMOTE ":80", TCP_SYN));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_connection_that_is_opened_anew_counts_again)
{
    start(1, 0);
    visit("10.0.0.5:4000", REMOTE ":80");
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":80", TCP_SYN));
    ck_assert_uint_eq(counted("10.0.0.5"), 1);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(opening_closed_connections_anew_does_not_get_around_the_limit)
{
    start(1, 0);
    visit("10.0.0.5:4000", REMOTE ":80");
    visit("10.0.0.5:4001", REMOTE ":80");
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":80", TCP_SYN));
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.5:4001", REMOTE ":80", TCP_SYN));
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_HOST_LIMIT], 1);
    ck_assert_uint_eq(counted("10.0.0.5"), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(opening_closed_connections_anew_is_limited_in_rate_as_well)
{
    start(100, 1);
    visit("10.0.0.5:4000", REMOTE ":80");
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":80", TCP_SYN));
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_HOST_RATE], 1);
    gateway.now += 1000;
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":80", TCP_SYN));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_connection_that_the_other_side_opens_anew_counts_for_nobody_inside)
{
    char external[32];

    start(1, 0);
    snprintf(external, sizeof(external), "%s",
             tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":80"));
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":80", TCP_FIN | TCP_ACK));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":80", external, TCP_FIN | TCP_ACK), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":80", external, TCP_SYN), DROP_NONE);
    ck_assert_uint_eq(counted("10.0.0.5"), 0);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4001", REMOTE ":80", TCP_SYN));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forwards_target_that_opens_a_closed_connection_anew_counts_it)
{
    start(1, 0);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":5000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.80:80", REMOTE ":5000", TCP_RST | TCP_ACK));
    ck_assert_uint_eq(counted("10.0.0.80"), 0);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.80:80", REMOTE ":5000", TCP_SYN));
    ck_assert_uint_eq(counted("10.0.0.80"), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_connection_that_continues_after_a_reset_counts_again_whatever_the_limit)
{
    char external[32];

    start(1, 0);
    snprintf(external, sizeof(external), "%s",
             tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":80"));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":80", external, TCP_RST), DROP_NONE);
    ck_assert_uint_eq(counted("10.0.0.5"), 0);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4001", REMOTE ":80", TCP_SYN));
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":80", TCP_ACK));
    ck_assert_uint_eq(counted("10.0.0.5"), 2);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_host_may_open_any_number_of_connections_one_after_the_other,
        a_connection_that_is_half_closed_still_counts,
        a_connection_that_is_opened_anew_counts_again,
        opening_closed_connections_anew_does_not_get_around_the_limit,
        opening_closed_connections_anew_is_limited_in_rate_as_well,
        a_connection_that_the_other_side_opens_anew_counts_for_nobody_inside,
        a_forwards_target_that_opens_a_closed_connection_anew_counts_it,
        a_connection_that_continues_after_a_reset_counts_again_whatever_the_limit,
    };

    return RUN_TESTS("closed sessions", tests);
}
