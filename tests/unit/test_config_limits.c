/*
 * test_config_limits.c - what the limits of a configuration are when it does not give them
 */
#include "support_config.h"

static void assert_limits_of_the_outside(const char *text, uint32_t all, uint32_t one,
                                         uint32_t rate)
{
    const struct limits *limits;

    config_must_load(text);
    limits = policy_limits_const(loaded.policy);
    ck_assert_uint_eq(limits->sessions_from_outside, all);
    ck_assert_uint_eq(limits->sessions_per_remote, one);
    ck_assert_uint_eq(limits->new_sessions_per_remote, rate);
    config_free(&loaded);
}

START_TEST(what_the_outside_may_have_follows_the_table)
{
    assert_limits_of_the_outside(MINIMAL, 196608, 32768, 4000);
    assert_limits_of_the_outside(MINIMAL "[limits]\nsessions = 16384\n", 12288, 4096, 4000);
    assert_limits_of_the_outside(MINIMAL "[limits]\nsessions = 1024\n", 768, 384, 4000);
    assert_limits_of_the_outside(MINIMAL "[limits]\nsessions-from-outside = auto\n"
                                         "sessions-per-remote = off\n"
                                         "new-sessions-per-remote = off\n",
                                 196608, 0, 0);
    assert_limits_of_the_outside(MINIMAL "[limits]\nsessions-from-outside = off\n"
                                         "sessions-per-remote = 7\nnew-sessions-per-remote = 9\n",
                                 0, 7, 9);
    assert_limits_of_the_outside(MINIMAL "[limits]\nnew-sessions-per-remote = auto\n", 196608,
                                 32768, 4000);
}
END_TEST

START_TEST(a_forward_may_have_a_limit)
{
    config_must_load(MINIMAL "[forward web]\nlisten = 80/tcp\nto = 10.0.0.2:80\nsessions = 12\n"
                             "new-sessions = 34\n");
    ck_assert_uint_eq(policy_find_forward(loaded.policy, "web")->sessions, 12);
    ck_assert_uint_eq(policy_find_forward(loaded.policy, "web")->new_sessions, 34);
    config_free(&loaded);
}
END_TEST

START_TEST(the_default_quota_follows_a_small_table)
{
    config_must_load(MINIMAL "[limits]\nsessions = 1024\n");
    ck_assert_uint_eq(policy_limits(loaded.policy)->sessions_per_host, 1024);
    config_free(&loaded);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {what_the_outside_may_have_follows_the_table, 1},
        {a_forward_may_have_a_limit, 1},
        {the_default_quota_follows_a_small_table, 1},
    };

    return RUN_REPEATED_TESTS("config limits", config_setup, config_teardown, tests);
}
