/*
 * test_offload.c - sessions that the kernel rewrites by itself: who gets there, what comes back,
 * and that nothing else can be told from a session of the queue. The kernel is played by hand:
 * orders are taken, and answered as a test wants.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define INTERNAL "10.0.0.5:4000"
#define SERVER   REMOTE ":443"
#define AFTER    4
#define ENTRIES  4

static struct gateway gateway;
static char external[32];

static void start(struct policy *policy)
{
    gateway_start(&gateway, policy);
    ck_assert(nat_offload_init(gateway.nat, ENTRIES, AFTER));
}

static struct session_view view_of(const char *internal, const char *remote)
{
    struct session_view view;

    ck_assert(find_view(&gateway, internal, remote, &view));
    return view;
}

static struct session_view session(void)
{
    return view_of(INTERNAL, SERVER);
}

/* The next order, which must be this task. Sessions need not wait for a quiet moment. */
static struct offload_order take(enum offload_task task)
{
    struct offload_order order;

    nat_offload_let_enter(gateway.nat, gateway.now, OFFLOAD_OVERFULL);
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    ck_assert_int_eq(order.task, task);
    return order;
}

static void no_orders(void)
{
    struct offload_order order;

    ck_assert(!nat_offload_has_orders(gateway.nat));
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 0);
}

static struct offload_order add(void)
{
    struct offload_order order = take(OFFLOAD_ADD);

    nat_offload_added(gateway.nat, order.entry, true);
    return order;
}

static struct offload_traffic traffic_of(uint64_t out, uint64_t in)
{
    return (struct offload_traffic){
        .packets = {[HOOK_OUTBOUND] = out, [HOOK_INBOUND] = in},
        .bytes = {[HOOK_OUTBOUND] = out * 1000, [HOOK_INBOUND] = in * 100}};
}

static void answer(uint64_t out, uint64_t in)
{
    struct offload_traffic traffic = traffic_of(out, in);

    nat_offload_answered(gateway.nat, take(OFFLOAD_ASK).entry, &traffic, gateway.now);
}

static void removed(uint64_t out, uint64_t in)
{
    struct offload_traffic traffic = traffic_of(out, in);

    nat_offload_removed(gateway.nat, take(OFFLOAD_REMOVE).entry, &traffic, gateway.now);
}

/* Segments with numbers, from either side. */
static void segment(bool from_host, uint8_t flags, uint32_t sequence, uint32_t acknowledgement)
{
    struct sample sample;

    make_tcp(&sample, from_host ? INTERNAL : SERVER, from_host ? SERVER : external, flags);
    put32(sample.bytes + 24, sequence);
    put32(sample.bytes + 28, acknowledgement);
    fix_checksums(sample.bytes);
    ck_assert_int_eq(from_host ? leave(&gateway, &sample) : arrive(&gateway, &sample), DROP_NONE);
}

/* Each side expects 1001 and has a window of 65535. */
static void start_offloaded_tcp(void)
{
    start(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    snprintf(external, sizeof(external), "%s", tcp_connect(&gateway, INTERNAL, SERVER));
    segment(false, TCP_ACK, 1001, 1001);
    add();
    ck_assert(session().offloaded);
    no_orders();
}

static void start_offloaded_udp(struct policy *policy)
{
    start(policy);
    for (int i = 0; i < AFTER; i++) {
        snprintf(external, sizeof(external), "%s", udp_out(&gateway, INTERNAL, SERVER));
        ck_assert_int_eq(udp_in(&gateway, SERVER, external), DROP_NONE);
    }
    add();
}

START_TEST(an_established_connection_is_offloaded_after_some_packets)
{
    struct offload_order order;

    start(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    snprintf(external, sizeof(external), "%s",
             tcp_connect(&gateway, INTERNAL, SERVER)); /* three packets */
    no_orders();
    segment(false, TCP_ACK, 1001, 1001);
    ck_assert(!session().offloaded);
    order = add();
    ck_assert_str_eq(endpoint_text(&order.flow.internal), INTERNAL);
    ck_assert_str_eq(endpoint_text(&order.flow.external), external);
    ck_assert_str_eq(endpoint_text(&order.flow.remote), SERVER);
    ck_assert_uint_eq(order.flow.protocol, PROTOCOL_TCP);
    ck_assert(session().offloaded);
    segment(true, TCP_ACK, 1001, 1001); /* a straggler that was in the queue already */
    no_orders();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_connection_that_is_not_established_stays_in_the_queue)
{
    start(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    for (int i = 0; i < 10 * AFTER; i++)
        ck_assert_ptr_nonnull(tcp_out(&gateway, INTERNAL, SERVER, TCP_SYN));
    no_orders();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(udp_is_offloaded_once_it_is_answered)
{
    start(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    for (int i = 0; i < 10 * AFTER; i++)
        snprintf(external, sizeof(external), "%s", udp_out(&gateway, INTERNAL, SERVER));
    no_orders();
    ck_assert_int_eq(udp_in(&gateway, SERVER, external), DROP_NONE);
    add();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forward_is_offloaded_by_viewpoint_and_not_by_who_began)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    struct offload_order order;

    add_forward(policy, "web", FORWARD_UDP, 8080, 8080, "10.0.0.9:80", NULL);
    start(policy);
    for (int i = 0; i < AFTER; i++) {
        ck_assert_int_eq(udp_in(&gateway, REMOTE ":999", EXTERNAL ":8080"), DROP_NONE);
        ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.9:80", REMOTE ":999"));
    }
    order = add();
    ck_assert_str_eq(endpoint_text(&order.flow.internal), "10.0.0.9:80");
    ck_assert_str_eq(endpoint_text(&order.flow.external), EXTERNAL ":8080");
    ck_assert_str_eq(endpoint_text(&order.flow.remote), REMOTE ":999");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(pings_and_hairpins_stay_in_the_queue)
{
    struct policy *policy = lab_policy(FILTERING_ENDPOINT_INDEPENDENT);
    struct sample sample;

    add_forward(policy, "web", FORWARD_UDP, 8080, 8080, "10.0.0.9:80", NULL);
    start(policy);
    for (int i = 0; i < 4 * AFTER; i++) {
        make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_ECHO_REQUEST, 77);
        ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
        make_udp(&sample, INTERNAL, EXTERNAL ":8080", 10);
        ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
        make_udp(&sample, "10.0.0.9:80", source_of(&sample), 10);
    }
    no_orders();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(connections_of_the_gateway_itself_stay_in_the_queue)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    struct sample sample;

    add_forward(policy, "web", FORWARD_UDP, 8080, 8080, "10.0.0.9:80", NULL);
    start(policy);
    for (int i = 0; i < 4 * AFTER; i++) {
        make_udp(&sample, EXTERNAL ":5000", EXTERNAL ":8080", 10);
        sample.packet.hook = HOOK_INBOUND; /* output: no interface it came by */
        sample.packet.out_interface = 0;
        ck_assert_int_eq(gateway_translate(&gateway, &sample), DROP_NONE);
        ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.9:80", EXTERNAL ":5000"));
    }
    no_orders();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_the_kernel_counts_is_the_sessions)
{
    struct session_view before, after;

    start_offloaded_tcp();
    before = session();
    gateway_wait(&gateway, 60000);
    ck_assert_uint_eq(session().idle_ms, 60000);
    nat_offload_fold(gateway.nat, HOOK_OUTBOUND,
                     &(struct tuple){endpoint_of(INTERNAL), endpoint_of(SERVER), PROTOCOL_TCP, 0},
                     10, 10000, gateway.now);
    after = session();
    ck_assert_uint_eq(after.packets_out, before.packets_out + 10);
    ck_assert_uint_eq(after.bytes_out, before.bytes_out + 10000);
    ck_assert_uint_eq(after.packets_in, before.packets_in);
    ck_assert_uint_eq(after.idle_ms, 0);
    /* What was listed twice counts once. */
    nat_offload_fold(gateway.nat, HOOK_OUTBOUND,
                     &(struct tuple){endpoint_of(INTERNAL), endpoint_of(SERVER), PROTOCOL_TCP, 0},
                     10, 10000, gateway.now);
    nat_offload_fold(gateway.nat, HOOK_INBOUND,
                     &(struct tuple){endpoint_of(SERVER), endpoint_of(external), PROTOCOL_TCP, 0},
                     3, 300, gateway.now);
    after = session();
    ck_assert_uint_eq(after.packets_out, before.packets_out + 10);
    ck_assert_uint_eq(after.packets_in, before.packets_in + 3);
    ck_assert_uint_eq(after.bytes_in, before.bytes_in + 300);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_timer_that_runs_out_asks_the_kernel_first)
{
    start_offloaded_udp(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    gateway_wait(&gateway, 300000);
    answer(5, 0); /* it has passed packets since */
    ck_assert_uint_eq(session().expires_in_ms, 300000);
    gateway_wait(&gateway, 299000);
    no_orders();
    gateway_wait(&gateway, 1000);
    answer(5, 0); /* nothing new */
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    removed(5, 0);
    no_orders();
    ck_assert_uint_eq(gateway.nat->offload.used, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(looks_keep_a_session_from_ending_late)
{
    start_offloaded_udp(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    gateway_wait(&gateway, 20000);
    for (int second = 0; second < OFFLOAD_LOOK_SECONDS; second++)
        nat_offload_look(gateway.nat);
    answer(5, 0);
    ck_assert_uint_eq(session().idle_ms, 0);
    gateway_wait(&gateway, 100000);
    for (int second = 0; second < OFFLOAD_LOOK_SECONDS; second++)
        nat_offload_look(gateway.nat);
    answer(5, 0);
    ck_assert_uint_eq(session().idle_ms, 100000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(without_inbound_refresh_the_outside_keeps_nothing_alive)
{
    struct policy *policy = policy_new();
    struct prefix source = prefix_of("10.0.0.0/24");
    struct port_range ports = {50000, 50999};
    struct share share = {.name = "lab",
                          .source = &source,
                          .source_count = 1,
                          .ports = &ports,
                          .ports_count = 1,
                          .no_inbound_refresh = true};

    policy_limits(policy)->sessions = 256;
    ck_assert(policy_add_share(policy, &share));
    start_offloaded_udp(policy);
    gateway_wait(&gateway, 300000);
    answer(0, 1000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_fin_brings_the_session_back_to_the_queue)
{
    struct session_view before;

    start_offloaded_tcp();
    before = session();
    segment(true, TCP_FIN | TCP_ACK, 50001, 1001);
    ck_assert_int_eq(session().state, STATE_CLOSING_BY_INITIATOR);
    removed(49, 30);
    ck_assert_uint_eq(session().packets_out, before.packets_out + 49 + 1);
    ck_assert(!session().offloaded);
    segment(false, TCP_FIN | TCP_ACK, 1001, 50002);
    ck_assert_int_eq(session().state, STATE_CLOSED);
    no_orders();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_2_2_a_reset_is_judged_by_what_the_kernel_has_passed_on)
{
    start_offloaded_tcp();
    segment(false, TCP_RST, 1001 + 65535 + 20000, 0); /* far beyond the last that was seen here */
    ck_assert_int_eq(session().state, STATE_ESTABLISHED);
    removed(100, 200); /* 20,000 bytes of the server have passed */
    ck_assert_int_eq(session().state, STATE_ESTABLISHED);
    gateway_stop(&gateway);

    start_offloaded_tcp();
    segment(false, TCP_RST, 1001 + 65535 + 19999, 0);
    ck_assert_int_eq(session().state, STATE_ESTABLISHED);
    removed(100, 200);
    ck_assert_int_eq(session().state, STATE_RESET);
    ck_assert_uint_eq(session().expires_in_ms, 240000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_2_2_a_forged_reset_leaves_an_idle_offloaded_session_alone)
{
    start_offloaded_tcp();
    gateway_wait(&gateway, 3600000);
    segment(false, TCP_RST, 1001 + 65535, 0);
    removed(0, 0);
    ck_assert_int_eq(session().state, STATE_ESTABLISHED);
    ck_assert_uint_eq(session().idle_ms, 3600000);
    /* And does not have the kernel's maps changed again and again. */
    segment(true, TCP_ACK, 1001, 1001);
    no_orders();
    for (int i = 0; i < 1024; i++)
        segment(true, TCP_ACK, 1001, 1001);
    add();
    gateway_stop(&gateway);
}
END_TEST

/* The kernel's answer comes late; the last step of the next handshake was still in its hands. */
START_TEST(a_reset_that_waits_is_not_about_the_connection_after_it)
{
    start_offloaded_tcp();
    segment(false, TCP_RST, 1001, 0);
    segment(true, TCP_SYN, 101001, 0);
    segment(false, TCP_SYN | TCP_ACK, 1001, 101002);
    removed(1, 0);
    ck_assert_int_eq(session().state, STATE_ESTABLISHED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(sequence_numbers_are_learned_anew_after_gigabytes_unseen)
{
    struct offload_traffic much = {.packets = {1, 1},
                                   .bytes = {UINT64_C(5000000000), UINT64_C(5000000000)}};

    start_offloaded_tcp();
    segment(true, TCP_RST, 77, 0);
    nat_offload_removed(gateway.nat, take(OFFLOAD_REMOVE).entry, &much, gateway.now);
    ck_assert_int_eq(session().state, STATE_RESET); /* nothing is known: it may be right */
    segment(true, TCP_ACK, 3000000000, 4000000000);
    ck_assert_int_eq(session().state, STATE_ESTABLISHED); /* and was not */
    segment(false, TCP_ACK, 4000000000, 3000000000);
    segment(true, TCP_RST, 77, 0);
    ck_assert_int_eq(session().state, STATE_ESTABLISHED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_session_that_ends_leaves_the_kernel_in_whatever_state_it_is)
{
    struct offload_order order;
    struct offload_traffic traffic = traffic_of(1, 1);

    start_offloaded_udp(lab_policy(FILTERING_ADDRESS_DEPENDENT)); /* live */
    gateway_kill(&gateway, 0);
    ck_assert(nat_offload_has_removals(gateway.nat));
    removed(1, 1);

    for (int i = 0; i < AFTER; i++) {
        snprintf(external, sizeof(external), "%s", udp_out(&gateway, INTERNAL, SERVER));
        ck_assert_int_eq(udp_in(&gateway, SERVER, external), DROP_NONE);
    }
    gateway_kill(&gateway, 0); /* wanted: nobody has heard of it */
    no_orders();
    ck_assert_uint_eq(gateway.nat->offload.used, 0);

    for (int i = 0; i < AFTER; i++) {
        snprintf(external, sizeof(external), "%s", udp_out(&gateway, INTERNAL, SERVER));
        ck_assert_int_eq(udp_in(&gateway, SERVER, external), DROP_NONE);
    }
    order = take(OFFLOAD_ADD); /* on its way */
    gateway_kill(&gateway, 0);
    no_orders();
    nat_offload_added(gateway.nat, order.entry, true);
    removed(0, 0);
    gateway_stop(&gateway);

    start_offloaded_udp(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    gateway_wait(&gateway, 300000);
    order = take(OFFLOAD_ASK); /* being asked about */
    gateway_kill(&gateway, 0);
    nat_offload_answered(gateway.nat, order.entry, &traffic, gateway.now);
    removed(1, 1);
    ck_assert_uint_eq(gateway.nat->offload.used, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_rule_that_is_withdrawn_takes_its_sessions_out_of_the_kernel)
{
    struct policy *nothing = policy_new();

    policy_limits(nothing)->sessions = 256;
    start_offloaded_udp(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    ck_assert_uint_eq(gateway_change_policy(&gateway, nothing), 1);
    removed(0, 0);
    no_orders();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_the_kernel_refuses_stays_in_the_queue)
{
    struct offload_order order;

    start(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    snprintf(external, sizeof(external), "%s", tcp_connect(&gateway, INTERNAL, SERVER));
    segment(false, TCP_ACK, 1001, 1001);
    order = take(OFFLOAD_ADD);
    nat_offload_added(gateway.nat, order.entry, false);
    ck_assert(!session().offloaded);
    ck_assert_uint_eq(gateway.nat->offload.counters.refused, 1);
    segment(true, TCP_ACK, 1001, 1001);
    no_orders();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_somebody_else_has_removed_comes_back_to_the_queue)
{
    start_offloaded_udp(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    gateway_wait(&gateway, 299000);
    ck_assert_ptr_nonnull(udp_out(&gateway, INTERNAL, SERVER));
    gateway_wait(&gateway, 300000);
    nat_offload_answered(gateway.nat, take(OFFLOAD_ASK).entry, NULL, gateway.now);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    nat_offload_removed(gateway.nat, take(OFFLOAD_REMOVE).entry, NULL, gateway.now);
    no_orders();
    gateway_stop(&gateway);
}
END_TEST

START_TEST(there_is_room_for_so_many_and_the_others_take_the_queue)
{
    start(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    for (int host = 1; host <= ENTRIES + 1; host++) {
        char from[32];

        snprintf(from, sizeof(from), "10.0.0.%d:4000", host);
        for (int i = 0; i < AFTER; i++) {
            snprintf(external, sizeof(external), "%s", udp_out(&gateway, from, SERVER));
            ck_assert_int_eq(udp_in(&gateway, SERVER, external), DROP_NONE);
        }
    }
    for (int i = 0; i < ENTRIES; i++)
        add();
    no_orders();
    ck_assert_uint_eq(gateway.nat->offload.counters.full, 1);
    ck_assert(!view_of("10.0.0.5:4000", SERVER).offloaded);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(maps_that_were_emptied_are_filled_again_by_who_earns_it)
{
    const struct offload_counters *counters;

    start_offloaded_tcp();
    nat_offload_forget(gateway.nat);
    ck_assert(!session().offloaded);
    counters = &gateway.nat->offload.counters;
    ck_assert_uint_eq(counters->added - counters->removed, 0); /* the kernel has none */
    no_orders();
    segment(true, TCP_ACK, 1001, 1001);
    add();
    ck_assert(session().offloaded);
    gateway_stop(&gateway);
}
END_TEST

/* The daemon dies, and an hour later the next one looks at what it left. */
static void crash_and_adopt(void)
{
    static struct {
        struct session session[256];
        struct lease lease[256];
    } memory;
    static const uint8_t secret[32] = "another run has another secret";
    const struct address address = address_of(EXTERNAL);
    uint32_t refused;

    memcpy(&memory, gateway.nat->table.session, sizeof(memory));
    nat_free(gateway.nat);
    gateway.now += 3600000;
    gateway.nat = nat_new(gateway.policy, secret, &memory, gateway.now);
    ck_assert_ptr_nonnull(gateway.nat);
    nat_set_external(gateway.nat, WAN, &address, 1);
    ck_assert_uint_eq(nat_adopt(gateway.nat, gateway.now, &refused), 1);
}

START_TEST(a_session_that_the_kernel_went_on_with_is_adopted)
{
    struct tuple answers;

    start_offloaded_udp(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    answers = (struct tuple){endpoint_of(SERVER), endpoint_of(external), PROTOCOL_UDP, 0};
    crash_and_adopt();
    nat_offload_recall(gateway.nat, &answers, gateway.now);
    gateway_wait(&gateway, 1000);
    ck_assert_uint_eq(session().idle_ms, 1000);
    ck_assert(!session().offloaded);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_session_that_the_kernel_heard_no_more_of_ends_after_a_crash)
{
    start_offloaded_udp(lab_policy(FILTERING_ADDRESS_DEPENDENT));
    crash_and_adopt();
    gateway_wait(&gateway, 1000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        an_established_connection_is_offloaded_after_some_packets,
        a_connection_that_is_not_established_stays_in_the_queue,
        udp_is_offloaded_once_it_is_answered,
        a_forward_is_offloaded_by_viewpoint_and_not_by_who_began,
        pings_and_hairpins_stay_in_the_queue,
        connections_of_the_gateway_itself_stay_in_the_queue,
        what_the_kernel_counts_is_the_sessions,
        a_timer_that_runs_out_asks_the_kernel_first,
        looks_keep_a_session_from_ending_late,
        without_inbound_refresh_the_outside_keeps_nothing_alive,
        a_fin_brings_the_session_back_to_the_queue,
        rfc7857_2_2_a_reset_is_judged_by_what_the_kernel_has_passed_on,
        rfc7857_2_2_a_forged_reset_leaves_an_idle_offloaded_session_alone,
        a_reset_that_waits_is_not_about_the_connection_after_it,
        sequence_numbers_are_learned_anew_after_gigabytes_unseen,
        a_session_that_ends_leaves_the_kernel_in_whatever_state_it_is,
        a_rule_that_is_withdrawn_takes_its_sessions_out_of_the_kernel,
        what_the_kernel_refuses_stays_in_the_queue,
        what_somebody_else_has_removed_comes_back_to_the_queue,
        there_is_room_for_so_many_and_the_others_take_the_queue,
        maps_that_were_emptied_are_filled_again_by_who_earns_it,
        a_session_that_the_kernel_went_on_with_is_adopted,
        a_session_that_the_kernel_heard_no_more_of_ends_after_a_crash,
    };

    return RUN_TESTS("offload", tests);
}
