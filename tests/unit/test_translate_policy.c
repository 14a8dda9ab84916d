/*
 * test_translate_policy.c - what a change of configuration and a change of address end, and what
 * they leave alone
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct gateway gateway;
static char external[32];

static struct policy *policy_with(const char *source, uint16_t first, uint16_t last,
                                  enum filtering filtering)
{
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = 256;
    add_share(policy, "lab", source, first, last, filtering);
    return policy;
}

static void start(void)
{
    gateway_start(&gateway, policy_with("10.0.0.0/24", 50000, 50999, FILTERING_ADDRESS_DEPENDENT));
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
}

static uint64_t ended(enum close_reason reason)
{
    return gateway.nat->counters.closed[reason];
}

START_TEST(an_equal_policy_ends_nothing)
{
    start();
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy_copy(gateway.policy)), 0);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":54"), external);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_share_that_is_withdrawn_ends_its_sessions)
{
    start();
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy_with("10.1.0.0/24", 50000, 50999,
                                                                  FILTERING_ADDRESS_DEPENDENT)),
                      1);
    ck_assert_uint_eq(ended(CLOSE_POLICY), 1);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NO_SESSION);
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_pool_that_loses_the_port_ends_the_session_and_one_that_keeps_it_does_not)
{
    uint16_t port;

    start();
    port = port_of(external);
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy_with("10.0.0.0/16", port, port,
                                                                  FILTERING_ADDRESS_DEPENDENT)),
                      0);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy_with("10.0.0.0/16", 1024, 1100,
                                                                  FILTERING_ADDRESS_DEPENDENT)),
                      1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_stricter_filtering_applies_at_once)
{
    start();
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":54", external), DROP_NONE);
    ck_assert_uint_eq(
        gateway_change_policy(&gateway, policy_with("10.0.0.0/24", 50000, 50999,
                                                    FILTERING_ADDRESS_AND_PORT_DEPENDENT)),
        0);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":55", external), DROP_FILTERED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_share_may_move_in_the_list)
{
    struct policy *policy = policy_new();
    struct session_view view;

    start();
    policy_limits(policy)->sessions = 256;
    add_share(policy, "guests", "10.7.0.0/24", 40000, 40999, FILTERING_ENDPOINT_INDEPENDENT);
    add_share(policy, "renamed", "10.0.0.0/24", 50000, 50999, FILTERING_ADDRESS_DEPENDENT);
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy), 0);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", REMOTE ":53", &view));
    ck_assert_str_eq(view.share, "renamed");
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:1", external), DROP_FILTERED);
    gateway_stop(&gateway);
}
END_TEST

static struct policy *policy_with_forward(const char *to, const char *allow)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    if (to != NULL)
        add_forward(policy, "web", FORWARD_TCP, 80, 80, to, allow);
    return policy;
}

static void start_with_forward(void)
{
    gateway_start(&gateway, policy_with_forward("10.0.0.80:8080", NULL));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, "192.0.2.1:1000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
}

START_TEST(a_forward_that_is_withdrawn_ends_its_sessions)
{
    start_with_forward();
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy_with_forward(NULL, NULL)), 2);
    ck_assert_uint_eq(ended(CLOSE_POLICY), 2);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forward_that_leads_elsewhere_ends_its_sessions)
{
    start_with_forward();
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy_with_forward("10.0.0.81:8080", NULL)),
                      2);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_allow_list_ends_the_sessions_it_does_not_name)
{
    struct session_view view;

    start_with_forward();
    ck_assert_uint_eq(
        gateway_change_policy(&gateway, policy_with_forward("10.0.0.80:8080", "198.51.100.0/24")),
        1);
    ck_assert(find_view(&gateway, "10.0.0.80:8080", REMOTE ":1000", &view));
    ck_assert(!find_view(&gateway, "10.0.0.80:8080", "192.0.2.1:1000", &view));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_allow_list_does_not_concern_what_the_target_opened)
{
    gateway_start(&gateway, policy_with_forward("10.0.0.80:8080", NULL));
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.80:8080", "192.0.2.1:25", TCP_SYN), EXTERNAL ":80");
    ck_assert_uint_eq(
        gateway_change_policy(&gateway, policy_with_forward("10.0.0.80:8080", "198.51.100.0/24")),
        0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forward_on_a_pool_port_ends_who_has_it)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    start();
    add_forward(policy, "taken", FORWARD_UDP, port_of(external), port_of(external), "10.0.0.53:53",
                NULL);
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(forwards_may_move_in_the_list)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    struct session_view view;

    start_with_forward();
    add_forward(policy, "first", FORWARD_TCP, 25, 25, "10.0.0.25:25", NULL);
    add_forward(policy, "web2", FORWARD_TCP, 80, 80, "10.0.0.80:8080", NULL);
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy), 0);
    ck_assert(find_view(&gateway, "10.0.0.80:8080", REMOTE ":1000", &view));
    ck_assert_str_eq(view.forward, "web2");
    gateway_stop(&gateway);
}
END_TEST

/* The event names the rule as it was when the session lived. */
START_TEST(the_event_of_a_withdrawn_rule_still_names_it)
{
    struct event event[8];
    uint64_t from = 1, lost;
    bool behind;
    size_t count;

    start_with_forward();
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy_with_forward(NULL, NULL)), 2);
    count = nat_read_events(gateway.nat, &from, event, 8, &lost, &behind);
    ck_assert_uint_eq(count, 4);
    ck_assert_int_eq(event[3].type, EVENT_CLOSED);
    ck_assert_int_eq(event[3].reason, CLOSE_POLICY);
    ck_assert_str_eq(event[3].session.forward, "web");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(shorter_timeouts_apply_to_sessions_that_live)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    start();
    gateway_wait(&gateway, 100000);
    policy_timeouts(policy)->udp = 120;
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy), 0);
    gateway_wait(&gateway, 19000);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_wait(&gateway, 1000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_hairpin_ends_with_either_of_its_sides)
{
    struct policy *without_share;
    struct sample sample;

    gateway_start(&gateway, policy_with_forward("10.9.0.9:443", NULL));
    make_tcp(&sample, "10.0.0.5:4000", EXTERNAL ":80", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(gateway_change_policy(&gateway, policy_with_forward(NULL, NULL)), 1);
    gateway_stop(&gateway);
    gateway_start(&gateway, policy_with_forward("10.9.0.9:443", NULL));
    make_tcp(&sample, "10.0.0.5:4000", EXTERNAL ":80", TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    without_share = policy_new();
    policy_limits(without_share)->sessions = 256;
    add_forward(without_share, "web", FORWARD_TCP, 80, 80, "10.9.0.9:443", NULL);
    ck_assert_uint_eq(gateway_change_policy(&gateway, without_share), 1);
    gateway_stop(&gateway);
}
END_TEST

/* Addresses. */

static uint32_t set_addresses(const char *one, const char *other)
{
    struct address addresses[2];
    size_t count = 0;

    if (one != NULL)
        addresses[count++] = address_of(one);
    if (other != NULL)
        addresses[count++] = address_of(other);
    return gateway_set_addresses(&gateway, addresses, count);
}

START_TEST(the_same_addresses_end_nothing)
{
    start();
    ck_assert_uint_eq(set_addresses(EXTERNAL, NULL), 0);
    ck_assert_uint_eq(set_addresses("203.0.113.6", EXTERNAL), 0);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_address_that_goes_takes_its_sessions_with_it)
{
    start();
    ck_assert_uint_eq(set_addresses("203.0.113.6", NULL), 1);
    check_invariants(gateway.nat);
    ck_assert_uint_eq(ended(CLOSE_ADDRESS), 1);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    ck_assert(strncmp(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), "203.0.113.6:", 12) == 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_new_address_has_all_its_ports)
{
    gateway_start(&gateway, policy_with("10.0.0.0/24", 50000, 50000, FILTERING_ADDRESS_DEPENDENT));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    ck_assert_uint_eq(set_addresses("203.0.113.6", NULL), 1);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"), "203.0.113.6:50000");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forwards_session_goes_with_its_address)
{
    start_with_forward();
    ck_assert_uint_eq(set_addresses(EXTERNAL, "203.0.113.6"), 0);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1001", "203.0.113.6:80", TCP_SYN), DROP_NONE);
    ck_assert_uint_eq(set_addresses("203.0.113.6", NULL), 2);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1001", "203.0.113.6:80", TCP_ACK), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_address_that_comes_back_begins_anew)
{
    start();
    ck_assert_uint_eq(set_addresses(NULL, NULL), 1);
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    ck_assert_uint_eq(set_addresses(EXTERNAL, NULL), 0);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        an_equal_policy_ends_nothing,
        a_share_that_is_withdrawn_ends_its_sessions,
        a_pool_that_loses_the_port_ends_the_session_and_one_that_keeps_it_does_not,
        a_stricter_filtering_applies_at_once,
        a_share_may_move_in_the_list,
        a_forward_that_is_withdrawn_ends_its_sessions,
        a_forward_that_leads_elsewhere_ends_its_sessions,
        an_allow_list_ends_the_sessions_it_does_not_name,
        an_allow_list_does_not_concern_what_the_target_opened,
        a_forward_on_a_pool_port_ends_who_has_it,
        forwards_may_move_in_the_list,
        the_event_of_a_withdrawn_rule_still_names_it,
        shorter_timeouts_apply_to_sessions_that_live,
        a_hairpin_ends_with_either_of_its_sides,
        the_same_addresses_end_nothing,
        an_address_that_goes_takes_its_sessions_with_it,
        a_new_address_has_all_its_ports,
        a_forwards_session_goes_with_its_address,
        an_address_that_comes_back_begins_anew,
    };

    return RUN_TESTS("translate policy", tests);
}
