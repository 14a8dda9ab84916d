/*
 * test_shortage.c - what is nearly used up: when a notice comes and goes, and whom it names
 */
#include "support_run.h"

#include "../../src/daemon/gateway/lock.h"
#include "portreeve/log.h"
#include "portreeve/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL 100
#define WAN  3

static struct gateway *gateway;
static uint64_t now;

static void add_share(struct policy *policy, const char *name, const char *source, uint16_t first)
{
    struct port_range ports = {first, (uint16_t)(first + POOL - 1)};
    struct prefix prefix;
    struct share share = {.source = &prefix, .source_count = 1, .ports = &ports, .ports_count = 1};

    ck_assert(text_parse_prefix(source, &prefix));
    strcpy(share.name, name);
    ck_assert(policy_add_share(policy, &share));
}

/* Shares "lab" and "guests" have one pool, "dmz" has its own. Nothing is logged. */
static void setup(void)
{
    static const uint8_t secret[32] = {1};
    struct policy *policy = policy_new();
    struct address external;

    log_open(&(struct log_options){LOG_LEVEL_ERROR, LOG_TARGET_STDERR});
    policy_limits(policy)->sessions = 1000;
    policy_limits(policy)->mappings_auto = false;
    add_share(policy, "lab", "10.0.0.0/24", 50000);
    add_share(policy, "guests", "10.1.0.0/24", 50000);
    add_share(policy, "dmz", "10.2.0.0/24", 51000);
    ck_assert(policy_seal(policy));
    gateway = calloc(1, sizeof(*gateway));
    gateway->active = policy;
    gateway->orders = -1;
    pthread_mutex_init(&gateway->lock, NULL);
    pthread_mutex_init(&gateway->turn, NULL);
    now = 1000000;
    gateway->nat = nat_new(policy, secret, NULL, now);
    ck_assert_ptr_nonnull(gateway->nat);
    ck_assert(text_parse_address("203.0.113.5", &external));
    nat_set_external(gateway->nat, WAN, &external, 1);
}

static void teardown(void)
{
    nat_free(gateway->nat);
    policy_free(gateway->active);
    free(gateway);
}

static struct endpoint endpoint_of(const char *host, uint32_t port)
{
    struct endpoint endpoint = {.port = (uint16_t)port};

    ck_assert(text_parse_address(host, &endpoint.address));
    return endpoint;
}

/* The host takes so many UDP ports, from its internal port `first` on. */
static void hold(const char *host, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct endpoint internal = endpoint_of(host, first + i), external;

        ck_assert_int_eq(
            nat_lease(gateway->nat, PROTOCOL_UDP, &internal, now + 86400000, now, &external),
            DROP_NONE);
    }
}

/* It gives them back; they rest. */
static void give_back(const char *host, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct endpoint internal = endpoint_of(host, first + i);

        ck_assert(nat_end_lease(gateway->nat, PROTOCOL_UDP, &internal, now));
    }
}

static void rest(void)
{
    now += 121000;
}

static void check(void)
{
    now += 1000;
    shortages_check(&gateway->shortages, gateway, &gateway->notices, now);
}

/* A second later; the text of the only notice, "" when there is none. */
static const char *look(void)
{
    check();
    ck_assert_uint_le(gateway->notices.count, 1);
    return gateway->notices.count == 0 ? "" : gateway->notices.list[0].text;
}

START_TEST(a_pool_that_is_used_to_four_fifths_is_a_notice)
{
    hold("10.0.0.5", 1000, 49);
    hold("10.1.0.6", 1000, 30);
    ck_assert_str_eq(look(), "");
    hold("10.0.0.5", 2000, 1);
    ck_assert_str_eq(look(), "[share lab]: 80 of the 100 udp ports of 203.0.113.5 are in use or "
                             "rest (80 %); 10.0.0.5 holds the most: 50");
    ck_assert_str_eq(gateway->notices.list[0].name, "pool-nearly-dry");
}
END_TEST

START_TEST(it_stays_as_it_was_said_until_the_use_is_below_seven_tenths)
{
    char first[256];

    hold("10.0.0.5", 1000, 85);
    snprintf(first, sizeof(first), "%s", look());
    hold("10.0.0.5", 2000, 10);
    ck_assert_str_eq(look(), first);
    give_back("10.0.0.5", 1000, 25);
    rest();
    ck_assert_str_eq(look(), first); /* 70 */
    give_back("10.0.0.5", 1025, 1);
    rest();
    ck_assert_str_eq(look(), "");
    hold("10.0.0.5", 1000, 10); /* 79 */
    ck_assert_str_eq(look(), "");
}
END_TEST

START_TEST(a_notice_stays_for_a_minute_however_short_the_shortage)
{
    policy_limits(gateway->active)->mappings_per_host = 10;
    hold("10.0.0.5", 1000, 8);
    ck_assert_str_ne(look(), "");
    give_back("10.0.0.5", 1000, 8);
    for (int second = 0; second < 59; second++)
        ck_assert_str_ne(look(), "");
    ck_assert_str_eq(look(), "");
}
END_TEST

START_TEST(ports_that_rest_are_not_free)
{
    hold("10.0.0.5", 1000, 80);
    give_back("10.0.0.5", 1000, 60);
    ck_assert_ptr_nonnull(strstr(look(), "10.0.0.5 holds the most: 20"));
    rest();
    ck_assert_str_eq(look(), "");
}
END_TEST

START_TEST(whoever_holds_most_later_is_named_after_a_minute)
{
    hold("10.0.0.5", 1000, 50);
    hold("10.0.0.6", 1000, 40);
    ck_assert_ptr_nonnull(strstr(look(), "10.0.0.5 holds the most: 50"));
    give_back("10.0.0.5", 1000, 20);
    ck_assert_ptr_nonnull(strstr(look(), "10.0.0.5 holds the most: 50"));
    now += 60000;
    ck_assert_ptr_nonnull(strstr(look(), "10.0.0.6 holds the most: 40"));
}
END_TEST

START_TEST(only_hosts_of_the_pool_are_named)
{
    hold("10.2.0.9", 1000, 79);
    hold("10.0.0.5", 1000, 45);
    hold("10.1.0.6", 1000, 46);
    ck_assert_ptr_nonnull(strstr(look(), "[share lab]"));
    ck_assert_ptr_nonnull(strstr(look(), "10.1.0.6 holds the most: 46"));
}
END_TEST

START_TEST(each_pool_has_its_notice)
{
    hold("10.2.0.9", 1000, 90);
    hold("10.0.0.5", 1000, 80);
    check();
    ck_assert_uint_eq(gateway->notices.count, 2);
    ck_assert_ptr_nonnull(strstr(gateway->notices.list[0].text, "[share lab]: 80 of the 100"));
    ck_assert_ptr_nonnull(strstr(gateway->notices.list[1].text, "[share dmz]: 90 of the 100"));
}
END_TEST

START_TEST(the_fullest_of_several_addresses_counts)
{
    struct address external[2];

    ck_assert(text_parse_address("203.0.113.5", &external[0]));
    ck_assert(text_parse_address("203.0.113.6", &external[1]));
    nat_set_external(gateway->nat, WAN, external, 2);
    while (nat_review(gateway->nat, now, 0, NULL))
        continue;
    hold("10.0.0.5", 1000, 85); /* paired: all of one address, 42 % of both */
    ck_assert_ptr_nonnull(strstr(look(), "85 of the 100 udp ports of 203.0.113."));
}
END_TEST

START_TEST(a_host_near_its_own_limit_is_a_notice)
{
    policy_limits(gateway->active)->mappings_per_host = 10;
    hold("10.0.0.5", 1000, 7);
    ck_assert_str_eq(look(), "");
    hold("10.0.0.5", 2000, 1);
    ck_assert_str_eq(look(), "10.0.0.5 has 8 of the 10 external ports that one host may have: "
                             "[limits] mappings-per-host");
    ck_assert_str_eq(gateway->notices.list[0].name, "host-near-limit");
    give_back("10.0.0.5", 1000, 2);
    rest();
    ck_assert_str_eq(look(), "");
}
END_TEST

/* The walk may be interrupted anywhere. */
START_TEST(hosts_are_found_in_steps_of_any_size)
{
    static const uint32_t budgets[] = {1, 2, 3, 512};
    struct endpoint expected = endpoint_of("10.0.0.6", 1);
    char host[32];

    for (int i = 1; i <= 9; i++) {
        snprintf(host, sizeof(host), "10.0.0.%d", i);
        hold(host, 1000, i == 6 ? 9 : (uint32_t)i % 4 + 1);
    }
    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        struct nat_survey survey = {.share = POLICY_NONE};

        while (nat_survey_hosts(gateway->nat, &survey, budgets[i]))
            continue;
        ck_assert_uint_eq(survey.mappings.count, 9);
        ck_assert(address_equal(&survey.mappings.host, &expected.address));
        ck_assert_uint_eq(survey.sessions.count, 0);
    }
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {a_pool_that_is_used_to_four_fifths_is_a_notice, 1},
        {it_stays_as_it_was_said_until_the_use_is_below_seven_tenths, 1},
        {a_notice_stays_for_a_minute_however_short_the_shortage, 1},
        {ports_that_rest_are_not_free, 1},
        {whoever_holds_most_later_is_named_after_a_minute, 1},
        {only_hosts_of_the_pool_are_named, 1},
        {each_pool_has_its_notice, 1},
        {the_fullest_of_several_addresses_counts, 1},
        {a_host_near_its_own_limit_is_a_notice, 1},
        {hosts_are_found_in_steps_of_any_size, 1},
    };

    return RUN_REPEATED_TESTS("shortage", setup, teardown, tests);
}
