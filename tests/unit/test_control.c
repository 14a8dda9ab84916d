/*
 * test_control.c - the control socket's life: who owns the path, what is replaced, what is left
 * behind
 *
 * What is said over it is tested from outside, in tests/control.
 */
#include "support_run.h"

#include "portreeve/control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char directory[64], path[80], lock_path[96];
static struct error error;

static void set_up(void)
{
    strcpy(directory, "/tmp/portreeve-test-control-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/control", directory);
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    error = (struct error){0};
}

static void tear_down(void)
{
    unlink(path);
    unlink(lock_path);
    ck_assert_int_eq(rmdir(directory), 0);
}

static mode_t mode_of(const char *file)
{
    struct stat status;

    ck_assert_int_eq(lstat(file, &status), 0);
    return status.st_mode;
}

static bool exists(const char *file)
{
    struct stat status;

    return lstat(file, &status) == 0;
}

static size_t open_descriptors(void)
{
    DIR *descriptors = opendir("/proc/self/fd");
    size_t count = 0;

    ck_assert_ptr_nonnull(descriptors);
    while (readdir(descriptors) != NULL)
        count++;
    closedir(descriptors);
    return count;
}

static struct control *opened(const char *group)
{
    struct control *control;

    ck_assert_msg(control_open(&control, path, group, &error) == 0, "%s", error.text);
    return control;
}

static void assert_refused(const char *where, const char *group, int code, const char *says)
{
    struct control *control = (struct control *)1;
    size_t before = open_descriptors();

    ck_assert_int_eq(control_open(&control, where, group, &error), code);
    ck_assert_ptr_null(control);
    ck_assert_msg(strstr(error.text, says) != NULL, "%s", error.text);
    ck_assert_uint_eq(open_descriptors(), before);
}

/* A socket bound to `path`, as some program would; listening or not. */
static int foreign_socket(bool listens)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    ck_assert_int_eq(bind(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
    if (listens)
        ck_assert_int_eq(listen(descriptor, 1), 0);
    return descriptor;
}

static int connected(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    ck_assert_int_eq(connect(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
    return descriptor;
}

START_TEST(without_a_group_the_socket_is_roots_alone)
{
    size_t before = open_descriptors();
    struct control *control = opened("");

    ck_assert_uint_eq(mode_of(path), S_IFSOCK | 0600);
    ck_assert_int_ge(control_descriptor(control), 0);
    ck_assert(!control_has_subscribers(control));
    control_close(control);
    ck_assert(!exists(path));
    ck_assert(!exists(lock_path));
    ck_assert_uint_eq(open_descriptors(), before);
    control_close(NULL);
}
END_TEST

START_TEST(a_group_may_connect)
{
    const struct group *group = getgrgid(getgid());
    struct stat status;
    struct control *control;

    ck_assert_ptr_nonnull(group);
    control = opened(group->gr_name);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode, S_IFSOCK | 0660);
    ck_assert_uint_eq(status.st_gid, getgid());
    control_close(control);
}
END_TEST

START_TEST(the_umask_does_not_matter)
{
    mode_t before = umask(0777);
    struct control *control = opened("");

    umask(before);
    ck_assert_uint_eq(mode_of(path), S_IFSOCK | 0600);
    control_close(control);
}
END_TEST

START_TEST(a_group_that_does_not_exist_is_said)
{
    assert_refused(path, "no-such-group", -ENOENT, "group 'no-such-group' does not exist");
    ck_assert(!exists(path));
}
END_TEST

START_TEST(a_path_that_no_socket_can_have_is_said)
{
    char longer[200];

    memset(longer, 'x', sizeof(longer));
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    assert_refused(longer, "", -ENAMETOOLONG, "expected 1 to 107 bytes");
    assert_refused("", "", -ENAMETOOLONG, "expected 1 to 107 bytes");
}
END_TEST

START_TEST(missing_directories_are_made)
{
    char deep[100];
    struct control *control;

    snprintf(deep, sizeof(deep), "%s/one/two/control", directory);
    ck_assert_msg(control_open(&control, deep, "", &error) == 0, "%s", error.text);
    ck_assert_uint_eq(mode_of(deep), S_IFSOCK | 0600);
    control_close(control);
    *strrchr(deep, '/') = '\0';
    ck_assert_int_eq(rmdir(deep), 0);
    *strrchr(deep, '/') = '\0';
    ck_assert_int_eq(rmdir(deep), 0);
}
END_TEST

START_TEST(a_second_daemon_is_told_of_the_first)
{
    struct control *first = opened("");
    char says[64];

    snprintf(says, sizeof(says), "another portreeved (process %d) already uses", (int)getpid());
    assert_refused(path, "", -EADDRINUSE, says);
    ck_assert(exists(path));
    close(connected()); /* the first is not disturbed */
    control_close(first);
    control_close(opened(""));
}
END_TEST

START_TEST(what_a_killed_daemon_left_is_replaced)
{
    int lock = open(lock_path, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_eq(write(lock, "1234567\n", 8), 8);
    close(lock);
    close(foreign_socket(true));
    ck_assert(exists(path));
    control_close(opened(""));
}
END_TEST

START_TEST(another_programs_socket_is_left_alone)
{
    int foreign = foreign_socket(true);

    assert_refused(path, "", -EADDRINUSE, "another program already uses");
    ck_assert(exists(path));
    close(foreign);
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
    int file = open(path, O_WRONLY | O_CREAT, 0600);

    close(file);
    assert_refused(path, "", -EEXIST, "not a socket");
    ck_assert(exists(path));
}
END_TEST

/* No method is reached, so there is no need of a gateway. */
static void serve(struct control *control)
{
    for (int i = 0; i < 10; i++)
        control_serve(control, NULL);
}

/* What the daemon has answered by then; "" when nothing. */
static const char *ask(struct control *control, int client, const char *line)
{
    static char answer[4096];
    ssize_t length;

    ck_assert_int_eq(send(client, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
    serve(control);
    length = recv(client, answer, sizeof(answer) - 1, MSG_DONTWAIT);
    answer[length > 0 ? length : 0] = '\0';
    return answer;
}

START_TEST(a_request_is_answered)
{
    struct control *control = opened("");
    int client = connected();

    ck_assert_str_eq(ask(control, client, "{\"jsonrpc\":\"2.0\",\"id\":7,"), "");
    ck_assert_ptr_nonnull(strstr(ask(control, client, "\"method\":\"nope\"}\n"),
                                 "\"id\":7,\"error\":{\"code\":-32601"));
    close(client);
    serve(control);
    control_close(control);
}
END_TEST

START_TEST(clients_are_bounded)
{
    size_t before = open_descriptors();
    struct control *control = opened("");
    int clients[40];
    char answer[512] = "";

    if (getuid() != 0) { /* the last places are root's */
        control_close(control);
        return;
    }
    for (size_t i = 0; i < 40; i++) {
        clients[i] = connected();
        serve(control);
    }
    ck_assert_int_eq(recv(clients[31], answer, sizeof(answer) - 1, MSG_DONTWAIT), -1);
    ck_assert_int_gt(recv(clients[32], answer, sizeof(answer) - 1, MSG_DONTWAIT), 0);
    ck_assert_ptr_nonnull(strstr(answer, "\"code\":-32003"));
    ck_assert_int_eq(recv(clients[32], answer, sizeof(answer) - 1, MSG_DONTWAIT), 0);
    close(clients[5]);
    serve(control);
    clients[5] = connected();
    serve(control);
    ck_assert_ptr_nonnull(strstr(ask(control, clients[5], "[]\n"), "\"code\":-32600"));
    for (size_t i = 0; i < 40; i++)
        close(clients[i]);
    control_close(control);
    ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {without_a_group_the_socket_is_roots_alone, 1},
        {a_group_may_connect, 1},
        {the_umask_does_not_matter, 1},
        {a_group_that_does_not_exist_is_said, 1},
        {a_path_that_no_socket_can_have_is_said, 1},
        {missing_directories_are_made, 1},
        {a_second_daemon_is_told_of_the_first, 1},
        {what_a_killed_daemon_left_is_replaced, 1},
        {another_programs_socket_is_left_alone, 1},
        {what_is_no_socket_is_left_alone, 1},
        {a_request_is_answered, 1},
        {clients_are_bounded, 1},
    };

    return RUN_REPEATED_TESTS("control", set_up, tear_down, tests);
}
