/*
 * test_handover.c - descriptors from one run to the next, by way of a service manager's store
 *
 * Each test runs in a process of its own (Check's default), so numbers of descriptors and the
 * environment are its own, too.
 */
#include "support_run.h"

#include "portreeve/handover.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST 3

static int manager; /* the service manager's end of $NOTIFY_SOCKET */

static void setup(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    for (int i = FIRST; i < 64; i++)
        close(i);
    for (int i = FIRST; i < FIRST + 3; i++)
        ck_assert_int_eq(open("/dev/null", O_RDONLY), i);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "portreeve-test-%d", getpid());
    ck_assert_int_eq(bind(manager, (struct sockaddr *)&address,
                          (socklen_t)(sizeof(sa_family_t) + 1 + strlen(address.sun_path + 1))),
                     0);
    address.sun_path[0] = '@';
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("FDSTORE", "80", 1);
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_FDNAMES", "rules:queue-0:control", 1);
}

static void teardown(void)
{
    close(manager);
}

static void begin_as(int pid)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", pid);
    setenv("LISTEN_PID", text, 1);
    handover_begin();
}

static bool is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFD) >= 0;
}

/* What the manager is told next, and how many descriptors come with it. "" if nothing. */
static const char *told(int *descriptors)
{
    static char text[256];
    char control[256];
    struct iovec piece = {text, sizeof(text) - 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t length = recvmsg(manager, &message, 0);
    struct cmsghdr *header = length < 0 ? NULL : CMSG_FIRSTHDR(&message);

    *descriptors = header == NULL ? 0 : (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    text[length < 0 ? 0 : length] = '\0';
    return text;
}

static void assert_told(const char *expected, int with)
{
    int descriptors;

    ck_assert_str_eq(told(&descriptors), expected);
    ck_assert_int_eq(descriptors, with);
}

START_TEST(what_is_left_is_found_by_its_name)
{
    int taken;

    begin_as(getpid());
    ck_assert(handover_is_continuation());
    taken = handover_take("queue-0");
    ck_assert_int_ge(taken, 0);
    ck_assert_int_eq(fcntl(taken, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(handover_take("queue-1"), -1);
    ck_assert_ptr_null(getenv("LISTEN_FDS"));
    ck_assert_ptr_null(getenv("LISTEN_PID"));
    ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
}
END_TEST

START_TEST(what_was_left_to_another_process_is_not_ours)
{
    begin_as(getpid() + 1);
    ck_assert(!handover_is_continuation());
    ck_assert_int_eq(handover_take("rules"), -1);
    ck_assert(is_open(FIRST));
}
END_TEST

START_TEST(what_has_no_name_or_the_name_of_another_is_closed)
{
    setenv("LISTEN_FDNAMES", "rules:rules", 1);
    begin_as(getpid());
    ck_assert(is_open(FIRST));
    ck_assert(!is_open(FIRST + 1));
    ck_assert(!is_open(FIRST + 2));
    ck_assert_int_ge(handover_take("rules"), 0);
}
END_TEST

START_TEST(hostile_variables_are_survived)
{
    static const char *const numbers[] = {"-1", "1000000000", "many", ""};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        setenv("LISTEN_FDS", numbers[i], 1);
        setenv("LISTEN_FDNAMES", ":::a-name-that-is-much-longer-than-any-that-we-have-given:::", 1);
        begin_as(getpid());
    }
    ck_assert_int_eq(handover_take(""), -1);
}
END_TEST

START_TEST(what_was_left_stays_open_until_the_start_is_complete)
{
    int taken;

    begin_as(getpid());
    taken = handover_take("rules");
    close(taken);
    ck_assert(is_open(FIRST));
    ck_assert_int_ge(handover_take("rules"), 0);
    handover_keep("rules", FIRST);
    handover_settle();
    ck_assert(!is_open(FIRST) && !is_open(FIRST + 1) && !is_open(FIRST + 2));
    ck_assert_int_eq(handover_take("rules"), -1);
}
END_TEST

START_TEST(what_is_kept_goes_into_the_store)
{
    unsetenv("LISTEN_FDS");
    begin_as(getpid());
    ck_assert(handover_has_store());
    handover_keep("rules", FIRST);
    assert_told("FDSTORE=1\nFDNAME=rules\nFDPOLL=0", 1);
    handover_settle();
    assert_told("", 0);
}
END_TEST

START_TEST(what_the_store_has_already_is_not_sent_again)
{
    int taken;

    begin_as(getpid());
    taken = handover_take("rules");
    handover_keep("rules", taken);
    assert_told("", 0);
}
END_TEST

START_TEST(what_is_replaced_leaves_the_store_first)
{
    int other[2];

    begin_as(getpid());
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, other), 0);
    handover_keep("rules", other[0]);
    assert_told("FDSTOREREMOVE=1\nFDNAME=rules", 0);
    assert_told("FDSTORE=1\nFDNAME=rules\nFDPOLL=0", 1);
}
END_TEST

START_TEST(what_nobody_needs_any_more_leaves_the_store)
{
    int taken;

    begin_as(getpid());
    taken = handover_take("rules");
    handover_keep("rules", taken);
    handover_settle();
    assert_told("FDSTOREREMOVE=1\nFDNAME=queue-0", 0);
    assert_told("FDSTOREREMOVE=1\nFDNAME=control", 0);
    assert_told("", 0);
}
END_TEST

static pthread_t answering;

/* What the manager does: it removes what it is told to remove, then closes the barrier. */
static void *answer(void *context)
{
    struct pollfd ready = {.fd = manager, .events = POLLIN};
    char control[CMSG_SPACE(sizeof(int))], text[64];
    struct iovec piece = {text, sizeof(text)};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    int barrier;

    ck_assert_int_eq(poll(&ready, 1, 5000), 1);
    assert_told("FDSTOREREMOVE=1\nFDNAME=queue-1", 0);
    ck_assert_int_eq(poll(&ready, 1, 5000), 1);
    ck_assert_int_eq(recvmsg(manager, &message, 0), (int)strlen("BARRIER=1"));
    ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&message));
    memcpy(&barrier, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(barrier));
    close(barrier);
    return context;
}

static void start_answering(void)
{
    ck_assert_int_eq(pthread_create(&answering, NULL, answer, NULL), 0);
}

START_TEST(what_is_in_the_way_can_be_given_up_at_once)
{
    int taken;

    setenv("LISTEN_FDNAMES", "queue-0:queue-1:control", 1);
    begin_as(getpid());
    taken = handover_take("queue-0");
    handover_keep("queue-0", taken);
    start_answering();
    ck_assert(handover_forget("queue-"));
    pthread_join(answering, NULL);
    ck_assert(is_open(FIRST) && !is_open(FIRST + 1) && is_open(FIRST + 2));
    ck_assert(!handover_forget("queue-"));
    ck_assert_int_eq(handover_take("queue-1"), -1);
    ck_assert_int_ge(handover_take("control"), 0);
    assert_told("", 0);
}
END_TEST

START_TEST(without_a_store_nothing_is_sent)
{
    setenv("FDSTORE", "0", 1);
    begin_as(getpid());
    ck_assert(!handover_has_store());
    handover_keep("more", FIRST);
    handover_settle();
    assert_told("", 0);
    setenv("FDSTORE", "80", 1);
    unsetenv("NOTIFY_SOCKET");
    ck_assert(!handover_has_store());
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {what_is_left_is_found_by_its_name, 1},
        {what_was_left_to_another_process_is_not_ours, 1},
        {what_has_no_name_or_the_name_of_another_is_closed, 1},
        {hostile_variables_are_survived, 1},
        {what_was_left_stays_open_until_the_start_is_complete, 1},
        {what_is_kept_goes_into_the_store, 1},
        {what_the_store_has_already_is_not_sent_again, 1},
        {what_is_replaced_leaves_the_store_first, 1},
        {what_nobody_needs_any_more_leaves_the_store, 1},
        {what_is_in_the_way_can_be_given_up_at_once, 1},
        {without_a_store_nothing_is_sent, 1},
    };

    return RUN_REPEATED_TESTS("handover", setup, teardown, tests);
}
