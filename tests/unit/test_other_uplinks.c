/*
 * test_other_uplinks.c - a way out that is not external: what a share sends there
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define UPLINK 7

static struct gateway gateway;

static void start_with_other_uplink(void)
{
    const uint32_t uplinks[] = {UPLINK};
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_share(policy, "roam", "10.9.0.0/24", 51000, 51999, FILTERING_ADDRESS_DEPENDENT);
    add_forward(policy, "web", FORWARD_TCP, 8080, 8080, "10.0.0.80:80", NULL);
    add_forward(policy, "dns", FORWARD_UDP, 53, 53, "10.5.0.53:53", NULL);
    gateway_start(&gateway, policy);
    nat_set_other_uplinks(gateway.nat, uplinks, 1);
}

static enum drop_reason leave_by(uint32_t interface, struct sample *sample)
{
    sample->packet.hook = HOOK_OUTBOUND;
    sample->packet.in_interface = LAN;
    sample->packet.out_interface = interface;
    return gateway_translate(&gateway, sample);
}

static enum drop_reason udp_by(uint32_t interface, const char *from, const char *to)
{
    struct sample sample;

    make_udp(&sample, from, to, 20);
    return leave_by(interface, &sample);
}

START_TEST(what_a_share_sends_by_another_uplink_is_dropped_and_counted)
{
    struct sample sample;

    start_with_other_uplink();
    ck_assert_int_eq(udp_by(UPLINK, "10.0.0.5:4000", REMOTE ":53"), DROP_OTHER_UPLINK);
    make_tcp(&sample, "10.0.0.5:4000", REMOTE ":443", TCP_SYN);
    ck_assert_int_eq(leave_by(UPLINK, &sample), DROP_OTHER_UPLINK);
    make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_ECHO_REQUEST, 7);
    ck_assert_int_eq(leave_by(UPLINK, &sample), DROP_OTHER_UPLINK);
    make_raw(&sample, "10.0.0.5", REMOTE, 47, 20);
    ck_assert_int_eq(leave_by(UPLINK, &sample), DROP_UNSUPPORTED_PROTOCOL);
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_OTHER_UPLINK], 3);
    ck_assert_uint_eq(nat_other_uplink_drops(gateway.nat, UPLINK), 3);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_session_whose_route_moves_to_another_uplink_stops_until_it_comes_back)
{
    char external[32];

    start_with_other_uplink();
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    ck_assert_int_eq(udp_by(UPLINK, "10.0.0.5:4000", REMOTE ":53"), DROP_OTHER_UPLINK);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_of_a_shared_host_about_no_session_does_not_leave_by_another_uplink)
{
    struct sample quoted, error;

    start_with_other_uplink();
    make_udp(&quoted, REMOTE ":53", "10.0.0.5:4000", 20);
    make_icmp_error(&error, "10.0.0.5", REMOTE, ICMP_DESTINATION_UNREACHABLE, 3, &quoted, 8);
    ck_assert_int_eq(leave_by(UPLINK, &error), DROP_ICMP_NO_SESSION);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_is_not_hidden_may_leave_by_another_uplink)
{
    struct sample sample;

    start_with_other_uplink();
    /* a host in no share, and hosts of two shares among themselves */
    make_udp(&sample, "10.7.0.1:4000", REMOTE ":53", 20);
    ck_assert_int_eq(leave_by(UPLINK, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    make_udp(&sample, "10.0.0.5:4000", "10.9.0.1:53", 20);
    ck_assert_int_eq(leave_by(UPLINK, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    /* an interface that is only routed to */
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    ck_assert_int_eq(leave_by(TUNNEL, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_exempt_destination_may_be_reached_by_another_uplink)
{
    const uint32_t uplinks[] = {UPLINK};
    struct prefix source = prefix_of("10.0.0.0/24"), exempt = prefix_of("192.0.2.64/26");
    struct port_range ports = {50000, 50999};
    const struct share share = {.name = "lab",
                                .source = &source,
                                .source_count = 1,
                                .ports = &ports,
                                .ports_count = 1,
                                .exempt = &exempt,
                                .exempt_count = 1};
    struct policy *policy = policy_new();
    struct sample sample;

    policy_limits(policy)->sessions = 16;
    ck_assert(policy_add_share(policy, &share));
    gateway_start(&gateway, policy);
    nat_set_other_uplinks(gateway.nat, uplinks, 1);
    make_udp(&sample, "10.0.0.5:4000", "192.0.2.77:53", 20);
    ck_assert_int_eq(leave_by(UPLINK, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    ck_assert_int_eq(udp_by(UPLINK, "10.0.0.5:4000", REMOTE ":53"), DROP_OTHER_UPLINK);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(answers_of_an_outsiders_session_leave_by_any_interface_with_the_address_it_called)
{
    struct sample sample;

    start_with_other_uplink();
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":8080", TCP_SYN), DROP_NONE);
    make_tcp(&sample, "10.0.0.80:80", REMOTE ":1000", TCP_SYN | TCP_ACK);
    ck_assert_int_eq(leave_by(UPLINK, &sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), EXTERNAL ":8080");
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":1000", EXTERNAL ":53"), DROP_NONE);
    make_udp(&sample, "10.5.0.53:53", REMOTE ":1000", 20);
    ck_assert_int_eq(leave_by(UPLINK, &sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), EXTERNAL ":53");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_interface_is_an_uplink_for_as_long_as_it_is_said_to_be)
{
    const uint32_t before[] = {UPLINK}, after[] = {UPLINK, UPLINK + 1};
    struct sample sample;

    start_with_other_uplink();
    ck_assert_int_eq(udp_by(UPLINK, "10.0.0.5:4000", REMOTE ":53"), DROP_OTHER_UPLINK);
    nat_set_other_uplinks(gateway.nat, after, 2);
    ck_assert_uint_eq(nat_other_uplink_drops(gateway.nat, UPLINK), 1);
    ck_assert_int_eq(udp_by(UPLINK + 1, "10.0.0.5:4000", REMOTE ":53"), DROP_OTHER_UPLINK);
    nat_set_other_uplinks(gateway.nat, before, 0);
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    ck_assert_int_eq(leave_by(UPLINK, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    ck_assert_uint_eq(nat_other_uplink_drops(gateway.nat, UPLINK), 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(uplinks_beyond_the_most_that_are_kept_are_left_out)
{
    uint32_t uplinks[NAT_OTHER_UPLINKS_MAX + 8];

    for (uint32_t i = 0; i < NAT_OTHER_UPLINKS_MAX + 8; i++)
        uplinks[i] = 100 + i;
    start_with_other_uplink();
    nat_set_other_uplinks(gateway.nat, uplinks, NAT_OTHER_UPLINKS_MAX + 8);
    ck_assert_int_eq(udp_by(100 + NAT_OTHER_UPLINKS_MAX - 1, "10.0.0.5:4000", REMOTE ":53"),
                     DROP_OTHER_UPLINK);
    ck_assert_int_eq(udp_by(100 + NAT_OTHER_UPLINKS_MAX, "10.0.0.5:4000", REMOTE ":53"), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        what_a_share_sends_by_another_uplink_is_dropped_and_counted,
        a_session_whose_route_moves_to_another_uplink_stops_until_it_comes_back,
        an_error_of_a_shared_host_about_no_session_does_not_leave_by_another_uplink,
        what_is_not_hidden_may_leave_by_another_uplink,
        an_exempt_destination_may_be_reached_by_another_uplink,
        answers_of_an_outsiders_session_leave_by_any_interface_with_the_address_it_called,
        an_interface_is_an_uplink_for_as_long_as_it_is_said_to_be,
        uplinks_beyond_the_most_that_are_kept_are_left_out,
    };

    return RUN_TESTS("other uplinks", tests);
}
