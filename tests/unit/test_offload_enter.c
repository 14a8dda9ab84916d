/*
 * test_offload_enter.c - when sessions enter the kernel's maps: not in the middle of a burst, and
 * UDP without an answer, too
 */
#include "support.h"

#include <stdio.h>

#define SERVER  REMOTE ":514"
#define AFTER   4
#define ENTRIES 8
#define ONE_WAY 64 /* packets of UDP that nobody answers */

static struct gateway gateway;

/* A forward to a collector, beside the lab's share. */
static void start(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "syslog", FORWARD_UDP, 514, 514, "10.9.0.5:514", NULL);
    gateway_start(&gateway, policy);
    ck_assert(nat_offload_init(gateway.nat, ENTRIES, AFTER));
}

static uint32_t orders(enum offload_moment moment)
{
    struct offload_order order[ENTRIES];
    size_t count;

    nat_offload_let_enter(gateway.nat, gateway.now, moment);
    count = nat_offload_take(gateway.nat, order, ENTRIES);
    for (size_t i = 0; i < count; i++) {
        if (order[i].task == OFFLOAD_ADD)
            nat_offload_added(gateway.nat, order[i].entry, true);
        else
            nat_offload_removed(gateway.nat, order[i].entry, NULL, gateway.now);
    }
    return (uint32_t)count;
}

/* A conversation with enough packets for the maps. */
static void converse(const char *internal)
{
    for (int i = 0; i < AFTER; i++) {
        const char *external = udp_out(&gateway, internal, SERVER);

        ck_assert_int_eq(udp_in(&gateway, SERVER, external), DROP_NONE);
    }
}

static void send_out(const char *internal, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_ptr_nonnull(udp_out(&gateway, internal, SERVER));
}

static void send_in(int client, int count)
{
    char remote[32];

    snprintf(remote, sizeof(remote), "192.0.2.%d:514", client);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(udp_in(&gateway, remote, EXTERNAL ":514"), DROP_NONE);
}

START_TEST(a_session_enters_when_it_has_been_quiet_for_a_moment)
{
    start();
    converse("10.0.0.5:4000");
    ck_assert(nat_offload_is_waiting(gateway.nat));
    ck_assert_uint_eq(orders(OFFLOAD_CALM), 0);
    gateway.now += 1;
    ck_assert_uint_eq(orders(OFFLOAD_CALM), 0);
    gateway.now += 1;
    ck_assert_uint_eq(orders(OFFLOAD_BUSY), 0);
    ck_assert_uint_eq(orders(OFFLOAD_CALM), 1);
    ck_assert(!nat_offload_is_waiting(gateway.nat));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_packet_begins_the_quiet_moment_anew)
{
    start();
    converse("10.0.0.5:4000");
    for (int i = 0; i < 50; i++) {
        gateway.now += 1;
        send_out("10.0.0.5:4000", 1);
        ck_assert_uint_eq(orders(OFFLOAD_CALM), 0);
    }
    gateway.now += 2;
    ck_assert_uint_eq(orders(OFFLOAD_CALM), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(traffic_without_a_pause_enters_when_the_queues_are_empty_and_at_last_in_any_case)
{
    start();
    converse("10.0.0.5:4000");
    converse("10.0.0.5:4001");
    for (int i = 0; i < 99; i++) {
        gateway.now += 1;
        send_out("10.0.0.5:4000", 1);
        send_out("10.0.0.5:4001", 1);
        ck_assert_uint_eq(orders(OFFLOAD_CALM), 0);
    }
    gateway.now += 1;
    ck_assert_uint_eq(orders(OFFLOAD_BUSY), 0);
    ck_assert_uint_eq(orders(OFFLOAD_CALM), 2);
    converse("10.0.0.5:4002");
    gateway.now += 199;
    ck_assert_uint_eq(orders(OFFLOAD_BUSY), 0);
    gateway.now += 1;
    ck_assert_uint_eq(orders(OFFLOAD_BUSY), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_queue_that_will_lose_packets_is_left_at_once)
{
    start();
    converse("10.0.0.5:4000");
    ck_assert_uint_eq(orders(OFFLOAD_OVERFULL), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(who_waits_does_not_keep_others_from_entering)
{
    start();
    converse("10.0.0.5:4000");
    converse("10.0.0.5:4001");
    gateway.now += 2;
    send_out("10.0.0.5:4000", 1);
    ck_assert_uint_eq(orders(OFFLOAD_CALM), 1);
    ck_assert(nat_offload_is_waiting(gateway.nat));
    gateway.now += 2;
    ck_assert_uint_eq(orders(OFFLOAD_CALM), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_session_that_ends_while_it_waits_does_not_enter)
{
    start();
    converse("10.0.0.5:4000");
    gateway_kill(&gateway, 0);
    ck_assert(!nat_offload_is_waiting(gateway.nat));
    ck_assert_uint_eq(gateway.nat->offload.used, 0);
    gateway_stop(&gateway);
}
END_TEST

/* Syslog, NetFlow, RTP. */
START_TEST(udp_without_an_answer_enters_after_more_packets)
{
    start();
    send_out("10.0.0.5:4000", ONE_WAY - 1);
    ck_assert(!nat_offload_is_waiting(gateway.nat));
    send_out("10.0.0.5:4000", 1);
    ck_assert_uint_eq(orders(OFFLOAD_OVERFULL), 1);
    send_in(1, ONE_WAY);
    ck_assert_uint_eq(orders(OFFLOAD_OVERFULL), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_answer_that_the_kernel_passes_on_is_an_answer)
{
    struct session_view view;
    const char *external;
    struct tuple answer;

    start();
    send_out("10.0.0.5:4000", ONE_WAY - 1);
    external = udp_out(&gateway, "10.0.0.5:4000", SERVER);
    answer = (struct tuple){endpoint_of(SERVER), endpoint_of(external), PROTOCOL_UDP, 0};
    ck_assert_uint_eq(orders(OFFLOAD_OVERFULL), 1);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", SERVER, &view));
    ck_assert_int_eq(view.state, STATE_UNANSWERED);
    nat_offload_fold(gateway.nat, HOOK_INBOUND, &answer, 1, 100, gateway.now);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", SERVER, &view));
    ck_assert_int_eq(view.state, STATE_ANSWERED);
    ck_assert(view.offloaded);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_forged_senders_open_leaves_room_in_the_maps)
{
    start();
    for (int client = 1; client <= ENTRIES; client++)
        send_in(client, ONE_WAY);
    ck_assert_uint_eq(orders(OFFLOAD_OVERFULL), ENTRIES / 4);
    ck_assert_uint_eq(gateway.nat->offload.counters.full, ENTRIES - ENTRIES / 4);
    for (int i = 0; i < ENTRIES - ENTRIES / 4; i++) {
        char internal[32];

        snprintf(internal, sizeof(internal), "10.0.0.5:%d", 4000 + i);
        converse(internal);
    }
    ck_assert_uint_eq(orders(OFFLOAD_OVERFULL), ENTRIES - ENTRIES / 4);
    gateway_stop(&gateway);
}
END_TEST

/* Then it is a conversation like any other, and its place is free for the next. */
START_TEST(a_forwards_session_that_is_answered_counts_no_longer)
{
    struct sample sample;

    start();
    send_in(1, ONE_WAY);
    send_in(2, ONE_WAY);
    ck_assert_uint_eq(orders(OFFLOAD_OVERFULL), 2);
    ck_assert_uint_eq(gateway.nat->offload.unanswered, 2);
    make_udp(&sample, "10.9.0.5:514", "192.0.2.1:514", 20);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(gateway.nat->offload.unanswered, 1);
    send_in(3, ONE_WAY);
    ck_assert_uint_eq(orders(OFFLOAD_OVERFULL), 1);
    gateway_wait(&gateway, 301000); /* the kernel is asked, and has counted nothing */
    for (uint32_t slot = 0; slot < gateway.nat->table.capacity; slot++) {
        if (gateway.nat->table.session[slot].live == SLOT_LIVE)
            gateway_kill(&gateway, slot);
    }
    orders(OFFLOAD_CALM);
    ck_assert_uint_eq(gateway.nat->offload.unanswered, 0);
    ck_assert_uint_eq(gateway.nat->offload.used, 0);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_session_enters_when_it_has_been_quiet_for_a_moment,
        a_packet_begins_the_quiet_moment_anew,
        traffic_without_a_pause_enters_when_the_queues_are_empty_and_at_last_in_any_case,
        a_queue_that_will_lose_packets_is_left_at_once,
        who_waits_does_not_keep_others_from_entering,
        a_session_that_ends_while_it_waits_does_not_enter,
        udp_without_an_answer_enters_after_more_packets,
        an_answer_that_the_kernel_passes_on_is_an_answer,
        what_forged_senders_open_leaves_room_in_the_maps,
        a_forwards_session_that_is_answered_counts_no_longer,
    };

    return RUN_TESTS("offload enter", tests);
}
