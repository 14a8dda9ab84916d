/*
 * test_confine.c - which system calls fail, which end the process, and which go on, for each thread
 *
 * Each test confines a child of its own, which makes the call and tells by its exit code.
 */
#include "support_run.h"

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

int main(void)
{
    const struct repeated_test tests[] = {
        {the_main_thread_can_start_a_program_and_change_nothing_of_the_system, EXPECTATIONS},
        {a_worker_opens_nothing_and_starts_nothing, EXPECTATIONS},
        {the_offload_thread_opens_files_to_read_only, EXPECTATIONS},
        {the_privileged_process_reads_and_ends_with_anything_else, EXPECTATIONS},
        {a_filter_that_the_process_has_already_is_not_added_again, 1},
    };

    if (!confine_is_built_in()) {
        puts("confine: not in a build with a sanitizer, which makes system calls of its own");
        return EXIT_SUCCESS;
    }
    return RUN_REPEATED_TESTS("confine", NULL, NULL, tests);
}
