/*
 * support_run.h - how a test program runs its tests: all of them, or those that PORTREEVE_TEST
 * names
 *
 * PORTREEVE_TEST is the name of a test, or a part of names: `make unit TEST=tcp:wrap` sets it. What
 * names no test is an error that tells the names next to it.
 */
#ifndef PORTREEVE_TEST_SUPPORT_RUN_H
#define PORTREEVE_TEST_SUPPORT_RUN_H

#include <check.h>
#include <stddef.h>

/* For main() to return: runs the tests, each in a process of its own. */
int run_tests(const char *name, const TTest *const *tests, size_t count);
#define RUN_TESTS(name, tests) run_tests(name, tests, sizeof(tests) / sizeof((tests)[0]))

/* A test, and how often it runs: `_i` counts from 0. */
struct repeated_test {
    const TTest *test;
    size_t times;
};

/* The same with what goes before and after each test; either may be NULL. */
int run_repeated_tests(const char *name, SFun set_up, SFun tear_down,
                       const struct repeated_test *tests, size_t count);
#define RUN_REPEATED_TESTS(name, set_up, tear_down, tests)                                         \
    run_repeated_tests(name, set_up, tear_down, tests, sizeof(tests) / sizeof((tests)[0]))

/*
 * Check notes every assertion that holds in a file, to tell where a test was when it crashed. Tests
 * that assert a million times spent nearly all of their time on that. Here the place is only
 * remembered, and noted when a signal ends the test.
 */
struct place {
    const char *file;
    int line;
};

extern struct place last_held;

#define _mark_point(source, at) ((void)(last_held = (struct place){source, at}))

#endif
