/*
 * test_translate_direct.c - a client speaks directly to a forward's target, after it has used the
 * forward or not
 */
#include "support.h"

#define CLIENT "10.7.0.9"
#define TARGET "10.9.0.9"

static struct gateway gateway;

static void start(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "web", FORWARD_TCP | FORWARD_UDP, 80, 80, TARGET ":8080", NULL);
    gateway_start(&gateway, policy);
}

static enum drop_reason answers(struct sample *sample)
{
    sample->packet.hook = HOOK_OUTBOUND;
    sample->packet.in_interface = sample->packet.out_interface = LAN;
    return gateway_translate(&gateway, sample);
}

static void assert_unchanged(struct sample *sample, enum drop_reason reason)
{
    ck_assert_int_eq(reason, DROP_NONE);
    ck_assert_int_eq(sample->packet.verdict, VERDICT_ACCEPT);
    ck_assert(!sample->packet.transit);
}

START_TEST(a_packet_directly_to_a_target_is_not_translated)
{
    struct sample sample;

    start();
    make_udp(&sample, CLIENT ":4000", TARGET ":80", 20);
    assert_unchanged(&sample, turn_back(&gateway, &sample));
    make_tcp(&sample, CLIENT ":4000", TARGET ":8080", TCP_SYN);
    assert_unchanged(&sample, arrive(&gateway, &sample));
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_client_inside_is_answered_by_the_forward_and_then_directly)
{
    struct sample sample;

    start();
    make_udp(&sample, CLIENT ":4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NONE);
    ck_assert(sample.packet.transit); /* for its answers */
    make_udp(&sample, TARGET ":8080", CLIENT ":4000", 20);
    ck_assert_int_eq(answers(&sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), EXTERNAL ":80");
    make_udp(&sample, CLIENT ":4000", TARGET ":8080", 20);
    assert_unchanged(&sample, turn_back(&gateway, &sample));
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_REPLACED], 1);
    make_udp(&sample, TARGET ":8080", CLIENT ":4000", 20);
    assert_unchanged(&sample, answers(&sample));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_shared_host_takes_over_its_hairpin)
{
    struct sample sample;

    start();
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    make_udp(&sample, "10.0.0.5:4000", TARGET ":8080", 20);
    assert_unchanged(&sample, turn_back(&gateway, &sample));
    make_udp(&sample, "10.0.0.5:4000", TARGET ":8080", 20);
    assert_unchanged(&sample, pass_again(&gateway, &sample));
    gateway_stop(&gateway);
}
END_TEST

static void connect_by_the_forward(void)
{
    struct sample sample;

    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":4000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    make_tcp(&sample, TARGET ":8080", REMOTE ":4000", TCP_SYN | TCP_ACK);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":4000", EXTERNAL ":80", TCP_ACK), DROP_NONE);
}

START_TEST(a_direct_syn_does_not_end_a_connection_that_lives)
{
    struct sample sample;

    start();
    connect_by_the_forward();
    make_tcp(&sample, REMOTE ":4000", TARGET ":8080", TCP_SYN);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_AGAIN);
    ck_assert(sample.packet.transit);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_direct_syn_ends_what_is_left_of_a_closed_connection)
{
    struct sample sample;

    start();
    connect_by_the_forward();
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":4000", EXTERNAL ":80", TCP_FIN | TCP_ACK),
                     DROP_NONE);
    make_tcp(&sample, TARGET ":8080", REMOTE ":4000", TCP_FIN | TCP_ACK);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    make_tcp(&sample, REMOTE ":4000", TARGET ":8080", TCP_ACK);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    make_tcp(&sample, REMOTE ":4000", TARGET ":8080", TCP_SYN);
    assert_unchanged(&sample, arrive(&gateway, &sample));
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

/* Otherwise the kernel would give the next answer the forward's address. */
START_TEST(a_direct_packet_waits_until_the_kernel_has_let_go_of_the_session)
{
    struct offload_order order;
    struct sample sample;

    start();
    ck_assert(nat_offload_init(gateway.nat, 16, 1));
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":4000", EXTERNAL ":80"), DROP_NONE);
    make_udp(&sample, TARGET ":8080", REMOTE ":4000", 20);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    nat_offload_let_enter(gateway.nat, gateway.now, OFFLOAD_OVERFULL);
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    nat_offload_added(gateway.nat, order.entry, true);
    for (int i = 0; i < 3; i++) {
        make_udp(&sample, REMOTE ":4000", TARGET ":8080", 20);
        ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
        ck_assert_int_eq(sample.packet.verdict, VERDICT_AGAIN);
        ck_assert(!sample.packet.transit);
    }
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    ck_assert_int_eq(order.task, OFFLOAD_REMOVE);
    nat_offload_removed(gateway.nat, order.entry, NULL, gateway.now);
    make_udp(&sample, REMOTE ":4000", TARGET ":8080", 20);
    assert_unchanged(&sample, arrive(&gateway, &sample));
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_packet_directly_to_a_target_is_not_translated,
        a_client_inside_is_answered_by_the_forward_and_then_directly,
        a_shared_host_takes_over_its_hairpin,
        a_direct_syn_does_not_end_a_connection_that_lives,
        a_direct_syn_ends_what_is_left_of_a_closed_connection,
        a_direct_packet_waits_until_the_kernel_has_let_go_of_the_session,
    };

    return RUN_TESTS("translate direct", tests);
}
