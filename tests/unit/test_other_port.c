/*
 * test_other_port.c - two forwards to one internal endpoint, and a client that calls both from one
 * port; and closed connections, which are in nobody's way
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define TARGET "10.0.0.80:51820"

static struct gateway gateway;

/* The memory that outlives a run. */
static struct room {
    struct session session[256];
    struct lease lease[256];
} room;

static struct policy *policy_of_two_forwards(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "vpn", FORWARD_TCP | FORWARD_UDP, 51820, 51820, TARGET, NULL);
    add_forward(policy, "vpn-443", FORWARD_TCP | FORWARD_UDP, 443, 443, TARGET, NULL);
    return policy;
}

static void start(void)
{
    gateway_start(&gateway, policy_of_two_forwards());
}

/* What the target sees as the source of a UDP packet of `from` to this port. */
static void seen_by_target(const char *from, const char *to, char seen[32])
{
    struct sample sample;

    make_udp(&sample, from, to, 20);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), TARGET);
    ck_assert(!sample.packet.transit);
    snprintf(seen, 32, "%s", source_of(&sample));
}

static void assert_answer(const char *seen, const char *external, const char *remote)
{
    struct sample sample;

    make_udp(&sample, TARGET, seen, 20);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), external);
    ck_assert_str_eq(destination_of(&sample), remote);
}

START_TEST(the_second_session_of_one_remote_port_comes_from_another_port)
{
    char first[32], second[32], again[32];

    start();
    seen_by_target(REMOTE ":5001", EXTERNAL ":51820", first);
    seen_by_target(REMOTE ":5001", EXTERNAL ":443", second);
    ck_assert_str_eq(first, REMOTE ":5001");
    ck_assert_str_ne(second, first);
    ck_assert(strncmp(second, REMOTE ":", strlen(REMOTE ":")) == 0);
    seen_by_target(REMOTE ":5001", EXTERNAL ":443", again);
    ck_assert_str_eq(again, second);
    assert_answer(first, EXTERNAL ":51820", REMOTE ":5001");
    assert_answer(second, EXTERNAL ":443", REMOTE ":5001");
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_TUPLE_COLLISION], 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_other_port_has_the_class_and_the_parity_of_the_first)
{
    static const char *const remote[] = {REMOTE ":5000", REMOTE ":5001", REMOTE ":65535",
                                         REMOTE ":1024", REMOTE ":500",  REMOTE ":1",
                                         REMOTE ":1023"};

    start();
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        uint16_t port = port_of(remote[i]), other;
        char seen[32];

        seen_by_target(remote[i], EXTERNAL ":51820", seen);
        seen_by_target(remote[i], EXTERNAL ":443", seen);
        other = port_of(seen);
        ck_assert_uint_ne(other, 0);
        ck_assert_uint_ne(other, port);
        ck_assert_uint_eq(other <= 1023, port <= 1023);
        ck_assert_uint_eq(other % 2, port % 2);
    }
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_remote_that_has_the_other_port_itself_gets_yet_another)
{
    char seen[32], real[32];

    start();
    seen_by_target(REMOTE ":5001", EXTERNAL ":51820", seen);
    seen_by_target(REMOTE ":5001", EXTERNAL ":443", seen);
    seen_by_target(seen, EXTERNAL ":51820", real);
    ck_assert_str_ne(real, seen);
    assert_answer(seen, EXTERNAL ":443", REMOTE ":5001");
    assert_answer(real, EXTERNAL ":51820", seen);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_session_that_the_target_has_opened_is_in_the_way_too)
{
    char seen[32];

    start();
    ck_assert_str_eq(udp_out(&gateway, TARGET, REMOTE ":5001"), EXTERNAL ":51820");
    seen_by_target(REMOTE ":5001", EXTERNAL ":443", seen);
    ck_assert_str_ne(seen, REMOTE ":5001");
    assert_answer(seen, EXTERNAL ":443", REMOTE ":5001");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_session_tells_the_remote_and_what_the_target_sees_of_it)
{
    struct session_view view;
    char seen[32];

    start();
    seen_by_target(REMOTE ":5001", EXTERNAL ":443", seen);
    ck_assert(find_view(&gateway, TARGET, REMOTE ":5001", &view));
    ck_assert(endpoint_equal(&view.remote, &view.remote_inside));
    seen_by_target(REMOTE ":5001", EXTERNAL ":51820", seen);
    for (uint32_t slot = 0; slot < 256; slot++) {
        if (nat_view(gateway.nat, slot, gateway.now, &view) && view.external.port == 51820)
            break;
    }
    ck_assert_uint_eq(view.external.port, 51820);
    ck_assert_str_eq(endpoint_text(&view.remote), REMOTE ":5001");
    ck_assert_str_eq(endpoint_text(&view.remote_inside), seen);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(icmp_errors_are_translated_with_the_other_port)
{
    struct sample sent, error;
    char seen[32];

    start();
    seen_by_target(REMOTE ":5001", EXTERNAL ":51820", seen);
    seen_by_target(REMOTE ":5001", EXTERNAL ":443", seen);
    /* The target says that its port is closed. */
    make_udp(&sent, seen, TARGET, 20);
    make_icmp_error(&error, "10.0.0.80", REMOTE, 3, 3, &sent, 8);
    ck_assert_int_eq(leave(&gateway, &error), DROP_NONE);
    ck_assert_str_eq(quoted_source_of(&error), REMOTE ":5001");
    ck_assert_str_eq(quoted_destination_of(&error), EXTERNAL ":443");
    /* A router outside says that the answer is too big. */
    make_udp(&sent, EXTERNAL ":443", REMOTE ":5001", 20);
    make_icmp_error(&error, "192.0.2.1", EXTERNAL, 3, 4, &sent, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
    ck_assert_str_eq(destination_of(&error), "10.0.0.80");
    ck_assert_str_eq(quoted_source_of(&error), TARGET);
    ck_assert_str_eq(quoted_destination_of(&error), seen);
    gateway_stop(&gateway);
}
END_TEST

/* The maps rewrite one end of a packet only. */
START_TEST(a_session_with_another_port_is_not_offloaded)
{
    struct offload_order order[4];
    char seen[32];

    start();
    ck_assert(nat_offload_init(gateway.nat, 4, 1));
    for (int i = 0; i < 4; i++) {
        seen_by_target(REMOTE ":5001", EXTERNAL ":51820", seen);
        assert_answer(seen, EXTERNAL ":51820", REMOTE ":5001");
        seen_by_target(REMOTE ":5001", EXTERNAL ":443", seen);
        assert_answer(seen, EXTERNAL ":443", REMOTE ":5001");
    }
    nat_offload_let_enter(gateway.nat, gateway.now, OFFLOAD_OVERFULL);
    ck_assert_uint_eq(nat_offload_take(gateway.nat, order, 4), 1); /* the first session's */
    gateway_stop(&gateway);
}
END_TEST

static void start_in_memory(uint64_t now)
{
    static const uint8_t secret[32] = "another run has another secret";
    struct address external = address_of(EXTERNAL);

    gateway.policy = policy_of_two_forwards();
    ck_assert(policy_seal(gateway.policy));
    gateway.now = now;
    gateway.nat = nat_new(gateway.policy, secret, &room, now);
    ck_assert_ptr_nonnull(gateway.nat);
    nat_set_external(gateway.nat, WAN, &external, 1);
}

START_TEST(a_session_with_another_port_goes_on_after_a_crash)
{
    char first[32], seen[32];
    uint32_t refused;

    memset(&room, 0, sizeof(room));
    start_in_memory(1000000);
    seen_by_target(REMOTE ":5001", EXTERNAL ":51820", first);
    seen_by_target(REMOTE ":5001", EXTERNAL ":443", seen);
    nat_free(gateway.nat);
    policy_free(gateway.policy);
    start_in_memory(1005000);
    ck_assert_uint_eq(nat_adopt(gateway.nat, gateway.now, &refused), 2);
    ck_assert_uint_eq(refused, 0);
    check_invariants(gateway.nat);
    assert_answer(first, EXTERNAL ":51820", REMOTE ":5001");
    assert_answer(seen, EXTERNAL ":443", REMOTE ":5001");
    gateway_stop(&gateway);
}
END_TEST

/* Closed connections. */

static void assert_sent(const char *from, const char *to, uint8_t flags, const char *seen)
{
    struct sample sample;

    make_tcp(&sample, from, to, flags);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), seen);
    ck_assert_str_eq(destination_of(&sample), TARGET);
}

/* A connection of REMOTE:5001 by this external port, opened and closed by both sides. */
static void visit(const char *external)
{
    assert_sent(REMOTE ":5001", external, TCP_SYN, REMOTE ":5001");
    ck_assert_ptr_nonnull(tcp_out(&gateway, TARGET, REMOTE ":5001", TCP_SYN | TCP_ACK));
    assert_sent(REMOTE ":5001", external, TCP_ACK, REMOTE ":5001");
    assert_sent(REMOTE ":5001", external, TCP_FIN | TCP_ACK, REMOTE ":5001");
    ck_assert_ptr_nonnull(tcp_out(&gateway, TARGET, REMOTE ":5001", TCP_FIN | TCP_ACK));
}

START_TEST(a_closed_connection_gives_way_and_the_port_stays)
{
    start();
    for (int i = 0; i < 10; i++)
        visit(i % 2 ? EXTERNAL ":443" : EXTERNAL ":51820");
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_REPLACED], 9);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_open_connection_does_not_give_way)
{
    struct sample sample;

    start();
    assert_sent(REMOTE ":5001", EXTERNAL ":443", TCP_SYN, REMOTE ":5001");
    make_tcp(&sample, REMOTE ":5001", EXTERNAL ":51820", TCP_SYN);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_ne(source_of(&sample), REMOTE ":5001");
    ck_assert_uint_eq(gateway.nat->table.live, 2);
    gateway_stop(&gateway);
}
END_TEST

/* A hairpin's second pass finds it by both internal endpoints, so no other port can help there. */
START_TEST(a_second_hairpin_between_two_endpoints_waits_for_the_first_to_close)
{
    struct sample sample;

    start();
    make_tcp(&sample, "10.0.0.5:5001", EXTERNAL ":443", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    make_tcp(&sample, "10.0.0.5:5001", EXTERNAL ":51820", TCP_SYN);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_TUPLE_COLLISION);
    make_tcp(&sample, "10.0.0.5:5001", EXTERNAL ":443", TCP_RST);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    make_tcp(&sample, "10.0.0.5:5001", EXTERNAL ":51820", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_gateways_own_second_session_is_refused)
{
    struct sample sample;

    start();
    make_udp(&sample, EXTERNAL ":5001", EXTERNAL ":443", 20);
    sample.packet.hook = HOOK_INBOUND;
    ck_assert_int_eq(gateway_translate(&gateway, &sample), DROP_NONE);
    make_udp(&sample, EXTERNAL ":5001", EXTERNAL ":51820", 20);
    sample.packet.hook = HOOK_INBOUND;
    ck_assert_int_eq(gateway_translate(&gateway, &sample), DROP_TUPLE_COLLISION);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_second_session_of_one_remote_port_comes_from_another_port,
        the_other_port_has_the_class_and_the_parity_of_the_first,
        a_remote_that_has_the_other_port_itself_gets_yet_another,
        a_session_that_the_target_has_opened_is_in_the_way_too,
        a_session_tells_the_remote_and_what_the_target_sees_of_it,
        icmp_errors_are_translated_with_the_other_port,
        a_session_with_another_port_is_not_offloaded,
        a_session_with_another_port_goes_on_after_a_crash,
        a_closed_connection_gives_way_and_the_port_stays,
        an_open_connection_does_not_give_way,
        a_second_hairpin_between_two_endpoints_waits_for_the_first_to_close,
        the_gateways_own_second_session_is_refused,
    };

    return run_tests("other port", tests, sizeof(tests) / sizeof(tests[0]));
}
