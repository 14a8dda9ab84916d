/*
 * test_forward_use.c - how the open ports of forwards were used
 */
#include "support.h"

#include "offload_entries.h"
#include "portreeve/forward_use.h"
#include "portreeve/offload.h"

#define CLIENT REMOTE ":1000"
#define TARGET "10.0.0.80:8080"

enum { OPEN, GUARDED };

static struct gateway gateway;

static struct policy *forwards(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "open", FORWARD_TCP | FORWARD_UDP, 80, 80, TARGET, NULL);
    add_forward(policy, "guarded", FORWARD_TCP, 2222, 2222, "10.0.0.22:22", "192.0.2.0/24");
    return policy;
}

static struct forward_use use_of(size_t forward)
{
    return *policy_forward_use(gateway.policy, forward);
}

START_TEST(an_unused_forward_has_no_use)
{
    gateway_start(&gateway, forwards());
    ck_assert_uint_eq(use_of(OPEN).opened, 0);
    ck_assert_uint_eq(use_of(OPEN).first_used, 0);
    ck_assert_uint_eq(use_of(OPEN).last_used, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(bytes_are_those_of_its_sessions_and_times_those_of_their_packets)
{
    struct session_view view;
    uint64_t begun;

    gateway_start(&gateway, forwards());
    begun = gateway.now;
    ck_assert_int_eq(udp_in(&gateway, CLIENT, EXTERNAL ":80"), DROP_NONE);
    gateway_wait(&gateway, 2000);
    ck_assert_ptr_nonnull(udp_out(&gateway, TARGET, CLIENT));
    ck_assert(find_view(&gateway, TARGET, CLIENT, &view));
    ck_assert_uint_eq(use_of(OPEN).opened, 1);
    ck_assert_uint_gt(view.bytes_in, 0);
    ck_assert_uint_eq(use_of(OPEN).bytes_in, view.bytes_in);
    ck_assert_uint_eq(use_of(OPEN).bytes_out, view.bytes_out);
    ck_assert_uint_eq(use_of(OPEN).first_used, begun);
    ck_assert_uint_eq(use_of(OPEN).last_used, begun + 2000);
    ck_assert_uint_eq(use_of(GUARDED).opened, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_is_dropped_at_the_port_is_refused_with_its_reason)
{
    gateway_start(&gateway, forwards());
    ck_assert_int_eq(tcp_in(&gateway, CLIENT, EXTERNAL ":2222", TCP_SYN), DROP_NOT_ALLOWED);
    ck_assert_int_eq(tcp_in(&gateway, CLIENT, EXTERNAL ":2222", TCP_SYN), DROP_NOT_ALLOWED);
    ck_assert_int_eq(tcp_in(&gateway, CLIENT, EXTERNAL ":2222", TCP_ACK), DROP_NOT_SYN);
    ck_assert_uint_eq(use_of(GUARDED).refused[DROP_NOT_ALLOWED], 2);
    ck_assert_uint_eq(use_of(GUARDED).refused[DROP_NOT_SYN], 1);
    ck_assert_uint_eq(use_of(GUARDED).opened, 0);
    ck_assert_uint_eq(use_of(GUARDED).last_used, 0);
    ck_assert_uint_eq(use_of(OPEN).refused[DROP_NOT_ALLOWED], 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_the_target_opens_itself_is_no_use_of_the_port)
{
    gateway_start(&gateway, forwards());
    ck_assert_ptr_nonnull(udp_out(&gateway, TARGET, REMOTE ":53"));
    ck_assert_uint_eq(use_of(OPEN).opened, 0);
    ck_assert_uint_eq(use_of(OPEN).bytes_out, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_hairpin_is_a_use_and_counts_once)
{
    struct sample sample;

    gateway_start(&gateway, forwards());
    make_udp(&sample, "10.0.0.5:4000", EXTERNAL ":80", 20);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(use_of(OPEN).opened, 1);
    ck_assert_uint_eq(use_of(OPEN).bytes_in, 48);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_the_kernel_has_rewritten_counts_too)
{
    const struct tuple sent = {endpoint_of(CLIENT), endpoint_of(EXTERNAL ":80"), PROTOCOL_UDP, 0};
    struct offload_order order;
    uint64_t before;

    gateway_start(&gateway, forwards());
    ck_assert(nat_offload_init(gateway.nat, 4, 1));
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(udp_in(&gateway, CLIENT, EXTERNAL ":80"), DROP_NONE);
        ck_assert_ptr_nonnull(udp_out(&gateway, TARGET, CLIENT));
    }
    nat_offload_let_enter(gateway.nat, gateway.now, OFFLOAD_OVERFULL);
    ck_assert_uint_eq(nat_offload_take(gateway.nat, &order, 1), 1);
    ck_assert_int_eq(order.task, OFFLOAD_ADD);
    nat_offload_added(gateway.nat, order.entry, true);
    before = use_of(OPEN).bytes_in;
    gateway_wait(&gateway, 1000);
    nat_offload_fold(gateway.nat, HOOK_INBOUND, &sent, 3, 300, gateway.now);
    ck_assert_uint_eq(use_of(OPEN).bytes_in, before + 300);
    ck_assert_uint_eq(use_of(OPEN).last_used, gateway.now);
    nat_offload_fold(gateway.nat, HOOK_INBOUND, &sent, 3, 300, gateway.now);
    ck_assert_uint_eq(use_of(OPEN).bytes_in, before + 300);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        an_unused_forward_has_no_use,
        bytes_are_those_of_its_sessions_and_times_those_of_their_packets,
        what_is_dropped_at_the_port_is_refused_with_its_reason,
        what_the_target_opens_itself_is_no_use_of_the_port,
        a_hairpin_is_a_use_and_counts_once,
        what_the_kernel_has_rewritten_counts_too,
    };

    return RUN_TESTS("forward use", tests);
}
