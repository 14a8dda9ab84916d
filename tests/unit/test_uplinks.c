/*
 * test_uplinks.c - several external interfaces: EXTERNAL on WAN and SECOND on WAN2
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define WAN2   8
#define SECOND "198.18.7.5"
#define THIRD  "198.18.7.6"

static struct gateway gateway;

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

static void set_uplinks(const char *first, const char *second, const char *third)
{
    const char *const texts[] = {second, third};
    struct address one[1], two[2];
    struct uplink uplinks[] = {{WAN, one, 0}, {WAN2, two, 0}};

    if (first != NULL)
        one[uplinks[0].address_count++] = address_of(first);
    for (int i = 0; i < 2; i++) {
        if (texts[i] != NULL)
            two[uplinks[1].address_count++] = address_of(texts[i]);
    }
    ck_assert(nat_set_uplinks(gateway.nat, uplinks, 2));
    ck_assert(!nat_review(gateway.nat, gateway.now, 0, NULL));
    check_invariants(gateway.nat);
}

static struct policy *two_uplinks_policy(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "web", FORWARD_TCP, 8080, 8080, "10.0.0.80:80", NULL);
    add_forward(policy, "dns", FORWARD_UDP, 53, 53, "10.5.0.53:53", NULL);
    return policy;
}

static void start_with_two(void)
{
    gateway_start(&gateway, two_uplinks_policy());
    set_uplinks(EXTERNAL, SECOND, NULL);
}

/* The endpoint that the world sees, in one of a few buffers; NULL when it was not let out. */
static const char *shown_by(uint32_t interface, struct sample *sample)
{
    static char text[8][32];
    static unsigned next;

    if (leave_by(interface, sample) != DROP_NONE || sample->packet.verdict != VERDICT_REWRITTEN)
        return NULL;
    next = (next + 1) % 8;
    snprintf(text[next], sizeof(text[next]), "%s", source_of(sample));
    return text[next];
}

static const char *udp_shown_by(uint32_t interface, const char *from, const char *to)
{
    struct sample sample;

    make_udp(&sample, from, to, 20);
    return shown_by(interface, &sample);
}

static const char *tcp_shown_by(uint32_t interface, const char *from, const char *to, uint8_t flags)
{
    struct sample sample;

    make_tcp(&sample, from, to, flags);
    return shown_by(interface, &sample);
}

static bool is_at(const char *endpoint, const char *address)
{
    return endpoint != NULL && strncmp(endpoint, address, strlen(address)) == 0 &&
           endpoint[strlen(address)] == ':';
}

static enum drop_reason arrive_by(uint32_t interface, struct sample *sample)
{
    sample->packet.hook = HOOK_INBOUND;
    sample->packet.in_interface = interface;
    sample->packet.out_interface = 0;
    return gateway_translate(&gateway, sample);
}

START_TEST(rfc4787_req1_a_mapping_is_endpoint_independent_at_each_uplink)
{
    const char *first, *second;

    start_with_two();
    first = udp_shown_by(WAN, "10.0.0.5:4000", "192.0.2.1:53");
    second = udp_shown_by(WAN2, "10.0.0.5:4000", "192.0.2.2:53");
    ck_assert(is_at(first, EXTERNAL));
    ck_assert(is_at(second, SECOND));
    ck_assert_str_eq(udp_shown_by(WAN, "10.0.0.5:4000", "192.0.2.3:99"), first);
    ck_assert_str_eq(udp_shown_by(WAN2, "10.0.0.5:4000", "192.0.2.4:99"), second);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 2);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req2_a_host_keeps_to_one_address_of_each_uplink)
{
    const char *seen[3] = {0};
    char from[32];

    start_with_two();
    set_uplinks(EXTERNAL, SECOND, THIRD);
    for (int host = 1; host < 40; host++) {
        snprintf(from, sizeof(from), "10.0.0.%d:4000", host);
        seen[0] = udp_shown_by(WAN2, from, "192.0.2.1:53");
        snprintf(from, sizeof(from), "10.0.0.%d:4001", host);
        ck_assert(is_at(udp_shown_by(WAN2, from, "192.0.2.1:53"),
                        is_at(seen[0], SECOND) ? SECOND : THIRD));
        ck_assert(is_at(udp_shown_by(WAN, from, "192.0.2.2:53"), EXTERNAL));
        seen[1] = is_at(seen[0], SECOND) ? SECOND : seen[1];
        seen[2] = is_at(seen[0], THIRD) ? THIRD : seen[2];
    }
    ck_assert(seen[1] != NULL && seen[2] != NULL);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_uplink_without_an_address_lets_nothing_out_and_the_other_one_works)
{
    start_with_two();
    set_uplinks(EXTERNAL, NULL, NULL);
    ck_assert_int_eq(udp_by(WAN2, "10.0.0.5:4000", REMOTE ":53"), DROP_NO_EXTERNAL_ADDRESS);
    ck_assert(is_at(udp_shown_by(WAN, "10.0.0.5:4000", REMOTE ":53"), EXTERNAL));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_datagram_whose_route_has_moved_goes_on_with_an_address_of_the_new_uplink)
{
    const char *before, *after;
    struct sample sample;

    start_with_two();
    before = udp_shown_by(WAN, "10.0.0.5:4000", REMOTE ":53");
    after = udp_shown_by(WAN2, "10.0.0.5:4000", REMOTE ":53");
    ck_assert(is_at(before, EXTERNAL));
    ck_assert(is_at(after, SECOND));
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_REROUTED], 1);
    make_udp(&sample, REMOTE ":53", after, 20);
    ck_assert_int_eq(arrive_by(WAN2, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), "10.0.0.5:4000");
    ck_assert(is_at(udp_shown_by(WAN, "10.0.0.5:4000", REMOTE ":53"), EXTERNAL));
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_connection_whose_route_has_moved_waits_for_it_to_come_back)
{
    struct sample sample;
    const char *external;

    start_with_two();
    external = tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443");
    ck_assert(is_at(external, EXTERNAL));
    make_tcp(&sample, "10.0.0.5:4000", REMOTE ":443", TCP_ACK);
    ck_assert_int_eq(leave_by(WAN2, &sample), DROP_REROUTED);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    ck_assert(is_at(tcp_shown_by(WAN, "10.0.0.5:4000", REMOTE ":443", TCP_ACK), EXTERNAL));
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_REROUTED], 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_new_connection_of_the_same_endpoints_takes_the_uplink_of_its_route)
{
    start_with_two();
    tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443");
    ck_assert(is_at(tcp_shown_by(WAN2, "10.0.0.5:4000", REMOTE ":443", TCP_SYN), SECOND));
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_REROUTED], 1);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forward_listens_on_every_address_and_answers_with_the_one_that_was_called)
{
    struct sample sample;

    start_with_two();
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":8080", TCP_SYN), DROP_NONE);
    make_tcp(&sample, REMOTE ":1001", SECOND ":8080", TCP_SYN);
    ck_assert_int_eq(arrive_by(WAN2, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), "10.0.0.80:80");
    /* whichever way the route leads */
    ck_assert_str_eq(tcp_shown_by(WAN, "10.0.0.80:80", REMOTE ":1001", TCP_SYN | TCP_ACK),
                     SECOND ":8080");
    ck_assert_str_eq(tcp_shown_by(WAN2, "10.0.0.80:80", REMOTE ":1001", TCP_ACK), SECOND ":8080");
    ck_assert_str_eq(tcp_shown_by(WAN2, "10.0.0.80:80", REMOTE ":1000", TCP_SYN | TCP_ACK),
                     EXTERNAL ":8080");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forwards_target_that_sends_first_is_seen_at_the_forwards_port_of_its_uplink)
{
    start_with_two();
    ck_assert_str_eq(udp_shown_by(WAN, "10.5.0.53:53", REMOTE ":99"), EXTERNAL ":53");
    ck_assert_str_eq(udp_shown_by(WAN2, "10.5.0.53:53", REMOTE ":98"), SECOND ":53");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_hairpin_is_seen_by_the_uplink_whose_address_was_called)
{
    struct sample sample;

    start_with_two();
    make_tcp(&sample, "10.0.0.5:4000", SECOND ":8080", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    ck_assert(is_at(source_of(&sample), SECOND));
    make_tcp(&sample, "10.0.0.5:4001", EXTERNAL ":8080", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    ck_assert(is_at(source_of(&sample), EXTERNAL));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(only_sessions_of_an_address_that_is_gone_end)
{
    start_with_two();
    udp_shown_by(WAN, "10.0.0.5:4000", "192.0.2.1:53");
    udp_shown_by(WAN2, "10.0.0.5:4000", "192.0.2.2:53");
    set_uplinks(EXTERNAL, THIRD, NULL);
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_ADDRESS], 1);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    ck_assert(is_at(udp_shown_by(WAN2, "10.0.0.5:4000", "192.0.2.2:53"), THIRD));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(sessions_of_an_address_that_moves_to_another_uplink_end)
{
    start_with_two();
    udp_shown_by(WAN, "10.0.0.5:4000", "192.0.2.1:53");
    set_uplinks(NULL, EXTERNAL, NULL);
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_ADDRESS], 1);
    ck_assert(is_at(udp_shown_by(WAN2, "10.0.0.5:4000", "192.0.2.1:53"), EXTERNAL));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_address_that_two_uplinks_have_is_the_first_ones)
{
    start_with_two();
    set_uplinks(EXTERNAL, EXTERNAL, NULL);
    ck_assert_uint_eq(gateway.nat->external_count, 1);
    ck_assert_int_eq(udp_by(WAN2, "10.0.0.5:4000", REMOTE ":53"), DROP_NO_EXTERNAL_ADDRESS);
    ck_assert(is_at(udp_shown_by(WAN, "10.0.0.5:4000", REMOTE ":53"), EXTERNAL));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_interface_that_comes_back_with_another_index_keeps_its_sessions)
{
    const struct address one = address_of(EXTERNAL), two = address_of(SECOND);
    const struct uplink uplinks[] = {{WAN, &one, 1}, {WAN2 + 1, &two, 1}};
    const char *before;

    start_with_two();
    before = udp_shown_by(WAN2, "10.0.0.5:4000", REMOTE ":53");
    ck_assert(nat_set_uplinks(gateway.nat, uplinks, 2));
    ck_assert_str_eq(udp_shown_by(WAN2 + 1, "10.0.0.5:4000", REMOTE ":53"), before);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_internal_source_is_spoofed_at_every_external_interface)
{
    struct sample sample;

    start_with_two();
    make_tcp(&sample, "10.0.0.5:4000", SECOND ":8080", TCP_SYN);
    ck_assert_int_eq(arrive_by(WAN2, &sample), DROP_SPOOFED_SOURCE);
    make_tcp(&sample, "10.0.0.5:4000", SECOND ":8080", TCP_SYN);
    ck_assert_int_eq(arrive_by(WAN, &sample), DROP_SPOOFED_SOURCE);
    gateway_stop(&gateway);
}
END_TEST

/* The gateway's own packets, taken at output, arrive by no interface. */
START_TEST(an_interface_that_does_not_exist_receives_nothing)
{
    const struct address one = address_of(EXTERNAL);
    const struct uplink uplinks[] = {{WAN, &one, 1}, {0, NULL, 0}};
    struct sample sample;

    start_with_two();
    nat_set_uplinks(gateway.nat, uplinks, 2);
    ck_assert(!nat_review(gateway.nat, gateway.now, 0, NULL));
    make_tcp(&sample, EXTERNAL ":4000", EXTERNAL ":8080", TCP_SYN);
    ck_assert_int_eq(arrive_by(0, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_REWRITTEN);
    gateway_stop(&gateway);
}
END_TEST

static uint16_t offered_by(uint32_t interface, const char *from)
{
    struct sample sample;

    make_tcp(&sample, from, REMOTE ":443", TCP_SYN);
    memcpy(sample.bytes + 40, (uint8_t[]){2, 4, 1460 >> 8, 1460 & 255}, 4);
    sample.packet.length = 44;
    put16(sample.bytes + 2, 44);
    sample.bytes[32] = 0x60;
    fix_checksums(sample.bytes);
    ck_assert_int_eq(leave_by(interface, &sample), DROP_NONE);
    return get16(sample.bytes + 42);
}

START_TEST(each_uplink_limits_the_mss_as_its_mtu_demands)
{
    start_with_two();
    nat_set_mss_limit(gateway.nat, 1, 1412);
    ck_assert_uint_eq(offered_by(WAN, "10.0.0.5:4000"), 1460);
    ck_assert_uint_eq(offered_by(WAN2, "10.0.0.5:4001"), 1412);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(views_tell_the_uplink_of_sessions_and_mappings)
{
    struct session_view session;
    struct mapping_view mapping;
    unsigned seen = 0;

    start_with_two();
    udp_shown_by(WAN, "10.0.0.5:4000", "192.0.2.1:53");
    udp_shown_by(WAN2, "10.0.0.5:4000", "192.0.2.2:53");
    ck_assert(find_view(&gateway, "10.0.0.5:4000", "192.0.2.1:53", &session));
    ck_assert_uint_eq(session.uplink, 0);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", "192.0.2.2:53", &session));
    ck_assert_uint_eq(session.uplink, 1);
    for (uint32_t i = 0; i < nat_slots(gateway.nat); i++) {
        if (nat_view_mapping(gateway.nat, i, gateway.now, &mapping))
            seen |= 1u << mapping.uplink;
    }
    ck_assert_uint_eq(seen, 3);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_flow_in_the_kernel_names_its_uplink)
{
    struct offload_order order;

    start_with_two();
    ck_assert(nat_offload_init(gateway.nat, 4, 1));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":8080", TCP_SYN), DROP_NONE);
    for (int i = 0; i < 3; i++) {
        const char *external = udp_shown_by(WAN2, "10.0.0.5:4000", REMOTE ":53");
        struct sample sample;

        make_udp(&sample, REMOTE ":53", external, 20);
        ck_assert_int_eq(arrive_by(WAN2, &sample), DROP_NONE);
    }
    nat_offload_let_enter(gateway.nat, gateway.now, OFFLOAD_OVERFULL);
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    ck_assert_int_eq(order.task, OFFLOAD_ADD);
    ck_assert_uint_eq(order.flow.uplink, 1);
    nat_offload_added(gateway.nat, order.entry, true);
    /* its route moves: the kernel must forget it */
    ck_assert(is_at(udp_shown_by(WAN, "10.0.0.5:4000", REMOTE ":53"), EXTERNAL));
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    ck_assert_int_eq(order.task, OFFLOAD_REMOVE);
    ck_assert_uint_eq(order.flow.uplink, 1);
    nat_offload_removed(gateway.nat, order.entry, NULL, gateway.now);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_lease_is_at_the_first_uplink_that_has_an_address)
{
    const struct endpoint internal = endpoint_of("10.0.0.5:4000");
    struct endpoint external;

    start_with_two();
    set_uplinks(NULL, SECOND, NULL);
    ck_assert_int_eq(
        nat_lease(gateway.nat, PROTOCOL_UDP, &internal, gateway.now + 5000, gateway.now, &external),
        DROP_NONE);
    ck_assert(is_at(endpoint_text(&external), SECOND));
    ck_assert(nat_end_lease(gateway.nat, PROTOCOL_UDP, &internal, gateway.now));
    ck_assert(!nat_end_lease(gateway.nat, PROTOCOL_UDP, &internal, gateway.now));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(sessions_are_adopted_at_their_uplinks)
{
    static const uint8_t secret[32] = "another run has another secret";
    static struct {
        struct session session[256];
        struct lease lease[256];
    } room;
    char before[2][32];
    uint32_t refused;

    memset(&room, 0, sizeof(room));
    for (int run = 0; run < 2; run++) {
        gateway.policy = two_uplinks_policy();
        gateway.now = 1000000;
        ck_assert(policy_seal(gateway.policy));
        gateway.nat = nat_new(gateway.policy, secret, &room, gateway.now);
        set_uplinks(EXTERNAL, SECOND, NULL);
        if (run == 1) {
            ck_assert_uint_eq(nat_adopt(gateway.nat, gateway.now, &refused), 2);
            ck_assert_uint_eq(refused, 0);
        }
        for (uint32_t i = 0; i < 2; i++) {
            const char *shown = udp_shown_by(i == 0 ? WAN : WAN2, "10.0.0.5:4000",
                                             i == 0 ? "192.0.2.1:53" : "192.0.2.2:53");

            ck_assert(run == 0 || strcmp(shown, before[i]) == 0);
            strcpy(before[i], shown);
        }
        if (run == 0) {
            nat_free(gateway.nat);
            policy_free(gateway.policy);
        }
    }
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc4787_req1_a_mapping_is_endpoint_independent_at_each_uplink,
        rfc4787_req2_a_host_keeps_to_one_address_of_each_uplink,
        an_uplink_without_an_address_lets_nothing_out_and_the_other_one_works,
        a_datagram_whose_route_has_moved_goes_on_with_an_address_of_the_new_uplink,
        a_connection_whose_route_has_moved_waits_for_it_to_come_back,
        a_new_connection_of_the_same_endpoints_takes_the_uplink_of_its_route,
        a_forward_listens_on_every_address_and_answers_with_the_one_that_was_called,
        a_forwards_target_that_sends_first_is_seen_at_the_forwards_port_of_its_uplink,
        a_hairpin_is_seen_by_the_uplink_whose_address_was_called,
        only_sessions_of_an_address_that_is_gone_end,
        sessions_of_an_address_that_moves_to_another_uplink_end,
        an_address_that_two_uplinks_have_is_the_first_ones,
        an_interface_that_comes_back_with_another_index_keeps_its_sessions,
        an_internal_source_is_spoofed_at_every_external_interface,
        an_interface_that_does_not_exist_receives_nothing,
        each_uplink_limits_the_mss_as_its_mtu_demands,
        views_tell_the_uplink_of_sessions_and_mappings,
        a_flow_in_the_kernel_names_its_uplink,
        a_lease_is_at_the_first_uplink_that_has_an_address,
        sessions_are_adopted_at_their_uplinks,
    };

    return RUN_TESTS("uplinks", tests);
}
