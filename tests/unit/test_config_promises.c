/*
 * test_config_promises.c - [never NAME] and [always NAME]: what they say, and what breaks them
 */
#include "support_config.h"

#include <stdio.h>

#define DATABASE "[forward db]\nlisten = 13306/tcp\nto = 10.0.0.5:3306\nallow = 192.0.2.0/24\n"
#define BASTION  "[forward ssh]\nlisten = 2222/tcp\nto = 10.0.0.22:22\nallow = 198.51.100.0/24\n"

START_TEST(a_promise_that_is_kept_is_no_news)
{
    const struct promise *promise;

    config_must_load(MINIMAL DATABASE BASTION
                     "[never admin]\nfrom = 203.0.113.0/24, !203.0.113.7\n"
                     "to = :22-23, 10.0.0.0/28, 10.0.0.5:3306\nprotocol = tcp\n"
                     "[always bastion]\nfrom = 198.51.100.0/25\nlisten = 2222/tcp\n"
                     "to = 10.0.0.22:22\n");
    ck_assert_uint_eq(config_warning_count, 0);
    ck_assert_uint_eq(policy_promise_count(loaded.policy), 2);
    promise = policy_promise(loaded.policy, 0);
    ck_assert_str_eq(promise->name, "admin");
    ck_assert(!promise->is_always);
    ck_assert_uint_eq(promise->protocols, FORWARD_TCP);
    ck_assert_uint_eq(promise->from_count, 1);
    ck_assert_uint_eq(promise->not_from_count, 1);
    ck_assert_uint_eq(promise->to_count, 3);
    ck_assert_uint_eq(promise->to[0].ports.last, 23);
    ck_assert_uint_eq(promise->to[0].address.length, 96);
    ck_assert_uint_eq(promise->to[1].ports.last, 65535);
    ck_assert_uint_eq(promise->line, 13);
    ck_assert(policy_promise(loaded.policy, 1)->is_always);
    config_free(&loaded);
}
END_TEST

static const struct {
    const char *text, *error;
} broken[] = {
    {MINIMAL DATABASE "[never databases]\nto = :3306\n",
     "9: [never databases] is broken by [forward db] at line 5: 192.0.2.7 may send to 13306/tcp, "
     "which leads to 10.0.0.5:3306"},
    {MINIMAL BASTION "[always bastion]\nlisten = 2222/tcp\nto = 10.0.0.22:22\n",
     "9: [always bastion] is broken by [forward ssh] at line 5: 192.0.2.7 may not send to "
     "2222/tcp"},
    {MINIMAL "[always bastion]\nlisten = 2222/tcp\nto = 10.0.0.22:22\n",
     "5: [always bastion] is broken: no forward listens on 2222/tcp"},
    {MINIMAL BASTION "expires = 2099-01-01T00:00:00Z\n[always bastion]\nfrom = 198.51.100.7\n"
                     "listen = 2222/tcp\nto = 10.0.0.22:22\n",
     "10: [always bastion] is broken by [forward ssh] at line 5: the forward of 2222/tcp expires"},
    {MINIMAL "filtering-udp = endpoint-independent\n[never hosts]\nto = :53\n",
     "6: [never hosts] is broken: filtering of share 'lab' is endpoint-independent: what "
     "10.0.0.0:53 (udp) sends opens it to everyone"},
};

START_TEST(a_broken_promise_names_both_lines_and_a_packet)
{
    config_must_fail(broken[_i].text, broken[_i].error, NULL);
}
END_TEST

START_TEST(a_forward_whose_time_is_over_breaks_nothing)
{
    config_must_load(MINIMAL DATABASE "expires = 2020-01-01T00:00:00Z\n"
                                      "[never databases]\nto = :3306\n");
    config_free(&loaded);
}
END_TEST

static const struct {
    const char *lines, *error;
} senseless[] = {
    {"[never]\nto = :1\n", "5: [never]: the name is missing; expected a name, as in [never lab]"},
    {"[never a]\nfrom = 192.0.2.0/24\n",
     "5: [never a] to: this key is missing; expected internal ports or addresses, as in :3306, "
     "10.0.0.0/24 or 10.0.0.5:22"},
    {"[never a]\nto = :70000\n", "6: [never a] to = :70000: expected ports from 1 to 65535"},
    {"[never a]\nto = :1\nprotocol = icmp\n",
     "7: [never a] protocol = icmp: expected tcp, udp or tcp+udp"},
    {"[never a]\nto = :1\nfrom = !\n",
     "7: [never a] from = !: expected IPv4 prefixes, as in 198.51.100.0/24, or all others, as in "
     "!192.0.2.0/24"},
    {"[always a]\nlisten = 22\nto = 10.0.0.2:22\n",
     "6: [always a] listen = 22: expected a port or a range, and the protocol, as in 2222/tcp"},
};

START_TEST(what_makes_no_sense_is_refused)
{
    char text[512];

    snprintf(text, sizeof(text), MINIMAL "%s", senseless[_i].lines);
    config_must_fail(text, senseless[_i].error, NULL);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {a_promise_that_is_kept_is_no_news, 1},
        {a_broken_promise_names_both_lines_and_a_packet, sizeof(broken) / sizeof(broken[0])},
        {a_forward_whose_time_is_over_breaks_nothing, 1},
        {what_makes_no_sense_is_refused, sizeof(senseless) / sizeof(senseless[0])},
    };

    return RUN_REPEATED_TESTS("config_promises", config_setup, config_teardown, tests);
}
