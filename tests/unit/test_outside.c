/*
 * test_outside.c - what remotes may have: one of them, all together, and by one forward
 */
#include "support.h"

#include <stdio.h>

#define ONE   "198.51.100.9"
#define OTHER "198.51.100.10"

static struct gateway gateway;

static void start_with_rate(const struct limits *limits, uint32_t of_forward, uint32_t rate)
{
    struct policy *policy = lab_policy(FILTERING_ENDPOINT_INDEPENDENT);
    struct limits *own = policy_limits(policy);
    struct forward web = {.name = "web",
                          .protocols = FORWARD_TCP | FORWARD_UDP,
                          .listen = {80, 80},
                          .target = {endpoint_of("10.0.0.80:80")},
                          .target_count = 1,
                          .sessions = of_forward,
                          .new_sessions = rate};

    own->sessions = limits->sessions > 0 ? limits->sessions : 256;
    own->sessions_per_remote = limits->sessions_per_remote;
    own->new_sessions_per_remote = limits->new_sessions_per_remote;
    own->sessions_from_outside = limits->sessions_from_outside;
    ck_assert(policy_add_forward(policy, &web));
    add_forward(policy, "mail", FORWARD_TCP, 25, 25, "10.0.0.25:25", NULL);
    gateway_start(&gateway, policy);
}

static void start_with(const struct limits *limits, uint32_t of_forward)
{
    start_with_rate(limits, of_forward, 0);
}

static const char *from(const char *remote, int port)
{
    static char text[2][40];
    static int next;

    next = !next;
    snprintf(text[next], sizeof(text[next]), "%s:%d", remote, port);
    return text[next];
}

static enum drop_reason call(const char *remote, int port)
{
    return tcp_in(&gateway, from(remote, port), EXTERNAL ":80", TCP_SYN);
}

/* A whole handshake. */
static void connect_from(const char *remote, int port)
{
    ck_assert_int_eq(call(remote, port), DROP_NONE);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.80:80", from(remote, port), TCP_SYN | TCP_ACK));
    ck_assert_int_eq(tcp_in(&gateway, from(remote, port), EXTERNAL ":80", TCP_ACK), DROP_NONE);
}

static uint64_t dropped(enum drop_reason reason)
{
    return gateway.nat->counters.dropped[reason];
}

START_TEST(one_remote_has_a_limit_and_the_others_do_not_notice)
{
    start_with(&(struct limits){.sessions_per_remote = 3}, 0);
    for (int i = 0; i < 3; i++)
        connect_from(ONE, 1000 + i);
    ck_assert_int_eq(call(ONE, 2000), DROP_REMOTE_LIMIT);
    connect_from(OTHER, 1000);
    ck_assert_uint_eq(dropped(DROP_REMOTE_LIMIT), 1);
    ck_assert_uint_eq(nat_busiest_remote(gateway.nat).count, 3);
    check_invariants(gateway.nat);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_limit_counts_all_forwards_and_mappings_that_a_remote_uses)
{
    char external[32];

    start_with(&(struct limits){.sessions_per_remote = 2}, 0);
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:4000", OTHER ":53"));
    connect_from(ONE, 1000);
    ck_assert_int_eq(udp_in(&gateway, ONE ":1000", external), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, ONE ":1001", EXTERNAL ":25", TCP_SYN), DROP_REMOTE_LIMIT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(closed_connections_do_not_count)
{
    start_with(&(struct limits){.sessions_per_remote = 2, .sessions_from_outside = 2}, 2);
    for (int i = 0; i < 50; i++) {
        connect_from(ONE, 1000 + i);
        ck_assert_ptr_nonnull(
            tcp_out(&gateway, "10.0.0.80:80", from(ONE, 1000 + i), TCP_FIN | TCP_ACK));
        ck_assert_int_eq(tcp_in(&gateway, from(ONE, 1000 + i), EXTERNAL ":80", TCP_FIN | TCP_ACK),
                         DROP_NONE);
    }
    ck_assert_uint_eq(gateway.nat->table.live, 50);
    ck_assert_uint_eq(gateway.nat->outside.sessions, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_connection_that_is_opened_anew_counts_again)
{
    start_with(&(struct limits){.sessions_per_remote = 1}, 0);
    connect_from(ONE, 1000);
    ck_assert_int_eq(tcp_in(&gateway, ONE ":1000", EXTERNAL ":80", TCP_RST), DROP_NONE);
    check_invariants(gateway.nat);
    connect_from(ONE, 1001);
    ck_assert_int_eq(call(ONE, 1000), DROP_REMOTE_LIMIT);
    gateway_wait(&gateway, 400000);
    check_invariants(gateway.nat);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_rate_of_one_remote_is_limited)
{
    start_with(&(struct limits){.new_sessions_per_remote = 5}, 0);
    gateway_wait(&gateway, 1000);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(call(ONE, 1000 + i), DROP_NONE);
    ck_assert_int_eq(call(ONE, 2000), DROP_REMOTE_RATE);
    ck_assert_int_eq(call(OTHER, 1000), DROP_NONE);
    gateway_wait(&gateway, 200);
    ck_assert_int_eq(call(ONE, 2001), DROP_NONE);
    ck_assert_int_eq(call(ONE, 2002), DROP_REMOTE_RATE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_rate_of_one_forward_is_limited)
{
    start_with_rate(&(struct limits){0}, 0, 5);
    gateway_wait(&gateway, 1000);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(call(i % 2 ? ONE : OTHER, 1000 + i), DROP_NONE);
    ck_assert_int_eq(call(ONE, 2000), DROP_FORWARD_RATE);
    ck_assert_int_eq(tcp_in(&gateway, ONE ":2000", EXTERNAL ":25", TCP_SYN), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, ONE ":1001", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    gateway_wait(&gateway, 200);
    ck_assert_int_eq(call(OTHER, 2001), DROP_NONE);
    ck_assert_int_eq(call(ONE, 2002), DROP_FORWARD_RATE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_one_limit_refuses_costs_nothing_of_another)
{
    start_with_rate(&(struct limits){.new_sessions_per_remote = 3}, 0, 4);
    gateway_wait(&gateway, 1000);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(call(ONE, 1000 + i), DROP_NONE);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(call(ONE, 2000 + i), DROP_REMOTE_RATE);
    ck_assert_int_eq(call(OTHER, 1000), DROP_NONE);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(call(OTHER, 2000 + i), DROP_FORWARD_RATE);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(tcp_in(&gateway, from(OTHER, 3000 + i), EXTERNAL ":25", TCP_SYN),
                         DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, OTHER ":3002", EXTERNAL ":25", TCP_SYN), DROP_REMOTE_RATE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forward_has_no_more_sessions_than_its_limit)
{
    start_with(&(struct limits){0}, 2);
    connect_from(ONE, 1000);
    connect_from(OTHER, 1000);
    ck_assert_int_eq(call("198.51.100.11", 1000), DROP_FORWARD_LIMIT);
    ck_assert_int_eq(tcp_in(&gateway, "198.51.100.11:1000", EXTERNAL ":25", TCP_SYN), DROP_NONE);
    ck_assert_uint_eq(nat_forward_use(gateway.nat, 0), 2);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forwards_sessions_count_after_a_change_of_the_policy_and_after_a_restart)
{
    const struct policy *policy;
    uint32_t ended;

    start_with(&(struct limits){0}, 2);
    connect_from(ONE, 1000);
    connect_from(ONE, 1001);
    policy = gateway.policy;
    nat_set_policy(gateway.nat, policy);
    ck_assert_uint_eq(nat_forward_use(gateway.nat, 0), 0);
    while (nat_review(gateway.nat, gateway.now, 16, &ended))
        check_invariants(gateway.nat);
    ck_assert_uint_eq(nat_forward_use(gateway.nat, 0), 2);
    ck_assert_int_eq(call(ONE, 1002), DROP_FORWARD_LIMIT);
    gateway_stop(&gateway);
}
END_TEST

/* The inside has its part of the table, whatever remotes do. */
START_TEST(the_outside_leaves_room_for_the_inside)
{
    start_with(&(struct limits){.sessions = 64, .sessions_from_outside = 48}, 0);
    for (int i = 0; i < 48; i++)
        connect_from(ONE, 1000 + i);
    ck_assert_int_eq(call(OTHER, 1000), DROP_OUTSIDE_LIMIT);
    for (int i = 0; i < 16; i++)
        ck_assert_ptr_nonnull(udp_out(&gateway, from("10.0.0.5", 4000 + i), "192.0.2.1:53"));
    ck_assert_uint_eq(gateway.nat->counters.closed[CLOSE_EVICTED], 0);
    check_invariants(gateway.nat);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_flood_of_syns_takes_the_place_of_its_own_and_not_of_the_inside)
{
    start_with(&(struct limits){.sessions = 64, .sessions_from_outside = 48}, 0);
    for (int i = 0; i < 10; i++)
        ck_assert_ptr_nonnull(udp_out(&gateway, from("10.0.0.5", 4000 + i), "192.0.2.1:53"));
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq(call(ONE, 1000 + i), DROP_NONE);
    connect_from(OTHER, 1000);
    ck_assert_uint_eq(gateway.nat->outside.sessions, 48);
    ck_assert_uint_eq(gateway.nat->table.live, 58);
    check_invariants(gateway.nat);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(hosts_of_a_share_are_not_remotes_when_they_use_a_forward)
{
    struct sample sample;

    start_with(&(struct limits){.sessions_per_remote = 1, .sessions_from_outside = 1}, 1);
    connect_from(ONE, 1000);
    for (int i = 0; i < 5; i++) {
        make_tcp(&sample, from("10.0.0.5", 1000 + i), EXTERNAL ":80", TCP_SYN);
        ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    }
    gateway_stop(&gateway);
}
END_TEST

/* What a naive count says to the same calls: it counts its whole list anew each time. */

#define NAIVE_MAX 500

static const char *const naive_remotes[] = {ONE, OTHER, "198.51.100.11", "192.0.2.77"};

struct naive {
    struct limits limits;
    uint32_t of_web, web_rate;
    struct {
        uint32_t remote;
        bool by_web, live;
    } call[NAIVE_MAX];
    uint32_t calls;
    uint64_t remote_tokens[4], web_tokens; /* thousandths */
    struct chance chance;
};

static uint32_t naive_count(const struct naive *naive, int remote, bool web)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < naive->calls; i++)
        count += naive->call[i].live && (remote < 0 || naive->call[i].remote == (uint32_t)remote) &&
                 (!web || naive->call[i].by_web);
    return count;
}

static enum drop_reason naive_says(struct naive *naive, uint32_t remote, bool by_web)
{
    if (naive_count(naive, (int)remote, false) >= naive->limits.sessions_per_remote)
        return DROP_REMOTE_LIMIT;
    if (by_web && naive_count(naive, -1, true) >= naive->of_web)
        return DROP_FORWARD_LIMIT;
    if (naive->remote_tokens[remote] < 1000)
        return DROP_REMOTE_RATE;
    if (by_web && naive->web_tokens < 1000)
        return DROP_FORWARD_RATE;
    naive->remote_tokens[remote] -= 1000;
    naive->web_tokens -= by_web ? 1000 : 0;
    return naive_count(naive, -1, false) >= naive->limits.sessions_from_outside ? DROP_OUTSIDE_LIMIT
                                                                                : DROP_NONE;
}

static void naive_wait(struct naive *naive, uint32_t milliseconds)
{
    const uint64_t full = naive->limits.new_sessions_per_remote * UINT64_C(1000);

    gateway_wait(&gateway, milliseconds);
    for (int i = 0; i < 4; i++) {
        naive->remote_tokens[i] += milliseconds * (uint64_t)naive->limits.new_sessions_per_remote;
        if (naive->remote_tokens[i] > full)
            naive->remote_tokens[i] = full;
    }
    naive->web_tokens += milliseconds * (uint64_t)naive->web_rate;
    if (naive->web_tokens > naive->web_rate * UINT64_C(1000))
        naive->web_tokens = naive->web_rate * UINT64_C(1000);
}

/* The ports of the call with this number. */
static const char *caller(const struct naive *naive, uint32_t number)
{
    return from(naive_remotes[naive->call[number].remote], 1024 + (int)number);
}

static enum drop_reason naive_call(struct naive *naive)
{
    const uint32_t number = naive->calls,
                   remote = chance_one_in(&naive->chance, 3) ? 0 : chance_below(&naive->chance, 4);
    const bool by_web = chance_one_in(&naive->chance, 2);
    const char *called = by_web ? EXTERNAL ":80" : EXTERNAL ":25";
    enum drop_reason expected = naive_says(naive, remote, by_web), real;

    naive->call[number].remote = remote;
    real = tcp_in(&gateway, caller(naive, number), called, TCP_SYN);
    seeded(&naive->chance, real == expected);
    if (real != DROP_NONE)
        return real;
    naive->call[number].by_web = by_web;
    naive->call[number].live = true;
    naive->calls++;
    ck_assert_ptr_nonnull(tcp_out(&gateway, by_web ? "10.0.0.80:80" : "10.0.0.25:25",
                                  caller(naive, number), TCP_SYN | TCP_ACK));
    ck_assert_int_eq(tcp_in(&gateway, caller(naive, number), called, TCP_ACK), DROP_NONE);
    return real;
}

static void naive_hang_up(struct naive *naive)
{
    uint32_t number = naive->calls, skip = chance_below(&naive->chance, 8);

    while (number > 0 && !(naive->call[number - 1].live && skip-- == 0))
        number--;
    if (number-- == 0)
        return;
    ck_assert_int_eq(tcp_in(&gateway, caller(naive, number),
                            naive->call[number].by_web ? EXTERNAL ":80" : EXTERNAL ":25", TCP_RST),
                     DROP_NONE);
    naive->call[number].live = false;
}

/* The same policy again: the sessions are counted anew. */
static void review(void)
{
    uint32_t ended;

    nat_set_policy(gateway.nat, gateway.policy);
    while (nat_review(gateway.nat, gateway.now, 64, &ended))
        continue;
}

/* One set of limits by chance. */
static void compare_with_naive(struct naive *naive, uint32_t *said)
{
    naive->limits = (struct limits){.sessions = 1024,
                                    .sessions_per_remote = 5 + chance_below(&naive->chance, 40),
                                    .new_sessions_per_remote = 5 + chance_below(&naive->chance, 40),
                                    .sessions_from_outside = 20 + chance_below(&naive->chance, 80)};
    naive->of_web = 5 + chance_below(&naive->chance, 50);
    naive->web_rate = 5 + chance_below(&naive->chance, 40);
    naive->calls = 0;
    start_with_rate(&naive->limits, naive->of_web, naive->web_rate);
    naive_wait(naive, 1000);
    for (int i = 0; i < NAIVE_MAX; i++) {
        said[naive_call(naive)]++;
        naive_wait(naive, chance_below(&naive->chance, i / 100 % 2 ? 20 : 200));
        if (!chance_one_in(&naive->chance, i / 100 % 3 ? 2 : 20))
            naive_hang_up(naive);
        if (chance_one_in(&naive->chance, 100))
            review();
        ck_assert_uint_eq(nat_forward_use(gateway.nat, 0), naive_count(naive, -1, true));
    }
    gateway_stop(&gateway);
}

START_TEST(a_naive_count_says_the_same)
{
    static const enum drop_reason expected[] = {DROP_NONE,          DROP_REMOTE_LIMIT,
                                                DROP_FORWARD_LIMIT, DROP_REMOTE_RATE,
                                                DROP_FORWARD_RATE,  DROP_OUTSIDE_LIMIT};
    static struct naive naive;
    uint32_t said[DROP_REASON_COUNT] = {0};

    naive.chance = chance_new();
    for (int i = 0; i < 12; i++)
        compare_with_naive(&naive, said);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        seeded(&naive.chance, said[expected[i]] > 10);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        one_remote_has_a_limit_and_the_others_do_not_notice,
        a_limit_counts_all_forwards_and_mappings_that_a_remote_uses,
        closed_connections_do_not_count,
        a_connection_that_is_opened_anew_counts_again,
        the_rate_of_one_remote_is_limited,
        the_rate_of_one_forward_is_limited,
        what_one_limit_refuses_costs_nothing_of_another,
        a_forward_has_no_more_sessions_than_its_limit,
        a_forwards_sessions_count_after_a_change_of_the_policy_and_after_a_restart,
        the_outside_leaves_room_for_the_inside,
        a_flood_of_syns_takes_the_place_of_its_own_and_not_of_the_inside,
        hosts_of_a_share_are_not_remotes_when_they_use_a_forward,
        a_naive_count_says_the_same,
    };

    return RUN_TESTS("outside", tests);
}
