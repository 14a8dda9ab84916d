/*
 * test_translate_forward.c - from outside: filtering of mappings, forwards and their allow lists,
 * forged sources
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct gateway gateway;

/* 10.0.0.5:4000 has spoken to 198.51.100.9:53; its external endpoint. */
static const char *start_with(enum filtering filtering)
{
    gateway_start(&gateway, lab_policy(filtering));
    return udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
}

static void start_with_forwards(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "web", FORWARD_TCP, 80, 80, "10.0.0.80:8080", NULL);
    add_forward(policy, "ssh", FORWARD_TCP, 2222, 2222, "10.0.0.22:22", "198.51.100.0/24");
    add_forward(policy, "range", FORWARD_TCP | FORWARD_UDP, 7000, 7009, "10.0.0.70:9000", NULL);
    add_forward(policy, "pooled", FORWARD_UDP, 50500, 50500, "10.0.0.53:53", NULL);
    add_forward(policy, "elsewhere", FORWARD_TCP, 8443, 8443, "10.9.0.9:443", NULL);
    gateway_start(&gateway, policy);
}

START_TEST(rfc4787_req8_endpoint_independent_filtering_admits_anyone)
{
    const char *external = start_with(FILTERING_ENDPOINT_INDEPENDENT);

    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":54", external), DROP_NONE);
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:1", external), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req8_address_dependent_filtering_admits_known_addresses)
{
    const char *external = start_with(FILTERING_ADDRESS_DEPENDENT);

    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":54", external), DROP_NONE);
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:53", external), DROP_FILTERED);
    ck_assert_int_eq(udp_in(&gateway, "198.51.100.8:53", external), DROP_FILTERED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req8_address_and_port_dependent_filtering_admits_known_endpoints)
{
    const char *external = start_with(FILTERING_ADDRESS_AND_PORT_DEPENDENT);

    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":54", external), DROP_FILTERED);
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:53", external), DROP_FILTERED);
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_FILTERED], 2);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5382_req3_tcp_is_filtered_likewise)
{
    char external[32];

    gateway_start(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT));
    snprintf(external, sizeof(external), "%s",
             tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":443", TCP_SYN));
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.1:9999", external, TCP_SYN), DROP_FILTERED);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":9999", external, TCP_SYN), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":9998", external, TCP_ACK), DROP_NOT_SYN);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(who_came_in_uninvited_opens_no_door_for_others)
{
    const char *external = start_with(FILTERING_ENDPOINT_INDEPENDENT);

    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:1", external), DROP_NONE);
    ck_assert_uint_eq(gateway_change_policy(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT)), 0);
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:1", external), DROP_NONE);
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:2", external), DROP_FILTERED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(answers_to_who_came_in_leave_by_the_mapping)
{
    const char *external = start_with(FILTERING_ENDPOINT_INDEPENDENT);
    struct session_view view;

    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:1", external), DROP_NONE);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", "192.0.2.1:1"), external);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", "192.0.2.1:1", &view));
    ck_assert_int_eq(view.direction, DIRECTION_INBOUND);
    ck_assert(view.packets_in == 1 && view.packets_out == 1);
    gateway_stop(&gateway);
}
END_TEST

static bool passes_unchanged(struct sample *sample)
{
    return arrive(&gateway, sample) == DROP_NONE && sample->packet.verdict == VERDICT_ACCEPT;
}

START_TEST(a_port_of_the_pool_that_no_mapping_has_is_the_gateways_own)
{
    const char *external = start_with(FILTERING_ENDPOINT_INDEPENDENT);
    uint16_t held = port_of(external);

    for (unsigned port = 50000; port <= 50999; port++) {
        struct sample udp, syn, ack;
        char to[32];

        snprintf(to, sizeof(to), EXTERNAL ":%u", port);
        make_udp(&udp, REMOTE ":1000", to, 20);
        make_tcp(&syn, REMOTE ":1000", to, TCP_SYN);
        make_tcp(&ack, REMOTE ":1000", to, TCP_ACK);
        ck_assert(passes_unchanged(&udp) == (port != held));
        ck_assert(passes_unchanged(&syn)); /* TCP's ports are others */
        ck_assert(passes_unchanged(&ack));
    }
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_NO_SESSION], 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5382_req4_an_unsolicited_syn_to_a_mappings_port_is_silent)
{
    char external[32];

    gateway_start(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT));
    snprintf(external, sizeof(external), "%s",
             tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":80"));
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.1:1000", external, TCP_SYN), DROP_FILTERED);
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.1:1000", external, TCP_ACK), DROP_NOT_SYN);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_port_that_rests_is_silent_until_its_rest_is_over)
{
    struct sample sample;
    char external[32];

    snprintf(external, sizeof(external), "%s", start_with(FILTERING_ENDPOINT_INDEPENDENT));
    gateway_wait(&gateway, 300000);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NO_SESSION);
    gateway.now += PORTS_HOLD_MS;
    make_udp(&sample, REMOTE ":53", external, 20);
    ck_assert(passes_unchanged(&sample));
    gateway_stop(&gateway);
}
END_TEST

/* A socket of the gateway was bound after the mapping had got the port. */
START_TEST(a_port_that_is_kept_is_the_mappings_first_and_the_gateways_for_the_rest)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    struct mapping_view view;
    struct sample sample;
    char external[32];

    snprintf(external, sizeof(external), "%s", start_with(FILTERING_ADDRESS_DEPENDENT));
    policy_keep_port(policy, PROTOCOL_UDP, port_of(external));
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy), 0);
    ck_assert(nat_view_port(gateway.nat, PROTOCOL_UDP, port_of(external), gateway.now, &view));
    ck_assert_str_eq(endpoint_text(&view.internal), "10.0.0.5:4000");
    ck_assert(!nat_view_port(gateway.nat, PROTOCOL_TCP, port_of(external), gateway.now, &view));
    make_udp(&sample, REMOTE ":54", external, 20); /* the filtering admits it */
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_REWRITTEN);
    make_udp(&sample, "192.0.2.1:53", external, 20);
    ck_assert(passes_unchanged(&sample));
    make_udp(&sample, "10.0.0.6:53", external, 20);
    sample.packet.in_interface = LAN;
    ck_assert(passes_unchanged(&sample));
    gateway_wait(&gateway, 300000); /* the mapping ends, and its port rests */
    ck_assert(!nat_view_port(gateway.nat, PROTOCOL_UDP, port_of(external), gateway.now, &view));
    make_udp(&sample, REMOTE ":53", external, 20);
    ck_assert(passes_unchanged(&sample));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_kept_port_without_mapping_changes_nothing_for_forwards)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "ssh", FORWARD_TCP, 2222, 2222, "10.0.0.22:22", "198.51.100.0/24");
    policy_keep_port(policy, PROTOCOL_TCP, 2222);
    gateway_start(&gateway, policy);
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.1:1000", EXTERNAL ":2222", TCP_SYN),
                     DROP_NOT_ALLOWED);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":2222", TCP_SYN), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_host_of_a_share_reaches_the_gateways_own_port_of_the_pool)
{
    struct sample sample;

    gateway_start(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT));
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":50001", 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_port_that_is_not_published_is_the_gateways_own)
{
    struct sample sample;

    start_with_forwards();
    make_tcp(&sample, REMOTE ":1000", EXTERNAL ":22", TCP_SYN);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    make_udp(&sample, REMOTE ":1000", EXTERNAL ":80", 20); /* the forward is TCP's */
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    make_icmp_query(&sample, REMOTE, EXTERNAL, ICMP_ECHO_REQUEST, 1);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    make_icmp_query(&sample, REMOTE, EXTERNAL, ICMP_ECHO_REPLY, 50000);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    make_raw(&sample, REMOTE, EXTERNAL, 50, 20);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forward_delivers_and_its_answers_leave)
{
    struct session_view view;
    struct sample sample;

    start_with_forwards();
    make_tcp(&sample, REMOTE ":1000", EXTERNAL ":80", TCP_SYN);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), REMOTE ":1000");
    ck_assert_str_eq(destination_of(&sample), "10.0.0.80:8080");
    make_tcp(&sample, "10.0.0.80:8080", REMOTE ":1000", TCP_SYN | TCP_ACK);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), EXTERNAL ":80");
    ck_assert_str_eq(destination_of(&sample), REMOTE ":1000");
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_ACK), DROP_NONE);
    ck_assert(find_view(&gateway, "10.0.0.80:8080", REMOTE ":1000", &view));
    ck_assert_int_eq(view.state, STATE_ESTABLISHED);
    ck_assert_int_eq(view.direction, DIRECTION_INBOUND);
    ck_assert_str_eq(view.forward, "web");
    ck_assert_str_eq(endpoint_text(&view.external), EXTERNAL ":80");
    ck_assert(view.packets_in == 2 && view.packets_out == 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_ports_of_a_range_follow_one_to_one)
{
    start_with_forwards();
    for (unsigned i = 0; i < 10; i++) {
        struct sample sample;
        char to[32], target[32];

        snprintf(to, sizeof(to), EXTERNAL ":%u", 7000 + i);
        snprintf(target, sizeof(target), "10.0.0.70:%u", 9000 + i);
        make_udp(&sample, REMOTE ":1000", to, 20);
        ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
        ck_assert_str_eq(destination_of(&sample), target);
        make_tcp(&sample, REMOTE ":1000", to, TCP_SYN);
        ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
        ck_assert_str_eq(destination_of(&sample), target);
    }
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_allow_list_refuses_others)
{
    start_with_forwards();
    ck_assert_int_eq(tcp_in(&gateway, "198.51.100.77:1", EXTERNAL ":2222", TCP_SYN), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.77:1", EXTERNAL ":2222", TCP_SYN), DROP_NOT_ALLOWED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forward_may_lead_to_a_host_without_share)
{
    struct sample sample;

    start_with_forwards();
    make_tcp(&sample, REMOTE ":1000", EXTERNAL ":8443", TCP_SYN);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), "10.9.0.9:443");
    ck_assert_str_eq(tcp_out(&gateway, "10.9.0.9:443", REMOTE ":1000", TCP_SYN | TCP_ACK),
                     EXTERNAL ":8443");
    /* What else that host sends is none of our business. */
    ck_assert_ptr_null(tcp_out(&gateway, "10.9.0.9:444", REMOTE ":1000", TCP_SYN));
    ck_assert_uint_eq(gateway.nat->counters.unchanged, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req1_a_forwards_target_is_seen_at_the_forwards_port)
{
    start_with_forwards();
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.80:8080", "192.0.2.1:25", TCP_SYN), EXTERNAL ":80");
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.70:9003", "192.0.2.1:25"), EXTERNAL ":7003");
    ck_assert_str_eq(tcp_out(&gateway, "10.9.0.9:443", "192.0.2.1:25", TCP_SYN), EXTERNAL ":8443");
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.1:25", EXTERNAL ":80", TCP_SYN | TCP_ACK),
                     DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_pool_never_gives_a_forwards_port)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "half", FORWARD_UDP, 50002, 50999, "10.0.0.53:1000", NULL);
    gateway_start(&gateway, policy);
    for (int i = 0; i < 2; i++) {
        const char *external = udp_out(&gateway, i ? "10.0.0.5:1" : "10.0.0.5:2", REMOTE ":53");

        ck_assert_uint_le(port_of(external), 50001);
    }
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:3", REMOTE ":53"));
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_POOL_DRY], 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(forged_sources_from_outside_are_dropped)
{
    start_with_forwards();
    ck_assert_int_eq(tcp_in(&gateway, "10.0.0.5:1000", EXTERNAL ":80", TCP_SYN),
                     DROP_SPOOFED_SOURCE);
    ck_assert_int_eq(tcp_in(&gateway, EXTERNAL ":1000", EXTERNAL ":80", TCP_SYN),
                     DROP_SPOOFED_SOURCE);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_address_that_the_gateway_does_not_have_forwards_nothing)
{
    struct sample sample;

    start_with_forwards();
    make_tcp(&sample, REMOTE ":1000", "203.0.113.99:80", TCP_SYN);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NO_EXTERNAL_ADDRESS);
    make_tcp(&sample, REMOTE ":1000", "203.0.113.99:22", TCP_SYN);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_refused_packet_leaves_nothing_behind)
{
    uint32_t used, size;

    start_with_forwards();
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.77:1", EXTERNAL ":2222", TCP_SYN), DROP_NOT_ALLOWED);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    ck_assert_uint_eq(gateway.nat->events.next, 1);
    nat_pool_use(gateway.nat, 0, PROTOCOL_UDP, gateway.now, &used, &size);
    ck_assert_uint_eq(used, 0);
    ck_assert_uint_eq(size, 999); /* without the forward's */
    gateway_stop(&gateway);
}
END_TEST

/* Two targets: a new connection gets the first, and each of them is the forward's. */
static struct policy *policy_with_two_targets(const char *first, const char *second)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    struct forward forward = {.name = "web",
                              .protocols = FORWARD_TCP,
                              .listen = {80, 89},
                              .target = {endpoint_of(first), endpoint_of(second)},
                              .target_count = 2};

    ck_assert(policy_add_forward(policy, &forward));
    return policy;
}

START_TEST(a_new_connection_goes_to_the_first_target_and_each_target_answers_as_the_forward)
{
    struct sample sample;

    gateway_start(&gateway, policy_with_two_targets("10.0.0.80:8080", "10.0.0.81:9090"));
    make_tcp(&sample, REMOTE ":5000", EXTERNAL ":81", TCP_SYN);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), "10.0.0.80:8081");
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.81:9092", REMOTE ":25", TCP_SYN), EXTERNAL ":82");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_connection_lives_on_while_its_target_is_one_of_the_forwards)
{
    gateway_start(&gateway, policy_with_two_targets("10.0.0.80:8080", "10.0.0.81:9090"));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":5000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    ck_assert_uint_eq(gateway_change_policy(
                          &gateway, policy_with_two_targets("10.0.0.81:9090", "10.0.0.80:8080")),
                      0);
    ck_assert_uint_eq(gateway_change_policy(
                          &gateway, policy_with_two_targets("10.0.0.81:9090", "10.0.0.82:8080")),
                      1);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc4787_req8_endpoint_independent_filtering_admits_anyone,
        rfc4787_req8_address_dependent_filtering_admits_known_addresses,
        rfc4787_req8_address_and_port_dependent_filtering_admits_known_endpoints,
        rfc5382_req3_tcp_is_filtered_likewise,
        who_came_in_uninvited_opens_no_door_for_others,
        answers_to_who_came_in_leave_by_the_mapping,
        a_port_of_the_pool_that_no_mapping_has_is_the_gateways_own,
        rfc5382_req4_an_unsolicited_syn_to_a_mappings_port_is_silent,
        a_port_that_rests_is_silent_until_its_rest_is_over,
        a_port_that_is_kept_is_the_mappings_first_and_the_gateways_for_the_rest,
        a_kept_port_without_mapping_changes_nothing_for_forwards,
        a_host_of_a_share_reaches_the_gateways_own_port_of_the_pool,
        a_port_that_is_not_published_is_the_gateways_own,
        a_forward_delivers_and_its_answers_leave,
        the_ports_of_a_range_follow_one_to_one,
        an_allow_list_refuses_others,
        a_forward_may_lead_to_a_host_without_share,
        rfc4787_req1_a_forwards_target_is_seen_at_the_forwards_port,
        the_pool_never_gives_a_forwards_port,
        forged_sources_from_outside_are_dropped,
        an_address_that_the_gateway_does_not_have_forwards_nothing,
        a_refused_packet_leaves_nothing_behind,
        a_new_connection_goes_to_the_first_target_and_each_target_answers_as_the_forward,
        a_connection_lives_on_while_its_target_is_one_of_the_forwards,
    };

    return RUN_TESTS("translate forward", tests);
}
