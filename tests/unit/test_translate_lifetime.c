/*
 * test_translate_lifetime.c - timeouts with scripted time, what refreshes, and the events that are
 * told
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gateway gateway;
static char external[32];

static void start(void)
{
    gateway_start(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT));
}

static void keep(const char *text)
{
    ck_assert_ptr_nonnull(text);
    snprintf(external, sizeof(external), "%s", text);
}

static void assert_ends_after(uint64_t milliseconds)
{
    gateway_wait(&gateway, milliseconds - 1000);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_wait(&gateway, 999);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_wait(&gateway, 1);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_EXPIRED], 1);
}

START_TEST(rfc4787_req5_an_idle_udp_mapping_lives_300_seconds)
{
    start();
    keep(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    assert_ends_after(300000);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NO_SESSION);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req6_outbound_packets_refresh)
{
    start();
    keep(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    for (int i = 0; i < 10; i++) {
        gateway_wait(&gateway, 299000);
        ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    }
    assert_ends_after(300000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(inbound_packets_refresh)
{
    start();
    keep(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    gateway_wait(&gateway, 200000);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    assert_ends_after(300000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_7_refused_packets_do_not_refresh)
{
    start();
    keep(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    gateway_wait(&gateway, 200000);
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:53", external), DROP_FILTERED);
    assert_ends_after(100000);
    gateway_stop(&gateway);
}
END_TEST

/* The mapping lives as long as any of its sessions. */
START_TEST(a_mapping_outlives_a_session)
{
    start();
    keep(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    gateway_wait(&gateway, 200000);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", "192.0.2.1:53"), external);
    gateway_wait(&gateway, 200000);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5508_req2_an_idle_query_lives_60_seconds)
{
    struct sample sample;

    start();
    make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_ECHO_REQUEST, 7);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    assert_ends_after(60000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5382_req5_an_idle_connection_lives_7440_seconds)
{
    start();
    keep(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    assert_ends_after(7440000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5382_req5_an_unanswered_syn_lives_240_seconds)
{
    start();
    keep(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":443", TCP_SYN));
    assert_ends_after(240000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_closed_connection_lives_240_seconds)
{
    start();
    keep(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    gateway_wait(&gateway, 5000000);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":443", TCP_FIN | TCP_ACK));
    gateway_wait(&gateway, 1000000); /* half closed is still open */
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":443", external, TCP_FIN | TCP_ACK), DROP_NONE);
    assert_ends_after(240000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_2_2_a_reset_connection_is_kept_four_minutes)
{
    start();
    keep(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    gateway_wait(&gateway, 1000000);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":443", external, TCP_RST), DROP_NONE);
    assert_ends_after(240000);
    gateway_stop(&gateway);
}
END_TEST

/*
 * RFC 7857 section 2.2: anybody can forge an RST, few can guess what the window is. The receiver
 * may judge for itself.
 */
START_TEST(rfc7857_2_2_an_implausible_rst_passes_and_changes_nothing)
{
    struct session_view view;
    struct sample sample;

    start();
    keep(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    gateway_wait(&gateway, 1000);
    make_tcp(&sample, REMOTE ":443", external, TCP_RST);
    put32(sample.bytes + 24, 1001 + 100000);
    fix_checksums(sample.bytes);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), "10.0.0.5:4000");
    ck_assert(find_view(&gateway, "10.0.0.5:4000", REMOTE ":443", &view));
    ck_assert_int_eq(view.state, STATE_ESTABLISHED);
    ck_assert_uint_eq(view.idle_ms, 1000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_2_2_traffic_after_a_forged_reset_keeps_the_connection)
{
    start();
    keep(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":443", external, TCP_RST), DROP_NONE);
    gateway_wait(&gateway, 239000);
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":443", TCP_ACK), external);
    assert_ends_after(7440000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_7_1_an_rst_does_not_refresh)
{
    start();
    keep(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":443", external, TCP_RST), DROP_NONE);
    for (int i = 0; i < 4; i++) {
        gateway_wait(&gateway, 50000);
        ck_assert_int_eq(tcp_in(&gateway, REMOTE ":443", external, TCP_RST), DROP_NONE);
        ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":443", TCP_RST));
    }
    assert_ends_after(40000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_new_syn_opens_a_closed_connection_again)
{
    struct session_view view;

    start();
    keep(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:4000", REMOTE ":443", TCP_RST));
    ck_assert_str_eq(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"), external);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", REMOTE ":443", &view));
    ck_assert_int_eq(view.state, STATE_ESTABLISHED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(timeouts_longer_than_the_wheel_are_kept)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    policy_timeouts(policy)->udp = 100000;
    gateway_start(&gateway, policy);
    keep(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    for (int i = 0; i < 99; i++)
        gateway_wait(&gateway, 1000000);
    assert_ends_after(1000000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_tick_that_comes_late_ends_what_is_due_at_once)
{
    start();
    for (int i = 1; i <= 100; i++) {
        char from[32];

        snprintf(from, sizeof(from), "10.0.0.5:%d", i);
        ck_assert_ptr_nonnull(udp_out(&gateway, from, REMOTE ":53"));
    }
    gateway_wait(&gateway, 1000000000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_tick_keeps_to_its_budget)
{
    start();
    for (int i = 1; i <= 100; i++) {
        char from[32];

        snprintf(from, sizeof(from), "10.0.0.5:%d", i);
        ck_assert_ptr_nonnull(udp_out(&gateway, from, REMOTE ":53"));
    }
    gateway.now += 300000;
    for (uint32_t left = 100; left > 0; left -= 10) {
        ck_assert_uint_eq(gateway.nat->table.live, left);
        ck_assert(nat_tick(gateway.nat, gateway.now, 10));
    }
    ck_assert(!nat_tick(gateway.nat, gateway.now, 10));
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

/* Events. */

static void assert_event(const struct event *event, uint64_t sequence, enum event_type type,
                         enum close_reason reason)
{
    ck_assert_uint_eq(event->sequence, sequence);
    ck_assert_int_eq(event->type, type);
    ck_assert_int_eq(event->reason, reason);
    ck_assert_str_eq(endpoint_text(&event->session.internal), "10.0.0.5:4000");
    ck_assert_str_eq(endpoint_text(&event->session.external), external);
    ck_assert_str_eq(endpoint_text(&event->session.remote), REMOTE ":443");
    ck_assert_str_eq(event->session.share, "lab");
}

START_TEST(a_connections_life_is_told)
{
    struct event event[8];
    uint64_t from = 1, lost = 99, begun;
    bool behind;

    start();
    begun = gateway.now;
    keep(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    gateway_wait(&gateway, 7440000);
    ck_assert_uint_eq(nat_read_events(gateway.nat, &from, event, 8, &lost, &behind), 3);
    ck_assert_uint_eq(lost, 0);
    ck_assert_uint_eq(from, 4);
    assert_event(&event[0], 1, EVENT_OPENED, CLOSE_NONE);
    assert_event(&event[1], 2, EVENT_ESTABLISHED, CLOSE_NONE);
    assert_event(&event[2], 3, EVENT_CLOSED, CLOSE_EXPIRED);
    ck_assert_uint_eq(event[0].time, begun);
    ck_assert_uint_eq(event[2].time, begun + 7440000);
    ck_assert_uint_eq(event[2].session.packets_out, 2);
    ck_assert_uint_eq(event[2].session.packets_in, 1);
    ck_assert_uint_eq(event[0].session.id, event[2].session.id);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_reader_may_take_events_in_parts)
{
    struct event event[2];
    uint64_t from = 1, lost;
    bool behind;

    start();
    keep(tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    for (uint64_t i = 1; i <= 2; i++) {
        ck_assert_uint_eq(nat_read_events(gateway.nat, &from, event, 1, &lost, &behind), 1);
        ck_assert_uint_eq(event[0].sequence, i);
    }
    ck_assert_uint_eq(nat_read_events(gateway.nat, &from, event, 2, &lost, &behind), 0);
    ck_assert_uint_eq(from, 3);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_slow_reader_is_told_how_many_events_it_lost)
{
    static struct event event[EVENT_RING];
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    uint64_t from = 1, lost;
    bool behind;

    policy_limits(policy)->sessions = 8;
    gateway_start(&gateway, policy);
    for (int i = 0; i < EVENT_RING; i++) { /* once the table is full, each evicts one: two events */
        char to[32];

        snprintf(to, sizeof(to), "192.0.%d.%d:53", i / 250, i % 250 + 1);
        ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", to));
    }
    ck_assert_uint_eq(nat_read_events(gateway.nat, &from, event, EVENT_RING, &lost, &behind),
                      EVENT_RING);
    ck_assert_uint_eq(lost, gateway.nat->events.next - 1 - EVENT_RING);
    for (size_t i = 0; i < EVENT_RING; i++)
        ck_assert_uint_eq(event[i].sequence, lost + 1 + i);
    ck_assert_uint_eq(from, gateway.nat->events.next);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(every_event_and_reason_has_a_name)
{
    for (int type = EVENT_OPENED; type <= EVENT_CLOSED; type++)
        ck_assert_uint_gt(strlen(event_type_name((enum event_type)type)), 0);
    for (int reason = 0; reason < CLOSE_REASON_COUNT; reason++)
        ck_assert_uint_gt(strlen(close_reason_name((enum close_reason)reason)), 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc4787_req5_an_idle_udp_mapping_lives_300_seconds,
        rfc4787_req6_outbound_packets_refresh,
        inbound_packets_refresh,
        rfc7857_7_refused_packets_do_not_refresh,
        a_mapping_outlives_a_session,
        rfc5508_req2_an_idle_query_lives_60_seconds,
        rfc5382_req5_an_idle_connection_lives_7440_seconds,
        rfc5382_req5_an_unanswered_syn_lives_240_seconds,
        a_closed_connection_lives_240_seconds,
        rfc7857_2_2_a_reset_connection_is_kept_four_minutes,
        rfc7857_2_2_an_implausible_rst_passes_and_changes_nothing,
        rfc7857_2_2_traffic_after_a_forged_reset_keeps_the_connection,
        rfc7857_7_1_an_rst_does_not_refresh,
        a_new_syn_opens_a_closed_connection_again,
        timeouts_longer_than_the_wheel_are_kept,
        a_tick_that_comes_late_ends_what_is_due_at_once,
        a_tick_keeps_to_its_budget,
        a_connections_life_is_told,
        a_reader_may_take_events_in_parts,
        a_slow_reader_is_told_how_many_events_it_lost,
        every_event_and_reason_has_a_name,
    };

    return RUN_TESTS("translate lifetime", tests);
}
