/*
 * test_review.c - between an exchange of policy or addresses and the end of the review that follows
 * it
 *
 * What is no longer allowed passes no packet from the exchange on, however far the review has come;
 * what is allowed goes on; and what was ended says so by the rules that it lived under.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct gateway gateway;
static struct policy *before;
static char external[32];

static struct policy *policy_with(const char *source, uint16_t first, uint16_t last)
{
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = 256;
    add_share(policy, "lab", source, first, last, FILTERING_ADDRESS_DEPENDENT);
    return policy;
}

static struct policy *policy_with_forward(const char *to, const char *allow)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    if (to != NULL)
        add_forward(policy, "web", FORWARD_TCP, 80, 80, to, allow);
    return policy;
}

/* Exchanges the policy; the review has not begun. */
static void exchange(struct policy *policy)
{
    ck_assert(policy_seal(policy));
    before = gateway.policy;
    gateway.policy = policy;
    nat_set_policy(gateway.nat, policy);
    check_invariants(gateway.nat);
}

/* Step by step to the end; returns how many sessions the review has ended in all. */
static uint32_t review(void)
{
    uint32_t steps = 0, ended;

    while (nat_review(gateway.nat, gateway.now, 1, &ended)) {
        check_invariants(gateway.nat);
        ck_assert_uint_le(++steps, gateway.nat->table.capacity);
    }
    check_invariants(gateway.nat);
    policy_free(before);
    before = NULL;
    return ended;
}

static void start(void)
{
    gateway_start(&gateway, policy_with("10.0.0.0/24", 50000, 50999));
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
}

static void start_with_forward(void)
{
    gateway_start(&gateway, policy_with_forward("10.0.0.80:8080", NULL));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.1:1000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
}

START_TEST(a_withdrawn_shares_session_passes_nothing_while_the_review_is_still_to_come)
{
    start();
    exchange(policy_with("10.1.0.0/24", 50000, 50999));
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NO_SESSION);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    ck_assert_uint_eq(review(), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_withdrawn_shares_mapping_lets_no_other_remote_in)
{
    start();
    exchange(policy_with("10.1.0.0/24", 50000, 50999));
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":54", external), DROP_NO_SESSION);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    ck_assert_uint_eq(review(), 1);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_host_whose_port_has_left_the_pool_gets_another_one_at_once)
{
    char now[32];

    start();
    exchange(policy_with("10.0.0.0/24", 40000, 40999));
    snprintf(now, sizeof(now), "%s", udp_out(&gateway, "10.0.0.5:4000", REMOTE ":54"));
    ck_assert_uint_ge(port_of(now), 40000);
    ck_assert_uint_le(port_of(now), 40999);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), now);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":54", now), DROP_NONE);
    ck_assert_uint_eq(review(), 1);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":55"), now);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_is_allowed_goes_on_whether_a_packet_or_the_review_comes_first)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    struct session_view view;

    start_with_forward();
    add_forward(policy, "first", FORWARD_TCP, 25, 25, "10.0.0.25:25", NULL);
    add_forward(policy, "web2", FORWARD_TCP, 80, 80, "10.0.0.80:8080", NULL);
    exchange(policy);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_ACK), DROP_NONE);
    ck_assert(find_view(&gateway, "10.0.0.80:8080", REMOTE ":1000", &view));
    ck_assert_str_eq(view.forward, "web2");
    ck_assert(find_view(&gateway, "10.0.0.80:8080", "192.0.2.1:1000", &view));
    ck_assert_str_eq(view.forward,
                     "web"); /* not looked at yet: by the rules that it was opened under */
    ck_assert_uint_eq(review(), 0);
    ck_assert(find_view(&gateway, "10.0.0.80:8080", "192.0.2.1:1000", &view));
    ck_assert_str_eq(view.forward, "web2");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forward_that_leads_elsewhere_does_so_from_the_next_packet_on)
{
    struct session_view view;

    start_with_forward();
    exchange(policy_with_forward("10.0.0.81:8080", NULL));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_ACK), DROP_NOT_SYN);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    ck_assert(find_view(&gateway, "10.0.0.81:8080", REMOTE ":1000", &view));
    ck_assert_uint_eq(review(), 2);
    ck_assert(find_view(&gateway, "10.0.0.81:8080", REMOTE ":1000", &view));
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_allow_list_holds_from_the_next_packet_on)
{
    start_with_forward();
    exchange(policy_with_forward("10.0.0.80:8080", "198.51.100.0/24"));
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.1:1000", EXTERNAL ":80", TCP_ACK), DROP_NOT_SYN);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_ACK), DROP_NONE);
    ck_assert_uint_eq(review(), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_second_pass_of_a_hairpin_is_held_against_the_new_policy)
{
    struct sample sample;

    gateway_start(&gateway, policy_with_forward("10.9.0.9:443", NULL));
    make_tcp(&sample, "10.0.0.5:4000", EXTERNAL ":80", TCP_SYN);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NONE);
    exchange(policy_with_forward(NULL, NULL));
    ck_assert_int_eq(pass_again(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_ACCEPT);
    ck_assert_uint_eq(review(), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_error_about_a_session_that_is_no_longer_allowed_reaches_nobody)
{
    struct sample sent, error;

    start();
    make_udp(&sent, external, REMOTE ":53", 8);
    make_icmp_error(&error, "198.51.100.1", EXTERNAL, 3, 1, &sent, 8);
    exchange(policy_with("10.1.0.0/24", 50000, 50999));
    ck_assert_int_eq(arrive(&gateway, &error), DROP_ICMP_NO_SESSION);
    ck_assert_uint_eq(review(), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_session_of_the_new_policy_is_not_the_reviews_business)
{
    start();
    exchange(policy_with("10.0.0.0/16", 50000, 50999));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.7.7:4000", REMOTE ":53"));
    ck_assert_uint_eq(review(), 0);
    ck_assert_uint_eq(gateway.nat->table.live, 2);
    gateway_stop(&gateway);
}
END_TEST

static const char *forward_of_last_event(void)
{
    static struct event event[16];
    uint64_t from = 1, lost;
    bool behind;
    size_t count = nat_read_events(gateway.nat, &from, event, 16, &lost, &behind);

    ck_assert_uint_gt(count, 0);
    ck_assert_int_eq(event[count - 1].type, EVENT_CLOSED);
    return event[count - 1].session.forward;
}

START_TEST(whatever_ends_a_session_meanwhile_names_its_rule_as_it_was)
{
    struct policy *timeouts;

    start_with_forward(); /* by a packet, by the operator */
    exchange(policy_with_forward(NULL, NULL));
    tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80",
           TCP_ACK); /* now the gateway's own port, and its own packet */
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    ck_assert_str_eq(forward_of_last_event(), "web");
    for (uint32_t slot = 0; slot < gateway.nat->table.capacity; slot++) {
        if (gateway.nat->table.session[slot].live == SLOT_LIVE)
            gateway_kill(&gateway, slot);
    }
    ck_assert_str_eq(forward_of_last_event(), "web");
    ck_assert_uint_eq(review(), 1);
    gateway_stop(&gateway);

    start_with_forward(); /* by its timeout */
    timeouts = policy_with_forward(NULL, NULL);
    exchange(timeouts);
    gateway_wait(&gateway, 240000);
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_EXPIRED], 2);
    ck_assert_str_eq(forward_of_last_event(), "web");
    ck_assert_uint_eq(review(), 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_address_that_has_gone_passes_nothing_and_a_new_one_serves_at_once)
{
    struct address address = address_of("203.0.113.6");

    start();
    nat_set_external(gateway.nat, WAN, &address, 1);
    ck_assert(strncmp(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":54"), "203.0.113.6:", 12) == 0);
    ck_assert_int_ne(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_ADDRESS], 1);
    ck_assert_uint_eq(review(), 1);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_address_that_rests_keeps_its_sessions_and_no_new_mapping_gets_it)
{
    struct address addresses[] = {address_of("203.0.113.6"), address_of("203.0.113.5")};

    start();
    nat_set_external(gateway.nat, WAN, addresses + 1, 1);
    nat_rest_external(gateway.nat, addresses + 1, 1);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"));
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_NO_EXTERNAL_ADDRESS], 1);
    nat_set_external(gateway.nat, WAN, addresses, 2); /* another one serves instead */
    nat_rest_external(gateway.nat, addresses + 1, 1);
    for (unsigned i = 6; i < 16; i++) {
        char host[32];

        snprintf(host, sizeof(host), "10.0.0.%u:4000", i);
        ck_assert(strncmp(udp_out(&gateway, host, REMOTE ":53"), "203.0.113.6:", 12) == 0);
    }
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    nat_set_external(gateway.nat, WAN, addresses + 1, 1);
    nat_rest_external(gateway.nat, NULL, 0);
    ck_assert_uint_eq(review(), 10);
    ck_assert(strncmp(udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"), "203.0.113.5:", 12) == 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_a_review_has_ended_is_told_once)
{
    struct address addresses[] = {address_of("203.0.113.6"), address_of("203.0.113.7")};

    start();
    nat_set_external(gateway.nat, WAN, addresses, 1);
    ck_assert_uint_eq(review(), 1);
    nat_set_external(gateway.nat, WAN, addresses, 2); /* ends nothing, and begins no review */
    ck_assert_uint_eq(review(), 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_address_without_a_free_slot_gets_one_after_the_review)
{
    struct address addresses[EXTERNAL_ADDRESSES_MAX], others[EXTERNAL_ADDRESSES_MAX];

    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        addresses[i] = address_from_ipv4(0xcb007105 + (uint32_t)i);
        others[i] = address_from_ipv4(0xcb007185 + (uint32_t)i);
    }
    gateway_start(&gateway, policy_with("10.0.0.0/24", 50000, 50999));
    gateway_set_addresses(&gateway, addresses, EXTERNAL_ADDRESSES_MAX);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    nat_set_external(gateway.nat, WAN, others, EXTERNAL_ADDRESSES_MAX);
    ck_assert_uint_eq(gateway.nat->external_count, 0);
    ck_assert_uint_eq(review(), 1);
    nat_set_external(gateway.nat, WAN, others, EXTERNAL_ADDRESSES_MAX);
    ck_assert_uint_eq(gateway.nat->external_count, EXTERNAL_ADDRESSES_MAX);
    ck_assert_uint_eq(review(), 0);
    gateway_stop(&gateway);
}
END_TEST

/* Which policy allows what is a matter of the source alone here. */
START_TEST(packets_in_any_order_between_any_steps_find_what_the_policy_allows_and_nothing_else)
{
    struct chance chance = chance_new();
    char host[32], seen[64][32];
    uint32_t ended;

    gateway_start(&gateway, policy_with("10.0.0.0/16", 50000, 50999));
    for (unsigned i = 0; i < 64; i++) { /* every other one of a network that is to go */
        snprintf(host, sizeof(host), "10.0.%u.%u:4000", i % 2, i + 1);
        snprintf(seen[i], sizeof(seen[i]), "%s", udp_out(&gateway, host, REMOTE ":53"));
    }
    exchange(policy_with("10.0.0.0/24", 50000, 50999));
    do {
        unsigned i = chance_below(&chance, 64);
        enum drop_reason reason = udp_in(&gateway, REMOTE ":53", seen[i]);

        seeded(&chance, (reason == DROP_NONE) == (i % 2 == 0));
        check_invariants(gateway.nat);
    } while (nat_review(gateway.nat, gateway.now, chance_below(&chance, 3) + 1, &ended));
    ck_assert_uint_eq(ended, 32);
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_POLICY], 32);
    ck_assert_uint_eq(gateway.nat->table.live, 32);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_withdrawn_shares_session_passes_nothing_while_the_review_is_still_to_come,
        a_withdrawn_shares_mapping_lets_no_other_remote_in,
        a_host_whose_port_has_left_the_pool_gets_another_one_at_once,
        what_is_allowed_goes_on_whether_a_packet_or_the_review_comes_first,
        a_forward_that_leads_elsewhere_does_so_from_the_next_packet_on,
        an_allow_list_holds_from_the_next_packet_on,
        the_second_pass_of_a_hairpin_is_held_against_the_new_policy,
        an_error_about_a_session_that_is_no_longer_allowed_reaches_nobody,
        a_session_of_the_new_policy_is_not_the_reviews_business,
        whatever_ends_a_session_meanwhile_names_its_rule_as_it_was,
        an_address_that_has_gone_passes_nothing_and_a_new_one_serves_at_once,
        an_address_that_rests_keeps_its_sessions_and_no_new_mapping_gets_it,
        what_a_review_has_ended_is_told_once,
        an_address_without_a_free_slot_gets_one_after_the_review,
        packets_in_any_order_between_any_steps_find_what_the_policy_allows_and_nothing_else,
    };

    return RUN_TESTS("review", tests);
}
