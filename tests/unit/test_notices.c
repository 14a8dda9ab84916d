/*
 * test_notices.c - what is wrong around the gateway now, for the log and for status
 */
#include "support_run.h"

#include "../../src/daemon/gateway/notices.h"
#include "portreeve/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct notices notices;
static int real_stderr, capture;

static void setup(void)
{
    char name[] = "/tmp/portreeve-test-XXXXXX";

    notices = (struct notices){0};
    capture = mkstemp(name);
    ck_assert_int_ge(capture, 0);
    unlink(name);
    real_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(capture, STDERR_FILENO), 0);
    log_open(&(struct log_options){LOG_LEVEL_INFO, LOG_TARGET_STDERR});
}

static void teardown(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(capture);
}

static const char *logged(void)
{
    static char text[1 << 16];
    ssize_t length = pread(capture, text, sizeof(text) - 1, 0);

    ck_assert_int_ge(length, 0);
    text[length] = '\0';
    return text;
}

static void find_flowtables(const char *first, const char *second)
{
    notices_begin(&notices, "flowtable");
    if (first != NULL)
        notices_add(&notices, "flowtable", "flowtable %s", first);
    if (second != NULL)
        notices_add(&notices, "flowtable", "flowtable %s", second);
    notices_end(&notices, "flowtable");
}

START_TEST(a_notice_is_logged_when_it_appears_and_when_it_is_gone)
{
    notices_set(&notices, "interface", "there is no interface %s", "wan0");
    ck_assert_uint_eq(notices.count, 1);
    ck_assert_str_eq(notices.list[0].name, "interface");
    ck_assert_str_eq(notices.list[0].text, "there is no interface wan0");
    ck_assert_int_gt(notices.list[0].since, 0);
    notices_clear(&notices, "interface");
    ck_assert_uint_eq(notices.count, 0);
    ck_assert_str_eq(logged(), "portreeved: warning: there is no interface wan0\n"
                               "portreeved: notice: no longer: there is no interface wan0\n");
}
END_TEST

START_TEST(a_notice_that_stays_is_logged_once_and_keeps_its_time)
{
    notices_set(&notices, "interface", "there is no interface wan0");
    notices.list[0].since = 1;
    for (int i = 0; i < 100; i++)
        notices_set(&notices, "interface", "there is no interface wan0");
    ck_assert_int_eq(notices.list[0].since, 1);
    ck_assert_str_eq(logged(), "portreeved: warning: there is no interface wan0\n");
}
END_TEST

START_TEST(another_text_replaces_the_notice)
{
    notices_set(&notices, "interface", "one");
    notices_set(&notices, "interface", "other");
    ck_assert_uint_eq(notices.count, 1);
    ck_assert_str_eq(notices.list[0].text, "other");
}
END_TEST

START_TEST(of_several_with_one_name_only_what_was_not_found_again_goes)
{
    notices_set(&notices, "interface", "there is no interface wan0");
    find_flowtables("a", "b");
    find_flowtables("c", "b");
    ck_assert_uint_eq(notices.count, 3);
    ck_assert_str_eq(notices.list[0].name, "interface");
    ck_assert_str_eq(notices.list[1].text, "flowtable b");
    ck_assert_str_eq(notices.list[2].text, "flowtable c");
    find_flowtables(NULL, NULL);
    ck_assert_uint_eq(notices.count, 1);
    ck_assert_str_eq(notices.list[0].name, "interface");
}
END_TEST

START_TEST(more_notices_than_fit_are_said_once)
{
    for (int round = 0; round < 2; round++) {
        notices_begin(&notices, "flowtable");
        for (int i = 0; i < NOTICES_MAX + 5; i++)
            notices_add(&notices, "flowtable", "flowtable %d", i);
        notices_end(&notices, "flowtable");
    }
    ck_assert_uint_eq(notices.count, NOTICES_MAX);
    ck_assert_ptr_nonnull(strstr(logged(), "there are more than 32 notices"));
    ck_assert_ptr_null(strstr(strstr(logged(), "there are more than 32 notices") + 1,
                              "there are more than 32 notices"));
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {a_notice_is_logged_when_it_appears_and_when_it_is_gone, 1},
        {a_notice_that_stays_is_logged_once_and_keeps_its_time, 1},
        {another_text_replaces_the_notice, 1},
        {of_several_with_one_name_only_what_was_not_found_again_goes, 1},
        {more_notices_than_fit_are_said_once, 1},
    };

    return RUN_REPEATED_TESTS("notices", setup, teardown, tests);
}
