/*
 * test_translate_icmp.c - ICMP errors about translated packets, in every direction (RFC 5508)
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define ROUTER       "192.0.2.1"  /* on the way to the remote */
#define INNER_ROUTER "10.0.0.254" /* on the way to the internal host */

static struct gateway gateway;
static struct sample sent; /* as the world has seen it */
static char external[32];

static void start(void)
{
    struct policy *policy = lab_policy(FILTERING_ENDPOINT_INDEPENDENT);

    add_forward(policy, "web", FORWARD_TCP, 80, 80, "10.0.0.80:8080", NULL);
    gateway_start(&gateway, policy);
}

/* 10.0.0.5:4000 speaks to the remote; `sent` is the packet outside. */
static void start_with_session(void)
{
    start();
    make_udp(&sent, "10.0.0.5:4000", REMOTE ":53", 60);
    ck_assert_int_eq(leave(&gateway, &sent), DROP_NONE);
    snprintf(external, sizeof(external), "%s", source_of(&sent));
}

static void assert_error(const struct sample *error, const char *source, const char *destination,
                         const char *quoted_source, const char *quoted_destination)
{
    ck_assert_str_eq(source_of(error), source);
    ck_assert_str_eq(destination_of(error), destination);
    ck_assert_str_eq(quoted_source_of(error), quoted_source);
    ck_assert_str_eq(quoted_destination_of(error), quoted_destination);
    ck_assert(ip_checksum_is_right(error->bytes) && l4_checksum_is_right(error->bytes));
    ck_assert(ip_checksum_is_right(error->bytes + 28));
}

START_TEST(rfc5508_req4_an_error_from_outside_reaches_the_host)
{
    static const uint8_t kinds[][2] = {{3, 0},  {3, 1},  {3, 3},  {3, 4},
                                       {3, 13}, {11, 0}, {11, 1}, {12, 0}};
    struct sample error;

    start_with_session();
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        make_icmp_error(&error, ROUTER, EXTERNAL, kinds[i][0], kinds[i][1], &sent, 8);
        ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
        assert_error(&error, ROUTER, "10.0.0.5", "10.0.0.5:4000", REMOTE ":53");
        ck_assert(error.bytes[20] == kinds[i][0] && error.bytes[21] == kinds[i][1]);
        ck_assert(!error.packet.transit);
    }
    gateway_stop(&gateway);
}
END_TEST

/* RFC 4787 REQ-12a: whoever sends it. */
START_TEST(rfc4787_req12_errors_are_not_filtered_by_their_source)
{
    struct sample error;

    start_with_session();
    ck_assert_uint_eq(
        gateway_change_policy(&gateway, lab_policy(FILTERING_ADDRESS_AND_PORT_DEPENDENT)), 0);
    make_icmp_error(&error, "8.8.4.4", EXTERNAL, 3, 1, &sent, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
    ck_assert_str_eq(destination_of(&error), "10.0.0.5");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_about_a_query_reaches_the_host)
{
    struct sample error;

    start();
    make_icmp_query(&sent, "10.0.0.5", REMOTE, ICMP_ECHO_REQUEST, 777);
    ck_assert_int_eq(leave(&gateway, &sent), DROP_NONE);
    make_icmp_error(&error, ROUTER, EXTERNAL, 11, 0, &sent, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
    assert_error(&error, ROUTER, "10.0.0.5", "10.0.0.5", REMOTE);
    ck_assert_uint_eq(get16(error.bytes + 28 + 24), 777);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_about_a_forwards_answer_reaches_its_target)
{
    struct sample error;

    start();
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    make_tcp(&sent, "10.0.0.80:8080", REMOTE ":1000", TCP_SYN | TCP_ACK);
    ck_assert_int_eq(leave(&gateway, &sent), DROP_NONE);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &sent, 20);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
    assert_error(&error, ROUTER, "10.0.0.80", "10.0.0.80:8080", REMOTE ":1000");
    ck_assert(l4_checksum_is_right(error.bytes + 28));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5508_req4_an_error_about_no_session_is_dropped)
{
    struct sample error, stranger;

    start_with_session();
    make_udp(&stranger, external, "192.0.2.99:1", 20);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &stranger, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_ICMP_NO_SESSION);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_about_a_port_of_the_pool_that_no_mapping_has_passes_as_it_came)
{
    struct sample error, own;

    start_with_session();
    make_tcp(&own, external, "192.0.2.99:1", TCP_SYN); /* TCP's ports are others */
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &own, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
    ck_assert_int_eq(error.packet.verdict, VERDICT_ACCEPT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_about_the_gateways_own_packet_passes_as_it_came)
{
    struct sample error, own;

    start_with_session();
    make_udp(&own, EXTERNAL ":40000", REMOTE ":123", 20);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &own, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
    ck_assert_int_eq(error.packet.verdict, VERDICT_ACCEPT);
    make_raw(&own, EXTERNAL, REMOTE, 50, 20);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &own, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
    ck_assert_int_eq(error.packet.verdict, VERDICT_ACCEPT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5508_req3_bad_checksums_are_dropped)
{
    struct sample error;

    start_with_session();
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &sent, 8);
    error.bytes[50] ^= 1;
    ck_assert_int_eq(arrive(&gateway, &error), DROP_BAD_CHECKSUM);
    sent.bytes[10] ^= 1;
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &sent, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_BAD_CHECKSUM);
    gateway_stop(&gateway);
}
END_TEST

/* What the internal host got from the remote. */
static void receive(struct sample *sample)
{
    make_udp(sample, REMOTE ":53", external, 60);
    ck_assert_int_eq(arrive(&gateway, sample), DROP_NONE);
}

START_TEST(rfc5508_req5_an_error_from_the_host_leaves_with_its_external_address)
{
    struct sample error, got;

    start_with_session();
    receive(&got);
    make_icmp_error(&error, "10.0.0.5", REMOTE, 3, 3, &got, 68);
    ck_assert_int_eq(leave(&gateway, &error), DROP_NONE);
    assert_error(&error, EXTERNAL, REMOTE, REMOTE ":53", external);
    ck_assert(l4_checksum_is_right(error.bytes + 28));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5508_req5_an_error_from_an_inner_router_leaves_with_the_external_address)
{
    struct sample error, got;

    start_with_session();
    receive(&got);
    make_icmp_error(&error, INNER_ROUTER, REMOTE, 11, 0, &got, 8);
    ck_assert_int_eq(leave(&gateway, &error), DROP_NONE);
    assert_error(&error, EXTERNAL, REMOTE, REMOTE ":53", external);
    make_icmp_error(&error, "10.77.0.1", REMOTE, 11, 0, &got,
                    8); /* a router that no share covers */
    ck_assert_int_eq(leave(&gateway, &error), DROP_NONE);
    assert_error(&error, EXTERNAL, REMOTE, REMOTE ":53", external);
    make_icmp_error(&error, EXTERNAL, REMOTE, 11, 0, &got, 8); /* the gateway itself */
    ck_assert_int_eq(leave(&gateway, &error), DROP_NONE);
    assert_error(&error, EXTERNAL, REMOTE, REMOTE ":53", external);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_about_a_forwarded_packet_leaves_as_the_forward)
{
    struct sample error, got;

    start();
    make_tcp(&got, REMOTE ":1000", EXTERNAL ":80", TCP_SYN);
    ck_assert_int_eq(arrive(&gateway, &got), DROP_NONE);
    make_icmp_error(&error, "10.0.0.80", REMOTE, 3, 3, &got, 20);
    ck_assert_int_eq(leave(&gateway, &error), DROP_NONE);
    assert_error(&error, EXTERNAL, REMOTE, REMOTE ":1000", EXTERNAL ":80");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_from_inside_about_no_session_is_dropped)
{
    struct sample error, stranger;

    start_with_session();
    make_udp(&stranger, REMOTE ":99", "10.0.0.5:4000", 20);
    make_icmp_error(&error, "10.0.0.5", REMOTE, 3, 3, &stranger, 8);
    ck_assert_int_eq(leave(&gateway, &error), DROP_ICMP_NO_SESSION);
    make_icmp_error(&error, EXTERNAL, REMOTE, 3, 3, &stranger,
                    8); /* the gateway's is its own affair */
    ck_assert_int_eq(leave(&gateway, &error), DROP_NONE);
    ck_assert_int_eq(error.packet.verdict, VERDICT_ACCEPT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_about_an_error_does_not_leave_with_a_private_source)
{
    struct sample error, inner, got;

    start_with_session();
    receive(&got);
    make_icmp_error(&inner, REMOTE, "10.0.0.5", 3, 3, &got, 8);
    make_icmp_error(&error, "10.0.0.5", REMOTE, 11, 0, &inner, 36);
    ck_assert_int_eq(leave(&gateway, &error), DROP_ICMP_NO_SESSION);
    gateway_stop(&gateway);
}
END_TEST

/*
 * Each direction quotes what its side has seen; the other side's view of the packet is no business
 * of its.
 */
START_TEST(an_error_from_outside_that_quotes_the_inside_is_about_no_session)
{
    struct sample error, inside;

    start_with_session();
    make_udp(&inside, REMOTE ":53", "10.0.0.5:4000", 20);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &inside, 8);
    arrive(&gateway, &error);
    ck_assert_int_ne(error.packet.verdict, VERDICT_REWRITTEN);
    make_udp(&inside, "10.0.0.5:4000", REMOTE ":53", 20);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &inside, 8);
    arrive(&gateway, &error);
    ck_assert_int_ne(error.packet.verdict, VERDICT_REWRITTEN);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_from_inside_that_quotes_the_outside_is_about_no_session)
{
    struct sample error;

    start_with_session();
    make_icmp_error(&error, "10.0.0.6", REMOTE, 3, 1, &sent, 8);
    ck_assert_int_eq(leave(&gateway, &error), DROP_ICMP_NO_SESSION);
    gateway_stop(&gateway);
}
END_TEST

/* 10.0.0.5 speaks to 10.0.0.6 by the external address; *seen is what 10.0.0.6 gets. */
static void hairpin_to(struct sample *seen, char caller[32], char callee[32])
{
    snprintf(caller, 32, "%s", udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    snprintf(callee, 32, "%s", udp_out(&gateway, "10.0.0.6:6000", REMOTE ":53"));
    make_udp(seen, "10.0.0.5:4000", callee, 40);
    ck_assert_int_eq(hairpin(&gateway, seen), DROP_NONE);
}

START_TEST(rfc5508_req7_an_error_about_a_hairpin_turns_back)
{
    struct sample error, seen;
    char caller[32], callee[32];

    start();
    hairpin_to(&seen, caller, callee);
    make_icmp_error(&error, "10.0.0.6", EXTERNAL, 3, 3, &seen, 48);
    ck_assert_int_eq(turn_back(&gateway, &error), DROP_NONE);
    assert_error(&error, "10.0.0.6", "10.0.0.5", "10.0.0.5:4000", callee);
    ck_assert_int_eq(pass_again(&gateway, &error), DROP_NONE);
    ck_assert(!error.packet.transit);
    assert_error(&error, EXTERNAL, "10.0.0.5", "10.0.0.5:4000", callee);
    ck_assert(l4_checksum_is_right(error.bytes + 28));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5508_req7_an_error_about_a_hairpins_answer_turns_back)
{
    struct sample error, seen;
    char caller[32], callee[32];

    start();
    hairpin_to(&seen, caller, callee);
    make_udp(&seen, "10.0.0.6:6000", caller, 40);
    ck_assert_int_eq(hairpin(&gateway, &seen), DROP_NONE);
    make_icmp_error(&error, "10.0.0.5", EXTERNAL, 3, 3, &seen, 8);
    ck_assert_int_eq(turn_back(&gateway, &error), DROP_NONE);
    ck_assert_int_eq(pass_again(&gateway, &error), DROP_NONE);
    assert_error(&error, EXTERNAL, "10.0.0.6", "10.0.0.6:6000", caller);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(between_hosts_inside_an_error_without_session_passes_unchanged)
{
    struct sample error, quoted;

    start();
    make_udp(&quoted, "10.0.0.5:4000", EXTERNAL ":50001", 20);
    make_icmp_error(&error, "10.0.0.6", "10.0.0.5", 3, 3, &quoted, 8);
    ck_assert_int_eq(pass_again(&gateway, &error), DROP_NONE);
    ck_assert_int_eq(error.packet.verdict, VERDICT_ACCEPT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5508_req6_errors_neither_refresh_nor_end_a_session)
{
    struct session_view view;
    struct sample error;

    start_with_session();
    gateway_wait(&gateway, 299000);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &sent, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", REMOTE ":53", &view));
    ck_assert_uint_eq(view.idle_ms, 299000);
    ck_assert_uint_eq(view.packets_in, 0);
    ck_assert_int_eq(view.state, STATE_UNANSWERED);
    gateway_wait(&gateway, 1000);
    ck_assert(!find_view(&gateway, "10.0.0.5:4000", REMOTE ":53", &view));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5382_req10_errors_do_not_end_a_connection)
{
    struct session_view view;
    struct sample error;

    start();
    make_tcp(&sent, tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"), REMOTE ":443", TCP_ACK);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &sent, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", REMOTE ":443", &view));
    ck_assert_int_eq(view.state, STATE_ESTABLISHED);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc5508_req4_an_error_from_outside_reaches_the_host,
        rfc4787_req12_errors_are_not_filtered_by_their_source,
        an_error_about_a_query_reaches_the_host,
        an_error_about_a_forwards_answer_reaches_its_target,
        rfc5508_req4_an_error_about_no_session_is_dropped,
        an_error_about_a_port_of_the_pool_that_no_mapping_has_passes_as_it_came,
        an_error_about_the_gateways_own_packet_passes_as_it_came,
        rfc5508_req3_bad_checksums_are_dropped,
        rfc5508_req5_an_error_from_the_host_leaves_with_its_external_address,
        rfc5508_req5_an_error_from_an_inner_router_leaves_with_the_external_address,
        an_error_about_a_forwarded_packet_leaves_as_the_forward,
        an_error_from_inside_about_no_session_is_dropped,
        an_error_about_an_error_does_not_leave_with_a_private_source,
        an_error_from_outside_that_quotes_the_inside_is_about_no_session,
        an_error_from_inside_that_quotes_the_outside_is_about_no_session,
        rfc5508_req7_an_error_about_a_hairpin_turns_back,
        rfc5508_req7_an_error_about_a_hairpins_answer_turns_back,
        between_hosts_inside_an_error_without_session_passes_unchanged,
        rfc5508_req6_errors_neither_refresh_nor_end_a_session,
        rfc5382_req10_errors_do_not_end_a_connection,
    };

    return RUN_TESTS("translate icmp", tests);
}
