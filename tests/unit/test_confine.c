/*
 * test_confine.c - what each thread may not: system calls, and files that it may not change
 *
 * Each test confines a child of its own, which makes the call and tells by its exit code.
 */
#include "support_run.h"

#include "../../src/daemon/confine_files.h"
#include "portreeve/confine.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum outcome {
    GOES_ON,
    REFUSED,      /* ENOSYS */
    FAILS,        /* another error: the call was made */
    KILLED = 100, /* SIGSYS */
};

typedef long call(void);

/* What happens to the call in a process that has this role. */
static enum outcome outcome_of(enum confine_role role, call *make)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        confine_thread(role);
        errno = 0;
        if (make() >= 0)
            _exit(GOES_ON);
        _exit(errno == ENOSYS ? REFUSED : FAILS);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        ck_assert_int_eq(WTERMSIG(status), SIGSYS);
        return KILLED;
    }
    return (enum outcome)WEXITSTATUS(status);
}

static long open_to_read(void)
{
    return open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

static long open_to_write(void)
{
    return open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static long create_file(void)
{
    return open("/tmp", O_TMPFILE | O_RDWR, 0600);
}

static long open_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long start_program(void)
{
    char *const words[] = {(char *)(uintptr_t) "/bin/true", NULL};

    return execv(words[0], words);
}

static long start_process(void)
{
    return syscall(SYS_fork);
}

static long look_into_a_process(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long leave_the_namespace(void)
{
    return syscall(SYS_unshare, 0);
}

static long load_a_program_into_the_kernel(void)
{
    return syscall(SYS_bpf, 0, NULL, 0);
}

static long become_another_user(void)
{
    return syscall(SYS_setresuid, -1, -1, -1);
}

static long map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? -1
               : 0;
}

static long map_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                   MAP_FAILED
               ? -1
               : 0;
}

static long wait_for_packets(void)
{
    return poll(NULL, 0, 0);
}

static long write_a_line(void)
{
    return write(STDERR_FILENO, "", 0);
}

static long end_another_process(void)
{
    return kill(getppid(), 0);
}

static const struct expectation {
    const char *name;
    call *make;
    enum outcome main, worker, offload, privileged;
} expectations[] = {
    {"wait for packets", wait_for_packets, GOES_ON, GOES_ON, GOES_ON, GOES_ON},
    {"write a line", write_a_line, GOES_ON, GOES_ON, GOES_ON, GOES_ON},
    {"map memory", map_memory, GOES_ON, GOES_ON, GOES_ON, GOES_ON},
    {"open a file to read", open_to_read, GOES_ON, REFUSED, GOES_ON, GOES_ON},
    {"open a file to write", open_to_write, GOES_ON, REFUSED, REFUSED, KILLED},
    {"create a file", create_file, GOES_ON, REFUSED, REFUSED, KILLED},
    {"open a socket", open_socket, GOES_ON, REFUSED, REFUSED, KILLED},
    {"signal a process", end_another_process, GOES_ON, REFUSED, REFUSED, KILLED},
    {"map code", map_code, GOES_ON, REFUSED, REFUSED, KILLED},
    {"start a program", start_program, GOES_ON, KILLED, KILLED, KILLED},
    {"start a process", start_process, GOES_ON, KILLED, KILLED, KILLED},
    {"look into a process", look_into_a_process, REFUSED, KILLED, KILLED, KILLED},
    {"leave the namespace", leave_the_namespace, REFUSED, KILLED, KILLED, KILLED},
    {"load a program into the kernel", load_a_program_into_the_kernel, REFUSED, KILLED, KILLED,
     KILLED},
    {"become another user", become_another_user, REFUSED, KILLED, KILLED, KILLED},
};

#define EXPECTATIONS (int)(sizeof(expectations) / sizeof(expectations[0]))

static void expect(int i, enum confine_role role, enum outcome expected)
{
    enum outcome outcome = outcome_of(role, expectations[i].make);

    ck_assert_msg(outcome == expected, "%s: outcome %d, expected %d", expectations[i].name,
                  (int)outcome, (int)expected);
}

START_TEST(the_main_thread_can_start_a_program_and_change_nothing_of_the_system)
{
    expect(_i, CONFINE_MAIN, expectations[_i].main);
}
END_TEST

START_TEST(a_worker_opens_nothing_and_starts_nothing)
{
    expect(_i, CONFINE_WORKER, expectations[_i].worker);
}
END_TEST

START_TEST(the_offload_thread_opens_files_to_read_only)
{
    expect(_i, CONFINE_OFFLOAD, expectations[_i].offload);
}
END_TEST

START_TEST(the_privileged_process_reads_and_ends_with_anything_else)
{
    expect(_i, CONFINE_PRIVILEGED, expectations[_i].privileged);
}
END_TEST

START_TEST(a_filter_that_the_process_has_already_is_not_added_again)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        for (int i = 0; i < 2000; i++) /* the kernel takes 32768 instructions (seccomp.c) */
            confine_thread(CONFINE_MAIN);
        confine_thread(CONFINE_WORKER);
        _exit(open_to_read() < 0 && errno == ENOSYS ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* Landlock */

static char root[] = "/tmp/portreeve-unit-XXXXXX";
static char inside[64], outside[64], removed[64];
static struct confine_paths paths;

static void make_file(char path[64], const char *name)
{
    int file;

    snprintf(path, 64, "%s/%s", root, name);
    file = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(file, 0);
    close(file);
}

static void make_directories(void)
{
    char directory[64];

    strcpy(root, "/tmp/portreeve-unit-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    snprintf(directory, sizeof(directory), "%s/state", root);
    ck_assert_int_eq(mkdir(directory, 0700), 0);
    make_file(inside, "state/inside");
    make_file(removed, "state/removed");
    make_file(outside, "outside");
    confine_paths_set(&paths, directory, directory, inside);
}

static void remove_directories(void)
{
    unlink(inside);
    unlink(removed);
    unlink(outside);
    rmdir(paths.state);
    rmdir(root);
}

static long write_outside(void)
{
    return open(outside, O_WRONLY);
}

static long read_outside(void)
{
    return open(outside, O_RDONLY);
}

static long create_outside(void)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/new", root);
    return open(path, O_CREAT | O_WRONLY, 0600);
}

static long remove_outside(void)
{
    return unlink(outside);
}

static long write_inside(void)
{
    return open(inside, O_WRONLY | O_TRUNC);
}

static long create_inside(void)
{
    return open(removed, O_CREAT | O_WRONLY, 0600);
}

static long remove_inside(void)
{
    return unlink(removed);
}

static long replace_inside(void)
{
    return rename(removed, inside);
}

static long read_a_program(void)
{
    return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static long write_reserved_ports(void)
{
    return open("/proc/sys/net/ipv4/ip_local_reserved_ports", O_WRONLY);
}

static const struct {
    const char *name;
    call *make;
    bool may;
} changes[] = {
    {"write outside", write_outside, false},   {"read outside", read_outside, true},
    {"create outside", create_outside, false}, {"remove outside", remove_outside, false},
    {"write inside", write_inside, true},      {"create inside", create_inside, true},
    {"remove inside", remove_inside, true},    {"replace inside", replace_inside, true},
};

#define CHANGES (int)(sizeof(changes) / sizeof(changes[0]))

static void limit_nothing(void)
{
}

static void limit_main(void)
{
    confine_files(&paths);
}

static void limit_worker(void)
{
    ck_assert_int_eq(confine_files_of_thread(CONFINE_WORKER), 0);
}

static void limit_offload(void)
{
    ck_assert_int_eq(confine_files_of_thread(CONFINE_OFFLOAD), 0);
}

static int error_of(call *make, void (*limit)(void))
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        limit();
        _exit(make() >= 0 ? 0 : errno);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool kernel_has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1;
}

START_TEST(files_are_changed_in_the_daemons_directories_only)
{
    bool may = changes[_i].may || !kernel_has_landlock();

    make_directories();
    ck_assert_msg(error_of(changes[_i].make, limit_main) == (may ? 0 : EACCES), "%s",
                  changes[_i].name);
    remove_directories();
}
END_TEST

START_TEST(a_worker_and_the_offload_thread_open_no_file_outside_of_proc)
{
    int refused = kernel_has_landlock() ? EACCES : 0;

    make_directories();
    ck_assert_int_eq(error_of(open_to_read, limit_worker), refused);
    ck_assert_int_eq(error_of(write_inside, limit_worker), refused);
    ck_assert_int_eq(error_of(open_to_read, limit_offload), 0);
    ck_assert_int_eq(error_of(read_outside, limit_offload), refused);
    ck_assert_int_eq(error_of(read_a_program, limit_offload), refused);
    ck_assert_int_eq(error_of(write_inside, limit_offload), refused);
    remove_directories();
}
END_TEST

/* Of the program that replaces this one. 0: the directories are those that it may change. */
static long directories_are_refused(void)
{
    errno = ENOTDIR;
    return confine_refused_directory(&paths) == NULL ? 0 : -1;
}

static void limit_and_move_the_state(void)
{
    limit_main();
    snprintf(paths.state, sizeof(paths.state), "%s", root);
}

static void limit_and_use_another_socket(void)
{
    limit_main();
    snprintf(paths.control, sizeof(paths.control), "%s", root);
}

START_TEST(a_program_that_replaces_this_one_must_have_the_same_directories)
{
    int refused = kernel_has_landlock() ? ENOTDIR : 0;

    make_directories();
    ck_assert_int_eq(error_of(directories_are_refused, limit_nothing), 0);
    ck_assert_int_eq(error_of(directories_are_refused, limit_main), 0);
    ck_assert_int_eq(error_of(directories_are_refused, limit_and_move_the_state), refused);
    ck_assert_int_eq(error_of(directories_are_refused, limit_and_use_another_socket), refused);
    remove_directories();
}
END_TEST

START_TEST(the_hosts_reserved_ports_stay_as_writable_as_they_were)
{
    make_directories();
    ck_assert_int_eq(error_of(write_reserved_ports, limit_main),
                     error_of(write_reserved_ports, limit_nothing));
    remove_directories();
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {the_main_thread_can_start_a_program_and_change_nothing_of_the_system, EXPECTATIONS},
        {a_worker_opens_nothing_and_starts_nothing, EXPECTATIONS},
        {the_offload_thread_opens_files_to_read_only, EXPECTATIONS},
        {the_privileged_process_reads_and_ends_with_anything_else, EXPECTATIONS},
        {a_filter_that_the_process_has_already_is_not_added_again, 1},
        {files_are_changed_in_the_daemons_directories_only, CHANGES},
        {a_worker_and_the_offload_thread_open_no_file_outside_of_proc, 1},
        {a_program_that_replaces_this_one_must_have_the_same_directories, 1},
        {the_hosts_reserved_ports_stay_as_writable_as_they_were, 1},
    };

    if (!confine_is_built_in()) {
        puts("confine: not in a build with a sanitizer, which makes system calls of its own");
        return EXIT_SUCCESS;
    }
    return RUN_REPEATED_TESTS("confine", NULL, NULL, tests);
}
