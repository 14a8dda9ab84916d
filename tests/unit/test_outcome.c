/*
 * test_outcome.c - how the exchange of a session comes to its end, as sessions and events tell it
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define INTERNAL "10.0.0.5:4000"
#define SERVER   REMOTE ":443"
#define CALLER   REMOTE ":1000"
#define TARGET   "10.0.0.80:8080"
#define ROUTER   "192.0.2.1"

static struct gateway gateway;
static char external[32];
static uint64_t next_event;

static void start(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "web", FORWARD_TCP | FORWARD_UDP, 80, 80, TARGET, NULL);
    gateway_start(&gateway, policy);
    next_event = 1;
}

static void open_outside(uint8_t flags)
{
    snprintf(external, sizeof(external), "%s", tcp_out(&gateway, INTERNAL, SERVER, flags));
}

static void start_connected(void)
{
    start();
    snprintf(external, sizeof(external), "%s", tcp_connect(&gateway, INTERNAL, SERVER));
}

static struct session_view session(const char *internal, const char *remote)
{
    struct session_view view;

    ck_assert(find_view(&gateway, internal, remote, &view));
    return view;
}

/* The next event of this type; those before it are left out. */
static struct event told(enum event_type type)
{
    struct event event;
    uint64_t lost;
    bool behind;

    do
        ck_assert_uint_eq(nat_read_events(gateway.nat, &next_event, &event, 1, &lost, &behind), 1);
    while (event.type != type);
    return event;
}

static void nothing_more_is_told(void)
{
    struct event event;
    uint64_t lost;
    bool behind;

    ck_assert_uint_eq(nat_read_events(gateway.nat, &next_event, &event, 1, &lost, &behind), 0);
}

/* An ICMP error about a packet that has left, from outside; it must pass. */
static void report(const char *from, uint8_t type, uint8_t code, const struct sample *about)
{
    struct sample error;

    make_icmp_error(&error, from, EXTERNAL, type, code, about, 8);
    ck_assert_int_eq(arrive(&gateway, &error), DROP_NONE);
}

/* The same from inside, about a packet that a target got. */
static void report_from_inside(const char *from, uint8_t type, uint8_t code,
                               const struct sample *about)
{
    struct sample error;

    make_icmp_error(&error, from, REMOTE, type, code, about, 8);
    ck_assert_int_eq(leave(&gateway, &error), DROP_NONE);
}

static void send_udp(struct sample *sample)
{
    make_udp(sample, INTERNAL, REMOTE ":53", 20);
    ck_assert_int_eq(leave(&gateway, sample), DROP_NONE);
    snprintf(external, sizeof(external), "%s", source_of(sample));
}

START_TEST(a_fin_of_both_sides_closes)
{
    start_connected();
    gateway.now += 128;
    ck_assert_ptr_nonnull(tcp_out(&gateway, INTERNAL, SERVER, TCP_FIN | TCP_ACK));
    ck_assert_int_eq(session(INTERNAL, SERVER).outcome, OUTCOME_NONE);
    ck_assert_int_eq(tcp_in(&gateway, SERVER, external, TCP_FIN | TCP_ACK), DROP_NONE);
    ck_assert_int_eq(session(INTERNAL, SERVER).outcome, OUTCOME_CLOSED);

    struct event event = told(EVENT_ENDED);
    ck_assert_str_eq(event_outcome_name(&event), "closed");
    ck_assert_uint_eq(event.time, gateway.now);
    ck_assert_uint_eq(event.session.age_ms, 128);
    ck_assert_uint_eq(event.session.packets_out, 3);
    ck_assert_uint_eq(event.session.packets_in, 2);
    ck_assert_ptr_null(session_ended_by(&event.session));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_rst_that_answers_the_syn_refuses)
{
    start();
    ck_assert_int_eq(tcp_in(&gateway, CALLER, EXTERNAL ":80", TCP_SYN), DROP_NONE);
    gateway.now += 3;
    ck_assert_ptr_nonnull(tcp_out(&gateway, TARGET, CALLER, TCP_RST | TCP_ACK));

    struct event event = told(EVENT_ENDED);
    ck_assert_str_eq(event_outcome_name(&event), "refused");
    ck_assert_uint_eq(event.waited_ms, 3);
    ck_assert_uint_eq(event.icmp.type, 0);
    ck_assert_str_eq(endpoint_text(session_ended_by(&event.session)), TARGET);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_rst_in_between_resets_and_says_by_whom)
{
    for (int by_server = 0; by_server < 2; by_server++) {
        struct session_view view;

        start_connected();
        if (by_server)
            ck_assert_int_eq(tcp_in(&gateway, SERVER, external, TCP_RST), DROP_NONE);
        else
            ck_assert_ptr_nonnull(tcp_out(&gateway, INTERNAL, SERVER, TCP_RST));
        view = session(INTERNAL, SERVER);
        ck_assert_str_eq(outcome_name(view.outcome), "reset");
        ck_assert_str_eq(endpoint_text(session_ended_by(&view)), by_server ? SERVER : INTERNAL);
        ck_assert_int_eq(told(EVENT_ENDED).session.outcome, view.outcome);
        gateway_stop(&gateway);
    }
}
END_TEST

/* As a scanner does that has learned what it wanted to know. */
START_TEST(a_client_that_resets_its_own_handshake_is_not_refused)
{
    start();
    open_outside(TCP_SYN);
    ck_assert_int_eq(tcp_in(&gateway, SERVER, external, TCP_SYN | TCP_ACK), DROP_NONE);
    ck_assert_ptr_nonnull(tcp_out(&gateway, INTERNAL, SERVER, TCP_RST));
    ck_assert_int_eq(told(EVENT_ENDED).session.outcome, OUTCOME_RESET_BY_INITIATOR);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_rst_is_taken_back_by_what_follows)
{
    start_connected();
    ck_assert_int_eq(tcp_in(&gateway, SERVER, external, TCP_RST), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, SERVER, external, TCP_ACK), DROP_NONE);
    ck_assert_int_eq(session(INTERNAL, SERVER).outcome, OUTCOME_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(each_try_of_a_client_is_told)
{
    start();
    for (int i = 0; i < 3; i++) {
        open_outside(TCP_SYN);
        ck_assert_int_eq(session(INTERNAL, SERVER).outcome, OUTCOME_NONE);
        ck_assert_int_eq(tcp_in(&gateway, SERVER, external, TCP_RST | TCP_ACK), DROP_NONE);
        ck_assert_int_eq(told(EVENT_ENDED).session.outcome, OUTCOME_REFUSED);
    }
    nothing_more_is_told();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(port_unreachable_refuses_udp)
{
    struct sample sent;

    start();
    send_udp(&sent);
    gateway.now += 40;
    report(REMOTE, 3, 3, &sent);

    struct event event = told(EVENT_ENDED);
    ck_assert_str_eq(event_outcome_name(&event), "refused");
    ck_assert_uint_eq(event.waited_ms, 40);
    ck_assert_str_eq(address_text(&event.icmp.from), REMOTE);
    ck_assert_uint_eq(event.icmp.type, 3);
    ck_assert_uint_eq(event.icmp.code, 3);
    ck_assert_ptr_null(session_ended_by(&event.session));
    report(REMOTE, 3, 3, &sent);
    nothing_more_is_told();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(other_errors_say_unreachable_and_from_where)
{
    static const uint8_t kinds[][2] = {{3, 0}, {3, 1}, {3, 13}, {11, 0}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct sample sent;
        struct event event;

        start();
        make_tcp(&sent, INTERNAL, SERVER, TCP_SYN);
        ck_assert_int_eq(leave(&gateway, &sent), DROP_NONE);
        report(ROUTER, kinds[i][0], kinds[i][1], &sent);
        ck_assert_int_eq(session(INTERNAL, SERVER).state, STATE_OPENING); /* RFC 5508 REQ-6 */
        event = told(EVENT_ENDED);
        ck_assert_str_eq(event_outcome_name(&event), "unreachable");
        ck_assert_str_eq(address_text(&event.icmp.from), ROUTER);
        ck_assert_uint_eq(event.icmp.type, kinds[i][0]);
        ck_assert_uint_eq(event.icmp.code, kinds[i][1]);
        gateway_stop(&gateway);
    }
}
END_TEST

START_TEST(an_error_from_inside_is_about_the_target)
{
    struct sample sent;

    start();
    make_udp(&sent, CALLER, EXTERNAL ":80", 20);
    ck_assert_int_eq(arrive(&gateway, &sent), DROP_NONE);
    report_from_inside("10.0.0.1", 3, 1, &sent);

    struct event event = told(EVENT_ENDED);
    ck_assert_str_eq(event_outcome_name(&event), "unreachable");
    ck_assert_str_eq(address_text(&event.icmp.from), "10.0.0.1");
    ck_assert_str_eq(event.session.forward, "web");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_answer_takes_an_error_back)
{
    struct sample sent;

    start();
    send_udp(&sent);
    report(ROUTER, 3, 1, &sent);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_int_eq(session(INTERNAL, REMOTE ":53").outcome, OUTCOME_NONE);
    report(REMOTE, 3, 3, &sent); /* it was there and has gone */
    ck_assert_int_eq(session(INTERNAL, REMOTE ":53").outcome, OUTCOME_REFUSED_BY_ICMP);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_int_eq(session(INTERNAL, REMOTE ":53").outcome, OUTCOME_NONE);
    gateway_stop(&gateway);
}
END_TEST

/* RFC 1122 section 4.2.3.9: it may go on as soon as a link is up again. */
START_TEST(an_established_connection_is_not_ended_by_an_error)
{
    struct sample sent;

    start_connected();
    make_tcp(&sent, INTERNAL, SERVER, TCP_ACK);
    ck_assert_int_eq(leave(&gateway, &sent), DROP_NONE);
    report(ROUTER, 3, 1, &sent);
    report(REMOTE, 3, 3, &sent);
    ck_assert_int_eq(session(INTERNAL, SERVER).outcome, OUTCOME_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_datagram_that_is_too_long_is_no_end)
{
    struct sample sent;

    start();
    send_udp(&sent);
    report(ROUTER, 3, 4, &sent);  /* RFC 1191: the path's MTU */
    report(ROUTER, 11, 1, &sent); /* a fragment was lost */
    ck_assert_int_eq(session(INTERNAL, REMOTE ":53").outcome, OUTCOME_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_client_that_is_gone_is_no_fault_of_the_target)
{
    struct sample answer;

    start();
    ck_assert_int_eq(udp_in(&gateway, CALLER, EXTERNAL ":80"), DROP_NONE);
    make_udp(&answer, TARGET, CALLER, 20);
    ck_assert_int_eq(leave(&gateway, &answer), DROP_NONE);
    report(REMOTE, 3, 3, &answer);
    ck_assert_int_eq(session(TARGET, CALLER).outcome, OUTCOME_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_leaves_the_table_says_what_became_of_it)
{
    struct event event;
    struct sample sent;

    start();
    open_outside(TCP_SYN);
    gateway_wait(&gateway, 240000);
    event = told(EVENT_CLOSED);
    ck_assert_str_eq(event_outcome_name(&event), "unanswered");

    send_udp(&sent);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    gateway_wait(&gateway, 300000);
    event = told(EVENT_CLOSED);
    ck_assert_str_eq(event_outcome_name(&event), "expired");

    open_outside(TCP_SYN);
    ck_assert_int_eq(tcp_in(&gateway, SERVER, external, TCP_RST | TCP_ACK), DROP_NONE);
    gateway_wait(&gateway, 240000);
    event = told(EVENT_CLOSED);
    ck_assert_str_eq(event_outcome_name(&event), "refused");
    ck_assert_int_eq(event.reason, CLOSE_EXPIRED);

    send_udp(&sent);
    event = told(EVENT_OPENED);
    ck_assert_ptr_null(event_outcome_name(&event));
    for (uint32_t slot = 0; slot < gateway.nat->table.capacity; slot++) {
        if (gateway.nat->table.session[slot].live == SLOT_LIVE)
            gateway_kill(&gateway, slot);
    }
    event = told(EVENT_CLOSED);
    ck_assert_str_eq(event_outcome_name(&event), "killed");
    gateway_stop(&gateway);
}
END_TEST

/* The kernel's counters come later than the FIN that ends the session. */
START_TEST(the_end_of_an_offloaded_session_waits_for_its_last_packets)
{
    struct offload_traffic traffic = {.packets = {[HOOK_OUTBOUND] = 7, [HOOK_INBOUND] = 9},
                                      .bytes = {[HOOK_OUTBOUND] = 700, [HOOK_INBOUND] = 9000}};
    struct offload_order order;
    struct event event;

    start();
    ck_assert(nat_offload_init(gateway.nat, 4, 0));
    snprintf(external, sizeof(external), "%s", tcp_connect(&gateway, INTERNAL, SERVER));
    ck_assert_ptr_nonnull(tcp_out(&gateway, INTERNAL, SERVER, TCP_ACK));
    nat_offload_let_enter(gateway.nat, gateway.now, OFFLOAD_OVERFULL);
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    nat_offload_added(gateway.nat, order.entry, true);
    told(EVENT_ESTABLISHED);
    ck_assert_ptr_nonnull(tcp_out(&gateway, INTERNAL, SERVER, TCP_FIN | TCP_ACK));
    ck_assert_int_eq(tcp_in(&gateway, SERVER, external, TCP_FIN | TCP_ACK), DROP_NONE);
    nothing_more_is_told();
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    ck_assert_int_eq(order.task, OFFLOAD_REMOVE);
    nat_offload_removed(gateway.nat, order.entry, &traffic, gateway.now);
    event = told(EVENT_ENDED);
    ck_assert_str_eq(event_outcome_name(&event), "closed");
    ck_assert_uint_eq(event.session.packets_out, 4 + 7);
    ck_assert_uint_eq(event.session.packets_in, 2 + 9);
    nothing_more_is_told();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(every_outcome_has_a_name_but_none)
{
    ck_assert_ptr_null(outcome_name(OUTCOME_NONE));
    for (int outcome = OUTCOME_NONE + 1; outcome < OUTCOME_COUNT; outcome++)
        ck_assert_uint_gt(strlen(outcome_name((enum outcome)outcome)), 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_fin_of_both_sides_closes,
        an_rst_that_answers_the_syn_refuses,
        an_rst_in_between_resets_and_says_by_whom,
        a_client_that_resets_its_own_handshake_is_not_refused,
        an_rst_is_taken_back_by_what_follows,
        each_try_of_a_client_is_told,
        port_unreachable_refuses_udp,
        other_errors_say_unreachable_and_from_where,
        an_error_from_inside_is_about_the_target,
        an_answer_takes_an_error_back,
        an_established_connection_is_not_ended_by_an_error,
        a_datagram_that_is_too_long_is_no_end,
        a_client_that_is_gone_is_no_fault_of_the_target,
        what_leaves_the_table_says_what_became_of_it,
        the_end_of_an_offloaded_session_waits_for_its_last_packets,
        every_outcome_has_a_name_but_none,
    };

    return RUN_TESTS("outcome", tests);
}
