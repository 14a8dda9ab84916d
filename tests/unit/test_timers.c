/*
 * test_timers.c - the timers that can be set apart, how long ports rest, and how many a host may
 * hold
 */
#include "support.h"

#include <stdio.h>

static struct gateway gateway;

static struct policy *one_port_policy(void)
{
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = 64;
    policy_limits(policy)->sessions_per_host = 64;
    add_share(policy, "lab", "10.0.0.0/24", 50000, 50000, FILTERING_ADDRESS_DEPENDENT);
    return policy;
}

static uint32_t live(void)
{
    return gateway.nat->table.live;
}

START_TEST(rfc7857_2_1_opening_and_closing_have_timers_of_their_own)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    const char *external;

    policy_timeouts(policy)->tcp_opening = 30;
    policy_timeouts(policy)->tcp_closing = 600;
    gateway_start(&gateway, policy);
    external = tcp_connect(&gateway, "10.0.0.5:1", REMOTE ":443");
    tcp_in(&gateway, REMOTE ":443", external, TCP_FIN | TCP_ACK);
    tcp_out(&gateway, "10.0.0.5:1", REMOTE ":443", TCP_FIN | TCP_ACK);
    tcp_out(&gateway, "10.0.0.5:2", REMOTE ":443", TCP_SYN);
    gateway_wait(&gateway, 29000);
    ck_assert_uint_eq(live(), 2);
    gateway_wait(&gateway, 2000);
    ck_assert_uint_eq(live(), 1);
    gateway_wait(&gateway, 568000);
    ck_assert_uint_eq(live(), 1);
    gateway_wait(&gateway, 2000);
    ck_assert_uint_eq(live(), 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(without_timers_of_their_own_both_take_the_transitory_one)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    policy_timeouts(policy)->tcp_transitory = 300;
    gateway_start(&gateway, policy);
    tcp_out(&gateway, "10.0.0.5:2", REMOTE ":443", TCP_SYN);
    gateway_wait(&gateway, 299000);
    ck_assert_uint_eq(live(), 1);
    gateway_wait(&gateway, 2000);
    ck_assert_uint_eq(live(), 0);
    gateway_stop(&gateway);
}
END_TEST

/* The port is free again after exactly this many seconds. */
static void assert_port_rests(uint32_t seconds)
{
    uint32_t slot = 0;

    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    while (gateway.nat->table.session[slot].live != SLOT_LIVE)
        slot++;
    gateway_kill(&gateway, slot);
    gateway.now += seconds * UINT64_C(1000) - 1;
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.6:1", REMOTE ":53"));
    gateway.now += 1;
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.6:1", REMOTE ":53"));
}

START_TEST(rfc6888_req8_the_hold_down_is_configurable)
{
    struct policy *policy = one_port_policy();

    policy_timeouts(policy)->port_hold = 300;
    gateway_start(&gateway, policy);
    assert_port_rests(300);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_reload_changes_how_long_ports_rest)
{
    struct policy *policy = one_port_policy();

    gateway_start(&gateway, one_port_policy());
    policy_timeouts(policy)->port_hold = 10;
    gateway_change_policy(&gateway, policy);
    assert_port_rests(10);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc6888_req4_a_host_holds_no_more_ports_than_its_limit)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    policy_limits(policy)->mappings_per_host = 2;
    gateway_start(&gateway, policy);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:1", REMOTE ":80", TCP_SYN));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:2", REMOTE ":53"));
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_HOST_LIMIT], 1);
    /* One port for many remotes is one port; and others are not concerned. */
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", "192.0.2.1:53"));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.6:2", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_port_that_goes_makes_room_for_its_host)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    policy_limits(policy)->mappings_per_host = 1;
    gateway_start(&gateway, policy);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:2", REMOTE ":53"));
    gateway_wait(&gateway, 301000);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:2", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

/*
 * A SYN with a forged source through a forward: its sender sees no answer, and has to guess what to
 * acknowledge.
 */
START_TEST(a_handshake_is_complete_only_with_the_right_acknowledgement)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    struct session_view view;
    struct sample sample;

    add_forward(policy, "web", FORWARD_TCP, 80, 80, "10.0.0.8:80", NULL);
    gateway_start(&gateway, policy);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":5", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.8:80", REMOTE ":5", TCP_SYN | TCP_ACK));
    make_tcp(&sample, REMOTE ":5", EXTERNAL ":80", TCP_ACK);
    put32(sample.bytes + 28, 0x7654321);
    fix_checksums(sample.bytes);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert(find_view(&gateway, "10.0.0.8:80", REMOTE ":5", &view));
    ck_assert_str_eq(session_state_name(view.state), "opening");
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":5", EXTERNAL ":80", TCP_ACK), DROP_NONE);
    ck_assert(find_view(&gateway, "10.0.0.8:80", REMOTE ":5", &view));
    ck_assert_str_eq(session_state_name(view.state), "established");
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        rfc7857_2_1_opening_and_closing_have_timers_of_their_own,
        without_timers_of_their_own_both_take_the_transitory_one,
        rfc6888_req8_the_hold_down_is_configurable,
        a_reload_changes_how_long_ports_rest,
        rfc6888_req4_a_host_holds_no_more_ports_than_its_limit,
        a_port_that_goes_makes_room_for_its_host,
        a_handshake_is_complete_only_with_the_right_acknowledgement,
    };

    return RUN_TESTS("timers", tests);
}
