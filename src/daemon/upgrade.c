/*
 * upgrade.c - replacing the running program by the one that is installed now
 */
#include "portreeve/upgrade.h"

#include "portreeve/handover.h"
#include "portreeve/log.h"
#include "portreeve/privileged.h"
#include "portreeve/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From a new program to the former one: why it could not start. */
#define PROBLEM_VARIABLE "PORTREEVE_UPGRADE_PROBLEM"

#define SELF          "/proc/self/exe"
#define DELETED       " (deleted)" /* d_path: the file was replaced */
#define CHECK_SECONDS 10

static char *const *arguments; /* of the process; NULL: upgrade_begin was not called */
static const char *config_path;
static char program_path[PATH_MAX];
static int program = -1; /* its file, also when another one is installed */
static int former = -1;  /* the file of the program that has called exec */
static char problem[256];
static bool is_due;

static void find_program(void)
{
    ssize_t length = readlink(SELF, program_path, sizeof(program_path) - 1);
    int file = open(SELF, O_RDONLY | O_CLOEXEC);
    char *deleted;

    program_path[length > 0 ? length : 0] = '\0';
    deleted = strstr(program_path, DELETED);
    if (deleted != NULL && deleted[strlen(DELETED)] == '\0')
        *deleted = '\0';
    if (file < 0)
        return;
    program = fcntl(file, F_DUPFD_CLOEXEC, HANDOVER_ABOVE);
    close(file);
}

void upgrade_begin(char *const *argv, const char *config)
{
    const char *reason = getenv(PROBLEM_VARIABLE);

    arguments = argv;
    config_path = config;
    find_program();
    former = handover_take(HANDOVER_PROGRAM);
    if (reason != NULL)
        snprintf(problem, sizeof(problem), "%s", reason);
    unsetenv(PROBLEM_VARIABLE);
    if (problem[0] != '\0')
        log_error("the upgrade has failed, this is the former program: %s", problem);
}

const char *upgrade_problem(void)
{
    return problem[0] != '\0' ? problem : NULL;
}

/* The check */

/* Starts `path -t -c CONFIG`; both its outputs go to the file `output`. */
static int start_check(pid_t *child, int output)
{
    char *const words[] = {program_path, "-t", "-c", (char *)(uintptr_t)config_path, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int result;

    sigemptyset(&none); /* we block signals */
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    result = privileged_lend(&actions);
    if (result == 0)
        result = posix_spawn(child, program_path, &actions, &attributes, words, environ);
    privileged_lent();
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -result;
}

/* The service manager may want signs of life meanwhile. */
static bool ends_in_time(struct pollfd *ended)
{
    for (int second = 0; second < CHECK_SECONDS; second++) {
        if (poll(ended, 1, 1000) > 0)
            return true;
        watchdog_feed();
    }
    return false;
}

/* 0, or -ETIME if it did not end in time and was killed. A pidfd (Linux 5.3) tells of the end. */
static int wait_for(pid_t child, int *status)
{
    struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
    int result = ended.fd < 0 ? -errno : 0;

    if (result == 0 && !ends_in_time(&ended))
        result = -ETIME;
    if (ended.fd >= 0)
        close(ended.fd);
    if (result < 0)
        kill(child, SIGKILL);
    return waitpid(child, status, 0) < 0 && result == 0 ? -errno : result;
}

/* What the check has written, in one line. */
static void quote_output(int output, int status, struct error *error)
{
    char text[sizeof(error->text) / 2];
    ssize_t length = pread(output, text, sizeof(text) - 1, 0);

    text[length > 0 ? length : 0] = '\0';
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '\n')
            *c = c[1] != '\0' ? ';' : '\0';
    }
    if (WIFSIGNALED(status))
        error_set(error, "%s -t was ended by signal %d", program_path, WTERMSIG(status));
    else
        error_set(error, "%s -t refuses to start: %s", program_path,
                  text[0] != '\0' ? text : "it gives no reason");
}

static int check(int output, struct error *error)
{
    pid_t child;
    int status = 0, result = start_check(&child, output);

    if (result < 0) {
        error_set(error, "cannot start %s: %s", program_path, strerror(-result));
        return result;
    }
    result = wait_for(child, &status);
    if (result < 0) {
        error_set(error, "%s -t: %s", program_path,
                  result == -ETIME ? "no answer for ten seconds" : strerror(-result));
        return result;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    quote_output(output, status, error);
    return -EINVAL;
}

int upgrade_request(struct error *error)
{
    int output, result;

    if (arguments == NULL || program < 0 || program_path[0] != '/') {
        error_set(error, "the daemon does not know which file its program is from");
        return -ENOENT;
    }
    output = memfd_create("portreeved -t", MFD_CLOEXEC);
    if (output < 0) {
        result = -errno;
        error_set(error, "cannot create a file in memory: %s", strerror(-result));
        return result;
    }
    result = check(output, error);
    close(output);
    is_due = result == 0;
    return result;
}

bool upgrade_is_due(void)
{
    return is_due;
}

/* The replacement */

static void exec_back(int file, const char *reason)
{
    int result;

    setenv(PROBLEM_VARIABLE, reason, 1);
    result = handover_exec_back(file, arguments);
    log_error("cannot return to the former program: %s", strerror(-result));
}

void upgrade_exec(void)
{
    char reason[sizeof(problem)];
    int result;

    log_notice("the program is replaced by %s", program_path);
    result = handover_exec(program_path, program, arguments);
    snprintf(reason, sizeof(reason), "cannot execute %.150s: %s", program_path, strerror(-result));
    log_error("%s", reason);
    exec_back(program, reason);
}

void upgrade_restart(const char *still)
{
    int result;

    log_error("%s stands still: the daemon starts anew, with its sessions", still);
    result = handover_exec_back(program, arguments);
    log_error("cannot start anew: %s", strerror(-result));
}

void upgrade_give_back(const char *reason)
{
    if (former < 0)
        return;
    log_notice("the former program goes on");
    exec_back(former, reason);
}

void upgrade_settle(void)
{
    if (former >= 0)
        close(former);
    former = -1;
}
