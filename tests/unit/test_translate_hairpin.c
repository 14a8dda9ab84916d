/*
 * test_translate_hairpin.c - internal host to internal host by the external address: both passes
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct gateway gateway;

static void start(enum filtering filtering)
{
    struct policy *policy = lab_policy(filtering);

    add_forward(policy, "web", FORWARD_TCP | FORWARD_UDP, 80, 80, "10.0.0.80:8080", NULL);
    add_forward(policy, "outsiders", FORWARD_TCP, 81, 81, "10.0.0.80:81", "198.51.100.0/24");
    add_forward(policy, "elsewhere", FORWARD_TCP, 8443, 8443, "10.9.0.9:443", NULL);
    gateway_start(&gateway, policy);
}

static const char *keep(char copy[32], const char *text)
{
    ck_assert_ptr_nonnull(text);
    snprintf(copy, 32, "%s", text);
    return copy;
}

static void assert_seen(const struct sample *sample, const char *source, const char *destination)
{
    ck_assert_str_eq(source_of(sample), source);
    ck_assert_str_eq(destination_of(sample), destination);
}

START_TEST(the_first_pass_rewrites_the_destination_and_says_that_there_is_a_second)
{
    struct sample sample;

    start(FILTERING_ADDRESS_DEPENDENT);
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, "10.0.0.5:4000", "10.0.0.80:8080");
    ck_assert(sample.packet.transit);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req9a_hairpin_source_is_external)
{
    struct sample sample;
    char external[32];

    start(FILTERING_ADDRESS_DEPENDENT);
    keep(external, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, external, "10.0.0.80:8080");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_host_that_has_not_spoken_yet_gets_its_mapping_by_the_hairpin)
{
    struct sample sample;
    char external[32];

    start(FILTERING_ADDRESS_DEPENDENT);
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    keep(external, source_of(&sample));
    ck_assert(port_of(external) >= 50000 && port_of(external) <= 50999);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5382_req8_a_tcp_connection_hairpins)
{
    struct sample sample;
    struct session_view view;
    char external[32];

    start(FILTERING_ADDRESS_DEPENDENT);
    make_tcp(&sample, "10.0.0.5:4000", EXTERNAL ":80", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    keep(external, source_of(&sample));
    make_tcp(&sample, "10.0.0.80:8080", external, TCP_SYN | TCP_ACK);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, EXTERNAL ":80", "10.0.0.5:4000");
    make_tcp(&sample, "10.0.0.5:4000", EXTERNAL ":80", TCP_ACK);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, external, "10.0.0.80:8080");
    ck_assert(find_view(&gateway, "10.0.0.5:4000", EXTERNAL ":80", &view));
    ck_assert_int_eq(view.direction, DIRECTION_HAIRPIN);
    ck_assert_int_eq(view.state, STATE_ESTABLISHED);
    ck_assert_str_eq(endpoint_text(&view.peer), "10.0.0.80:8080");
    ck_assert_str_eq(endpoint_text(&view.external), external);
    ck_assert(view.packets_out == 2 && view.packets_in == 1);
    gateway_stop(&gateway);
}
END_TEST

/* Both speak by their mappings, as two peers of one game do. */
START_TEST(rfc4787_req9_two_mappings_of_one_gateway_meet)
{
    struct sample sample;
    char one[32], other[32];

    start(FILTERING_ENDPOINT_INDEPENDENT);
    keep(one, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    keep(other, udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"));
    make_udp(&sample, "10.0.0.5:4000", other, 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, one, "10.0.0.6:4000");
    make_udp(&sample, "10.0.0.6:4000", one, 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, other, "10.0.0.5:4000");
    ck_assert_uint_eq(gateway.nat->counters.opened, 3);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(hairpins_are_filtered_by_the_external_address_of_the_caller)
{
    struct sample sample;
    char one[32], other[32];

    start(FILTERING_ADDRESS_DEPENDENT);
    keep(one, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    keep(other, udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"));
    make_udp(&sample, "10.0.0.5:4000", other, 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_FILTERED);
    /* Once the other host has spoken to the external address, its door is open for it. */
    make_udp(&sample, "10.0.0.6:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    make_udp(&sample, "10.0.0.5:4000", other, 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, one, "10.0.0.6:4000");
    gateway_stop(&gateway);
}
END_TEST

/*
 * RFC 5128 section 3.3: both send; the first packet of one is refused, but opens its own door for
 * the other.
 */
static void punch(enum filtering filtering)
{
    struct session_view view;
    struct sample sample;
    char one[32], other[32];

    start(filtering);
    keep(one, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    keep(other, udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"));
    for (int i = 0; i < 2; i++) {
        make_udp(&sample, "10.0.0.5:4000", other, 20);
        ck_assert_int_eq(turn_back(&gateway, &sample), DROP_FILTERED);
    }
    make_udp(&sample, "10.0.0.6:4000", one, 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, other, "10.0.0.5:4000");
    make_udp(&sample, "10.0.0.5:4000", other, 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, one, "10.0.0.6:4000");
    ck_assert_uint_eq(gateway.nat->table.live, 3);
    ck_assert(find_view(&gateway, "10.0.0.6:4000", one, &view));
    ck_assert_int_eq(view.direction, DIRECTION_HAIRPIN);
    gateway_stop(&gateway);
}

START_TEST(hosts_of_one_gateway_meet_by_hole_punching)
{
    punch(FILTERING_ADDRESS_DEPENDENT);
    punch(FILTERING_ADDRESS_AND_PORT_DEPENDENT);
}
END_TEST

START_TEST(tcp_connections_of_one_gateway_meet_by_hole_punching)
{
    struct session_view view;
    struct sample sample;
    char one[32], other[32];

    start(FILTERING_ADDRESS_AND_PORT_DEPENDENT);
    keep(one, tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":53", TCP_SYN));
    keep(other, tcp_out(&gateway, "10.0.0.6:4000", REMOTE ":53", TCP_SYN));
    make_tcp(&sample, "10.0.0.5:4000", other, TCP_SYN);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_FILTERED);
    make_tcp(&sample, "10.0.0.6:4000", one, TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    make_tcp(&sample, "10.0.0.5:4000", other, TCP_SYN | TCP_ACK);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    make_tcp(&sample, "10.0.0.6:4000", one, TCP_ACK);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    ck_assert(find_view(&gateway, "10.0.0.6:4000", one, &view));
    ck_assert_int_eq(view.state, STATE_ESTABLISHED);
    gateway_stop(&gateway);
}
END_TEST

/*
 * To the port of another program on the same host: the filter knows endpoints, and that is another
 * one.
 */
START_TEST(who_knocks_admits_only_whom_it_called)
{
    struct sample sample;
    char one[32], other[32], third[32];

    start(FILTERING_ADDRESS_AND_PORT_DEPENDENT);
    keep(one, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    keep(other, udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"));
    keep(third, udp_out(&gateway, "10.0.0.7:4000", REMOTE ":53"));
    make_udp(&sample, "10.0.0.5:4000", other, 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_FILTERED);
    make_udp(&sample, "10.0.0.7:4000", one, 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_FILTERED);
    ck_assert_int_eq(udp_in(&gateway, other, one), DROP_SPOOFED_SOURCE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_knock_is_forgotten_in_time)
{
    struct sample sample;
    char other[32];

    start(FILTERING_ADDRESS_DEPENDENT);
    keep(other, udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"));
    make_udp(&sample, "10.0.0.5:4000", other, 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_FILTERED);
    gateway_wait(&gateway, 300000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_refused_hairpin_leaves_no_mapping)
{
    struct sample sample;
    uint32_t used, size;

    start(FILTERING_ADDRESS_DEPENDENT);
    make_tcp(&sample, "10.0.0.5:4000", EXTERNAL ":81", TCP_SYN);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NOT_ALLOWED);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    ck_assert_uint_eq(gateway.nat->table.hosts_live, 0);
    nat_pool_use(gateway.nat, 0, PROTOCOL_UDP, gateway.now, &used, &size);
    ck_assert_uint_eq(used, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_host_may_speak_to_its_own_external_endpoint)
{
    struct sample sample;
    char external[32];

    start(FILTERING_ENDPOINT_INDEPENDENT);
    keep(external, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    for (int i = 0; i < 3; i++) {
        make_udp(&sample, "10.0.0.5:4000", external, 20);
        ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
        assert_seen(&sample, external, "10.0.0.5:4000");
    }
    gateway_wait(&gateway, 301000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forward_with_an_allow_list_for_outsiders_refuses_insiders)
{
    struct sample sample;

    start(FILTERING_ADDRESS_DEPENDENT);
    make_tcp(&sample, "10.0.0.5:4000", EXTERNAL ":81", TCP_SYN);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NOT_ALLOWED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_hairpin_to_a_host_without_share_works)
{
    struct sample sample;
    char external[32];

    start(FILTERING_ADDRESS_DEPENDENT);
    make_tcp(&sample, "10.0.0.5:4000", EXTERNAL ":8443", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    keep(external, source_of(&sample));
    ck_assert_str_eq(destination_of(&sample), "10.9.0.9:443");
    make_tcp(&sample, "10.9.0.9:443", external, TCP_SYN | TCP_ACK);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, EXTERNAL ":8443", "10.0.0.5:4000");
    gateway_stop(&gateway);
}
END_TEST

/* The share's host is seen by its own forward's port there, too. */
START_TEST(the_caller_may_be_a_forwards_target_itself)
{
    struct sample sample;

    start(FILTERING_ADDRESS_DEPENDENT);
    make_tcp(&sample, "10.0.0.80:8080", EXTERNAL ":8443", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, EXTERNAL ":80", "10.9.0.9:443");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forwards_target_without_share_is_seen_at_its_forwards_port)
{
    struct sample sample;

    start(FILTERING_ADDRESS_DEPENDENT);
    make_tcp(&sample, "10.9.0.9:443", EXTERNAL ":80", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, EXTERNAL ":8443", "10.0.0.80:8080");
    ck_assert_int_eq(tcp_in(&gateway, "10.9.0.9:443", EXTERNAL ":81", TCP_SYN),
                     DROP_SPOOFED_SOURCE);
    gateway_stop(&gateway);
}
END_TEST

/* Two targets of forwards that call each other, each by another of the gateway's addresses. */
START_TEST(a_second_way_between_two_endpoints_is_refused)
{
    struct address addresses[2] = {address_of(EXTERNAL), address_of("203.0.113.6")};
    struct sample sample;
    char seen[32];
    int refused = 0;

    start(FILTERING_ADDRESS_DEPENDENT);
    gateway_set_addresses(&gateway, addresses, 2);
    make_tcp(&sample, "10.0.0.80:8080", EXTERNAL ":8443", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    keep(seen, source_of(&sample));
    for (int i = 0; i < 2; i++) {
        make_tcp(&sample, "10.9.0.9:443", i ? EXTERNAL ":80" : "203.0.113.6:80", TCP_SYN);
        refused += turn_back(&gateway, &sample) == DROP_TUPLE_COLLISION;
    }
    ck_assert_int_eq(refused, 1); /* the other one is the first session's answer */
    make_tcp(&sample, "10.9.0.9:443", seen, TCP_SYN | TCP_ACK);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, EXTERNAL ":8443", "10.0.0.80:8080");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forged_hairpin_from_outside_is_dropped)
{
    struct sample sample;

    start(FILTERING_ADDRESS_DEPENDENT);
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_SPOOFED_SOURCE);
    make_udp(&sample, "10.0.0.80:8080", EXTERNAL ":80", 20);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_SPOOFED_SOURCE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(between_hosts_inside_a_packet_without_session_passes_unchanged)
{
    struct sample sample;

    start(FILTERING_ADDRESS_DEPENDENT);
    make_udp(&sample, "10.0.0.5:4000", "10.0.0.80:8080", 20);
    ck_assert_int_eq(pass_again(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_session_that_ends_between_the_passes_is_not_opened_again)
{
    struct sample sample;

    start(FILTERING_ADDRESS_DEPENDENT);
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NONE);
    for (uint32_t slot = 0; slot < gateway.nat->table.capacity; slot++) {
        struct session_view view;

        if (nat_view(gateway.nat, slot, gateway.now, &view))
            gateway_kill(&gateway, slot);
    }
    ck_assert_int_eq(pass_again(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_hairpin_packet_counts_at_both_hooks_and_once_in_its_session)
{
    struct session_view view;
    struct sample sample;

    start(FILTERING_ADDRESS_DEPENDENT);
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 72);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(gateway.nat->counters.packets[HOOK_INBOUND], 1);
    ck_assert_uint_eq(gateway.nat->counters.packets[HOOK_OUTBOUND], 1);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", EXTERNAL ":80", &view));
    ck_assert(view.packets_out == 1 && view.bytes_out == 100 && view.packets_in == 0);
    gateway_stop(&gateway);
}
END_TEST

/* One interface for inside and outside: the kernel has dropped what is forged. */
START_TEST(hairpins_come_in_by_the_external_interface_where_sources_are_checked)
{
    struct sample sample;
    char external[32];

    start(FILTERING_ADDRESS_DEPENDENT);
    nat_trust_sources(gateway.nat, true);
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, "10.0.0.5:4000", "10.0.0.80:8080");
    ck_assert(sample.packet.transit);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    keep(external, source_of(&sample));
    make_udp(&sample, "10.0.0.80:8080", external, 20); /* the answer */
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    assert_seen(&sample, EXTERNAL ":80", "10.0.0.5:4000");
    make_udp(&sample, EXTERNAL ":4000", EXTERNAL ":80", 20); /* the gateway's own address */
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_SPOOFED_SOURCE);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_first_pass_rewrites_the_destination_and_says_that_there_is_a_second,
        rfc4787_req9a_hairpin_source_is_external,
        a_host_that_has_not_spoken_yet_gets_its_mapping_by_the_hairpin,
        rfc5382_req8_a_tcp_connection_hairpins,
        rfc4787_req9_two_mappings_of_one_gateway_meet,
        hairpins_are_filtered_by_the_external_address_of_the_caller,
        hosts_of_one_gateway_meet_by_hole_punching,
        tcp_connections_of_one_gateway_meet_by_hole_punching,
        who_knocks_admits_only_whom_it_called,
        a_knock_is_forgotten_in_time,
        a_refused_hairpin_leaves_no_mapping,
        a_host_may_speak_to_its_own_external_endpoint,
        a_forward_with_an_allow_list_for_outsiders_refuses_insiders,
        a_hairpin_to_a_host_without_share_works,
        the_caller_may_be_a_forwards_target_itself,
        a_forwards_target_without_share_is_seen_at_its_forwards_port,
        a_second_way_between_two_endpoints_is_refused,
        a_forged_hairpin_from_outside_is_dropped,
        between_hosts_inside_a_packet_without_session_passes_unchanged,
        a_session_that_ends_between_the_passes_is_not_opened_again,
        a_hairpin_packet_counts_at_both_hooks_and_once_in_its_session,
        hairpins_come_in_by_the_external_interface_where_sources_are_checked,
    };

    return RUN_TESTS("translate hairpin", tests);
}
