/*
 * test_pulse.c - whether every thread goes on, and what the service manager is told
 */
#include "support_run.h"

#include "../../src/daemon/gateway/pulse.h"
#include "portreeve/watchdog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SECOND 1000

static struct pulses pulses;
static struct pulse *worker, *offload;
static uint64_t now;
static int manager = -1;

static void set_up(void)
{
    pulses = (struct pulses){0};
    worker = pulses_add(&pulses, "the worker");
    offload = pulses_add(&pulses, "the offload");
    now = UINT64_C(1000000000);
    pulses_look(&pulses, now);
}

/* Looks once per second, so many times; these threads make a round before each. */
static void seconds(int count, bool worker_goes_on, bool offload_goes_on)
{
    for (int i = 0; i < count; i++) {
        if (worker_goes_on)
            pulse_beat(worker);
        if (offload_goes_on)
            pulse_beat(offload);
        now += SECOND;
        pulses_look(&pulses, now);
    }
}

START_TEST(threads_that_make_rounds_go_on)
{
    seconds(1000, true, true);
    ck_assert_ptr_null(pulses_first_still(&pulses));
}
END_TEST

START_TEST(one_that_makes_no_round_for_ten_seconds_stands_still)
{
    seconds(9, true, false);
    ck_assert_ptr_null(pulses_first_still(&pulses));
    seconds(1, true, false);
    ck_assert_ptr_eq(pulses_first_still(&pulses), offload);
    ck_assert(!pulse_is_still(worker));
    ck_assert_str_eq(pulses_first_still(&pulses)->name, "the offload");
}
END_TEST

START_TEST(one_that_goes_on_again_is_well_again)
{
    seconds(30, false, true);
    ck_assert_ptr_eq(pulses_first_still(&pulses), worker);
    seconds(1, true, true);
    ck_assert_ptr_null(pulses_first_still(&pulses));
    seconds(9, false, true);
    ck_assert_ptr_null(pulses_first_still(&pulses));
}
END_TEST

START_TEST(one_that_has_never_begun_stands_still)
{
    pulses = (struct pulses){0};
    worker = pulses_add(&pulses, "the worker");
    seconds(11, false, false); /* the first look only begins to count */
    ck_assert_ptr_eq(pulses_first_still(&pulses), worker);
}
END_TEST

/* A suspended machine, SIGSTOP: the main thread stood still as long as the others. */
START_TEST(nobody_is_blamed_when_the_whole_process_stood_still)
{
    now += 3600 * SECOND;
    pulses_look(&pulses, now);
    ck_assert_ptr_null(pulses_first_still(&pulses));
    seconds(7, false, true);
    ck_assert_ptr_null(pulses_first_still(&pulses));
    seconds(1, false, true);
    ck_assert_ptr_eq(pulses_first_still(&pulses), worker);
}
END_TEST

START_TEST(a_clock_that_goes_back_blames_nobody)
{
    now -= 3600 * SECOND;
    pulses_look(&pulses, now);
    ck_assert_ptr_null(pulses_first_still(&pulses));
    seconds(9, false, false);
    ck_assert_ptr_null(pulses_first_still(&pulses));
}
END_TEST

START_TEST(a_counter_may_wrap_around)
{
    worker->beats = worker->seen = UINT32_MAX;
    seconds(1000, true, true);
    ck_assert_ptr_null(pulses_first_still(&pulses));
}
END_TEST

/* ---- the watchdog ---- */

/* Becomes a service manager that watches this process. */
static void watch(const char *usec, const char *pid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(address);
    char path[sizeof(address.sun_path) + 1];

    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    ck_assert_int_eq(getsockname(manager, (struct sockaddr *)&address, &length), 0);
    snprintf(path, sizeof(path), "@%s", address.sun_path + 1); /* the kernel chose the name */
    setenv("NOTIFY_SOCKET", path, 1);
    setenv("WATCHDOG_USEC", usec, 1);
    setenv("WATCHDOG_PID", pid, 1);
    watchdog_begin();
}

/* What the manager hears now; "" for nothing. */
static const char *heard(void)
{
    static char text[64];
    ssize_t length = recv(manager, text, sizeof(text) - 1, 0);

    text[length > 0 ? length : 0] = '\0';
    return text;
}

static const char *own_pid(void)
{
    static char text[16];

    snprintf(text, sizeof(text), "%d", (int)getpid());
    return text;
}

START_TEST(a_manager_that_watches_is_fed_and_can_be_asked_to_act)
{
    watch("30000000", own_pid());
    ck_assert_uint_eq(watchdog_period_ms(), 30000);
    ck_assert_str_eq(heard(), "WATCHDOG=1"); /* the start may have taken long */
    ck_assert_str_eq(heard(), "");
    watchdog_feed();
    ck_assert_str_eq(heard(), "WATCHDOG=1");
    watchdog_trigger();
    ck_assert_str_eq(heard(), "WATCHDOG=trigger");
}
END_TEST

static const struct {
    const char *usec, *pid;
} unwatched[] = {{"30000000", "1"}, {"0", ""}, {"soon", ""}, {"-1", ""}};

START_TEST(a_manager_that_does_not_watch_this_process_is_told_nothing)
{
    watch(unwatched[_i].usec, unwatched[_i].pid);
    ck_assert_uint_eq(watchdog_period_ms(), 0);
    watchdog_feed();
    watchdog_trigger();
    ck_assert_str_eq(heard(), "");
}
END_TEST

/* Its queue is full after some messages; the main thread must not wait for it. */
START_TEST(a_manager_that_does_not_read_stops_nobody)
{
    watch("30000000", own_pid());
    for (int i = 0; i < 10000; i++)
        watchdog_feed();
    ck_assert_str_eq(heard(), "WATCHDOG=1");
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {threads_that_make_rounds_go_on, 1},
        {one_that_makes_no_round_for_ten_seconds_stands_still, 1},
        {one_that_goes_on_again_is_well_again, 1},
        {one_that_has_never_begun_stands_still, 1},
        {nobody_is_blamed_when_the_whole_process_stood_still, 1},
        {a_clock_that_goes_back_blames_nobody, 1},
        {a_counter_may_wrap_around, 1},
        {a_manager_that_watches_is_fed_and_can_be_asked_to_act, 1},
        {a_manager_that_does_not_watch_this_process_is_told_nothing,
         sizeof(unwatched) / sizeof(unwatched[0])},
        {a_manager_that_does_not_read_stops_nobody, 1},
    };

    return RUN_REPEATED_TESTS("pulse", set_up, NULL, tests);
}
