/*
 * test_explain.c - what the translator says it would do is what it does, and saying it changes
 * nothing
 */
#include "support.h"

#include "portreeve/explain.h"

#include <stdio.h>
#include <string.h>

static struct gateway gateway;

static struct explanation explain(uint8_t protocol, const char *from, const char *to,
                                  bool from_outside)
{
    struct explain_question question = {.protocol = protocol,
                                        .from = endpoint_of(from),
                                        .to = endpoint_of(to),
                                        .from_outside = from_outside};
    struct explanation explanation;

    nat_explain(gateway.nat, &question, gateway.now, &explanation);
    return explanation;
}

static struct explanation from_outside(const char *from, const char *to)
{
    return explain(PROTOCOL_TCP, from, to, true);
}

static struct policy *policy_with_forwards(void)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "web", FORWARD_TCP, 80, 80, "10.0.0.80:8080", NULL);
    add_forward(policy, "guarded", FORWARD_TCP | FORWARD_UDP, 22, 22, "10.0.0.80:22",
                "198.51.100.0/24");
    return policy;
}

START_TEST(a_forward_says_where_it_leads)
{
    struct explanation explanation;

    gateway_start(&gateway, policy_with_forwards());
    explanation = from_outside(REMOTE ":1000", EXTERNAL ":80");
    ck_assert(explanation.is_ours);
    ck_assert_int_eq(explanation.reason, DROP_NONE);
    ck_assert_str_eq(endpoint_text(&explanation.internal), "10.0.0.80:8080");
    ck_assert_str_eq(policy_forward(gateway.policy, explanation.forward)->name, "web");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_port_of_nobody_is_the_gateways_own)
{
    gateway_start(&gateway, policy_with_forwards());
    ck_assert(!from_outside(REMOTE ":1000", EXTERNAL ":81").is_ours);
    ck_assert(!explain(PROTOCOL_UDP, REMOTE ":1000", EXTERNAL ":80", true).is_ours);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_limit_is_named_and_not_used_up)
{
    struct policy *policy = policy_with_forwards();

    policy_limits(policy)->sessions_per_remote = 1;
    policy_limits(policy)->new_sessions_per_remote = 1;
    gateway_start(&gateway, policy);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(from_outside(REMOTE ":1000", EXTERNAL ":80").reason, DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    ck_assert_int_eq(from_outside(REMOTE ":1001", EXTERNAL ":80").reason, DROP_REMOTE_LIMIT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_dry_pool_is_named)
{
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = 256;
    add_share(policy, "lab", "10.0.0.0/24", 50000, 50000, FILTERING_ADDRESS_DEPENDENT);
    gateway_start(&gateway, policy);
    ck_assert_int_eq(explain(PROTOCOL_UDP, "10.0.0.5:1", REMOTE ":53", false).reason, DROP_NONE);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    ck_assert_int_eq(explain(PROTOCOL_UDP, "10.0.0.5:1", REMOTE ":54", false).reason, DROP_NONE);
    ck_assert_int_eq(explain(PROTOCOL_UDP, "10.0.0.6:1", REMOTE ":53", false).reason,
                     DROP_POOL_DRY);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(hosts_of_no_share_are_not_ours)
{
    gateway_start(&gateway, policy_with_forwards());
    ck_assert(!explain(PROTOCOL_UDP, "10.9.0.5:1", REMOTE ":53", false).is_ours);
    ck_assert(explain(PROTOCOL_UDP, "10.0.0.5:1", REMOTE ":53", false).is_ours);
    gateway_stop(&gateway);
}
END_TEST

/* Addresses and ports from a few, so that sessions, mappings, forwards and limits meet. */
static const char *const remotes[] = {REMOTE, "198.51.100.9", "192.0.2.77"};
static const char *const ports[] = {"22", "80", "81", "50000", "50001", "50002"};

static void some_packet(struct chance *chance)
{
    char from[32], to[32];

    snprintf(from, sizeof(from), "10.0.0.%u:%u", 1 + chance_below(chance, 4),
             1000 + chance_below(chance, 3));
    snprintf(to, sizeof(to), "%s:%u", remotes[chance_below(chance, 3)],
             1000 + chance_below(chance, 3));
    if (chance_one_in(chance, 2))
        udp_out(&gateway, from, to);
    else
        tcp_out(&gateway, from, to, TCP_SYN);
}

/* A first packet from outside: what is said before it must be what becomes of it. */
static void compare_with_packet(struct chance *chance)
{
    uint8_t protocol = chance_one_in(chance, 2) ? PROTOCOL_TCP : PROTOCOL_UDP;
    char from[32], to[32];
    struct explanation said;
    struct sample sample;
    uint64_t opened = gateway.nat->counters.opened, next = nat_next_event(gateway.nat);
    enum drop_reason reason;

    snprintf(from, sizeof(from), "%s:%u", remotes[chance_below(chance, 3)],
             20000 + chance_below(chance, 40000));
    snprintf(to, sizeof(to), "%s:%s", EXTERNAL, ports[chance_below(chance, 6)]);
    said = explain(protocol, from, to, true);
    seeded(chance, gateway.nat->counters.opened == opened && nat_next_event(gateway.nat) == next);
    if (protocol == PROTOCOL_TCP)
        make_tcp(&sample, from, to, TCP_SYN);
    else
        make_udp(&sample, from, to, 20);
    reason = arrive(&gateway, &sample);
    seeded(chance, reason == said.reason);
    seeded(chance, (sample.packet.verdict == VERDICT_ACCEPT) == !said.is_ours);
    if (said.is_ours && reason == DROP_NONE)
        seeded(chance, strcmp(destination_of(&sample), endpoint_text(&said.internal)) == 0);
}

START_TEST(what_is_said_is_what_happens)
{
    struct chance chance = chance_new();

    for (int run = 0; run < 20; run++) {
        struct policy *policy = policy_new();

        ck_assert_ptr_nonnull(policy);
        policy_limits(policy)->sessions = 64;
        policy_limits(policy)->sessions_from_outside = 12;
        policy_limits(policy)->sessions_per_remote = 1 + chance_below(&chance, 8);
        policy_limits(policy)->new_sessions_per_remote = 1 + chance_below(&chance, 8);
        add_share(policy, "lab", "10.0.0.0/24", 50000, 50002,
                  chance_one_in(&chance, 2) ? FILTERING_ENDPOINT_INDEPENDENT
                                            : FILTERING_ADDRESS_DEPENDENT);
        add_forward(policy, "web", FORWARD_TCP, 80, 80, "10.0.0.80:8080", NULL);
        add_forward(policy, "guarded", FORWARD_TCP | FORWARD_UDP, 22, 22, "10.0.0.80:22",
                    "198.51.100.0/24");
        gateway_start(&gateway, policy);
        for (int i = 0; i < 300; i++) {
            if (chance_one_in(&chance, 3))
                some_packet(&chance);
            else
                compare_with_packet(&chance);
            if (chance_one_in(&chance, 20))
                gateway_wait(&gateway, chance_below(&chance, 3000));
        }
        gateway_stop(&gateway);
    }
}
END_TEST

START_TEST(what_became_of_the_last_connections_is_counted)
{
    struct explain_seen seen = {0};

    gateway_start(&gateway, policy_with_forwards());
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":1", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.80:8080", REMOTE ":1", TCP_RST | TCP_ACK));
    gateway.now += 2000;
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":2", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    gateway.now += 2000;
    nat_explain_seen(gateway.nat, PROTOCOL_TCP, 80, 0, UINT32_MAX, gateway.now, &seen);
    ck_assert_uint_eq(seen.tries, 2);
    ck_assert_uint_eq(seen.refused, 1);
    ck_assert_uint_eq(seen.unanswered, 1);
    ck_assert_uint_eq(seen.established, 0);
    ck_assert(!seen.last_is_refused && !seen.last_is_established);
    nat_explain_seen(gateway.nat, PROTOCOL_TCP, 22, 0, UINT32_MAX, gateway.now, &seen);
    ck_assert_uint_eq(seen.tries, 2);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_forward_says_where_it_leads,
        a_port_of_nobody_is_the_gateways_own,
        a_limit_is_named_and_not_used_up,
        a_dry_pool_is_named,
        hosts_of_no_share_are_not_ours,
        what_is_said_is_what_happens,
        what_became_of_the_last_connections_is_counted,
    };

    return RUN_TESTS("explain", tests);
}
