/*
 * support_run.c - which tests run, and what is told when one crashes
 */
#include "support_run.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NO_SUCH_TEST = 3, /* the exit status that run.sh knows */
    TIMEOUT = 300,    /* seconds; for slow machines and valgrind, not for the tests */
    NEAR_NAMES = 5,
};

struct place last_held;

/* The handler is gone by now: what raised the signal raises it again, and then it ends the test. */
static void tell_place(int signal)
{
    (void)signal;
    if (last_held.file != NULL)
        (_mark_point)(last_held.file, last_held.line);
}

static void watch_crashes(void)
{
    static const int crashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = tell_place, .sa_flags = (int)SA_RESETHAND};

    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
        struct sigaction before;

        /* A sanitizer's own handler tells more. */
        if (sigaction(crashes[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(crashes[i], &action, NULL);
    }
}

/* How long the longest text is that both contain. */
static size_t in_common(const char *one, const char *other)
{
    size_t longest = 0;

    for (; *one != '\0'; one++) {
        for (const char *at = other; *at != '\0'; at++) {
            size_t length = 0;

            while (one[length] != '\0' && one[length] == at[length])
                length++;
            longest = length > longest ? length : longest;
        }
    }
    return longest;
}

static void tell_near_names(const char *name, const char *wanted, const struct repeated_test *tests,
                            size_t count)
{
    fprintf(stderr, "%s: no test's name contains \"%s\". Near ones:\n", name, wanted);
    for (size_t told = 0, bound = SIZE_MAX; told < NEAR_NAMES && bound > 0;) {
        size_t nearest = 0;

        for (size_t i = 0; i < count; i++) {
            size_t common = in_common(tests[i].test->name, wanted);

            nearest = common < bound && common > nearest ? common : nearest;
        }
        for (size_t i = 0; i < count && told < NEAR_NAMES; i++) {
            if (in_common(tests[i].test->name, wanted) == nearest) {
                fprintf(stderr, "    %s\n", tests[i].test->name);
                told++;
            }
        }
        bound = nearest;
    }
}

static bool is_one_of(const char *wanted, const struct repeated_test *tests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(tests[i].test->name, wanted) == 0)
            return true;
    }
    return false;
}

/* Adds the tests that are wanted, by the whole name before a part of it; returns how many. */
static size_t add_wanted(TCase *tcase, const char *wanted, const struct repeated_test *tests,
                         size_t count)
{
    bool whole = wanted != NULL && is_one_of(wanted, tests, count);
    size_t added = 0;

    for (size_t i = 0; i < count; i++) {
        const char *name = tests[i].test->name;

        if (wanted != NULL && (whole ? strcmp(name, wanted) != 0 : strstr(name, wanted) == NULL))
            continue;
        tcase_add_loop_test(tcase, tests[i].test, 0, (int)tests[i].times);
        added++;
    }
    return added;
}

int run_repeated_tests(const char *name, SFun set_up, SFun tear_down,
                       const struct repeated_test *tests, size_t count)
{
    const char *wanted = getenv("PORTREEVE_TEST");
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner = srunner_create(suite);
    int status = NO_SUCH_TEST;

    if (wanted != NULL && *wanted == '\0')
        wanted = NULL;
    watch_crashes();
    tcase_set_timeout(tcase, TIMEOUT);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    suite_add_tcase(suite, tcase);
    if (add_wanted(tcase, wanted, tests, count) == 0) {
        tell_near_names(name, wanted, tests, count);
    } else {
        srunner_run_all(runner, CK_ENV);
        status = srunner_ntests_failed(runner) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    srunner_free(runner);
    return status;
}

int run_tests(const char *name, const TTest *const *tests, size_t count)
{
    struct repeated_test *once = calloc(count, sizeof(*once));
    int status;

    if (once == NULL)
        return EXIT_FAILURE;
    for (size_t i = 0; i < count; i++)
        once[i] = (struct repeated_test){tests[i], 1};
    status = run_repeated_tests(name, NULL, NULL, once, count);
    free(once);
    return status;
}
