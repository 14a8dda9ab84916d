/*
 * test_hosts.c - whose packets are translated: which hosts of shares are closed to the outside
 */
#include "support_run.h"

#include "../../src/daemon/gateway/hosts.h"
#include "portreeve/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct policy *policy;
static uint16_t next_port; /* each share has a pool of its own */

static void setup(void)
{
    policy = policy_new();
    next_port = 20000;
}

static void teardown(void)
{
    policy_free(policy);
}

/* `exempt`: NULL for none. */
static void add(const char *source, bool open, const char *exempt)
{
    struct port_range ports = {next_port, (uint16_t)(next_port + 9)};
    struct prefix sources, exempts;
    struct share share = {
        .source = &sources, .source_count = 1, .ports = &ports, .ports_count = 1, .open = open};

    next_port = (uint16_t)(next_port + 10);
    ck_assert(text_parse_prefix(source, &sources));
    if (exempt != NULL) {
        ck_assert(text_parse_prefix(exempt, &exempts));
        share.exempt = &exempts;
        share.exempt_count = 1;
    }
    snprintf(share.name, sizeof(share.name), "s%u", next_port);
    ck_assert(policy_add_share(policy, &share));
}

/* As "10.0.0.0-10.0.0.255 " for each range. */
static const char *closed_text(void)
{
    static char text[512];
    struct address_range *ranges;
    size_t count;

    ck_assert(policy_seal(policy));
    ranges = hosts_closed(policy, &count);
    ck_assert_ptr_nonnull(ranges);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        char first[ADDRESS_TEXT_MAX], last[ADDRESS_TEXT_MAX];
        size_t used = strlen(text);

        snprintf(text + used, sizeof(text) - used, "%s-%s ",
                 text_format_address(&ranges[i].first, first),
                 text_format_address(&ranges[i].last, last));
    }
    free(ranges);
    return text;
}

START_TEST(shares_are_closed)
{
    add("10.0.0.0/24", false, NULL);
    add("10.2.0.7", false, NULL);
    ck_assert_str_eq(closed_text(), "10.0.0.0-10.0.0.255 10.2.0.7-10.2.0.7 ");
}
END_TEST

START_TEST(no_share_has_no_closed_hosts)
{
    ck_assert_str_eq(closed_text(), "");
}
END_TEST

START_TEST(an_open_share_inside_a_closed_one_is_open)
{
    add("10.0.0.0/16", false, NULL);
    add("10.0.5.0/24", true, NULL);
    ck_assert_str_eq(closed_text(), "10.0.0.0-10.0.4.255 10.0.6.0-10.0.255.255 ");
}
END_TEST

START_TEST(an_open_share_at_the_edge_of_a_closed_one_is_open)
{
    add("10.0.0.0/24", false, NULL);
    add("10.0.0.0/25", true, NULL);
    add("10.0.1.0/24", false, NULL);
    add("10.0.1.255", true, NULL);
    ck_assert_str_eq(closed_text(), "10.0.0.128-10.0.0.255 10.0.1.0-10.0.1.254 ");
}
END_TEST

START_TEST(a_closed_share_inside_an_open_one_is_closed)
{
    add("10.0.0.0/8", true, NULL);
    add("10.0.0.0/16", false, NULL);
    add("10.0.5.0/24", true, NULL);
    add("10.0.5.9", false, NULL);
    ck_assert_str_eq(closed_text(), "10.0.0.0-10.0.4.255 10.0.5.9-10.0.5.9 10.0.6.0-10.0.255.255 ");
}
END_TEST

START_TEST(the_last_address_is_no_border_too_far)
{
    add("240.0.0.0/4", false, NULL);
    ck_assert_str_eq(closed_text(), "240.0.0.0-255.255.255.255 ");
}
END_TEST

START_TEST(what_open_shares_exempt_says_nothing_about_closed_ones)
{
    struct prefix *exempt;
    char text[PREFIX_TEXT_MAX];
    size_t count;

    add("10.0.0.0/24", false, "192.0.2.0/24");
    add("10.1.0.0/24", true, "198.51.100.0/24");
    exempt = hosts_exempt(policy, &count);
    ck_assert_ptr_nonnull(exempt);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(text_format_prefix(&exempt[0], text), "192.0.2.0/24");
    free(exempt);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {shares_are_closed, 1},
        {no_share_has_no_closed_hosts, 1},
        {an_open_share_inside_a_closed_one_is_open, 1},
        {an_open_share_at_the_edge_of_a_closed_one_is_open, 1},
        {a_closed_share_inside_an_open_one_is_closed, 1},
        {the_last_address_is_no_border_too_far, 1},
        {what_open_shares_exempt_says_nothing_about_closed_ones, 1},
    };

    return RUN_REPEATED_TESTS("hosts", setup, teardown, tests);
}
