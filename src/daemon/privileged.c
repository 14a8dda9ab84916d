/*
 * privileged.c - a small process beside the daemon, which keeps what the daemon gives up
 *
 * One question is one datagram of a Unix socket, and so is its answer. The daemon waits for the
 * answer, a bounded time: a process that does not answer is not asked again.
 */
#include "portreeve/privileged.h"

#include "portreeve/confine.h"
#include "portreeve/handover.h"
#include "portreeve/log.h"
#include "rights.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_SECONDS 5
#define LENT_VARIABLE    "PORTREEVE_PRIVILEGED" /* for a check of a new program */
#define LENT             3
#define ITS_SOCKET       3 /* its only descriptor beside the standard ones */

enum question {
    QUESTION_CONFIG = 1,
    QUESTION_PROGRAM = 2,
};

struct question_message {
    uint32_t question; /* enum question */
    uint32_t inode;    /* of QUESTION_PROGRAM */
};

struct answer_message {
    int32_t result; /* 0 or -errno */
    char name[HOST_PROGRAM_MAX];
};

static int process = -1; /* the daemon's end of the socket */
static const char *path;

/* The privileged process */

/* `file` goes with the answer, unless it is negative. */
static void answer(const struct answer_message *said, int file)
{
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)said, .iov_len = sizeof(*said)};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    union rights rights;

    if (file >= 0)
        rights_attach(&message, &rights, file);
    (void)sendmsg(ITS_SOCKET, &message, MSG_NOSIGNAL);
}

static void serve(const struct question_message *asked)
{
    struct answer_message said = {.result = -ENOSYS};
    int file = -1;

    if (asked->question == QUESTION_CONFIG) {
        /* O_NONBLOCK: a FIFO must not hold us */
        file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        said.result = file < 0 ? -errno : 0;
    } else if (asked->question == QUESTION_PROGRAM) {
        said.result = host_ports_program(asked->inode, said.name) ? 0 : -ENOENT;
    }
    answer(&said, file);
    if (file >= 0)
        close(file);
}

static void keep_capabilities(void)
{
    bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) == 1;

    capng_clear(CAPNG_SELECT_ALL);
    capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE,
                  -1);
    if (may_bound && capng_apply(CAPNG_SELECT_BOUNDS) < 0)
        _exit(1);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(1);
}

/*
 * The daemon's sockets must not stay open because of this process: the kernel's queues and table
 * live as long as they do. Signals to the group of processes, as of Ctrl-C, are for the daemon.
 */
__attribute__((noreturn)) static void live(int end)
{
    struct question_message asked;

    if (dup2(end, ITS_SOCKET) < 0 || syscall(SYS_close_range, ITS_SOCKET + 1, ~0u, 0) < 0)
        _exit(1);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    (void)prctl(PR_SET_NAME, "portreeve-priv", 0, 0, 0);
    keep_capabilities();
    confine_thread(CONFINE_PRIVILEGED);
    while (recv(ITS_SOCKET, &asked, sizeof(asked), 0) == (ssize_t)sizeof(asked))
        serve(&asked);
    _exit(0);
}

/* The daemon's side */

/* False if there is nothing that this process could keep. */
static bool has_more_than_the_daemon(void)
{
    return capng_get_caps_process() == 0 &&
           capng_have_capability(CAPNG_PERMITTED, CAP_DAC_READ_SEARCH) == 1 &&
           capng_have_capability(CAPNG_PERMITTED, CAP_SYS_PTRACE) == 1;
}

static int start_process(void)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    int ends[2];
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    child = fork();
    if (child == 0)
        live(ends[1]);
    close(ends[1]);
    if (child < 0 ||
        setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
        int result = -errno;

        close(ends[0]);
        return result;
    }
    return ends[0];
}

void privileged_start(const char *config_path)
{
    path = config_path;
    process = handover_take(HANDOVER_PRIVILEGED);
    if (process < 0 && has_more_than_the_daemon()) {
        process = start_process();
        if (process < 0)
            log_warning("the privileged process cannot be started: %s", strerror(-process));
    }
    if (process >= 0)
        handover_keep_for_exec(HANDOVER_PRIVILEGED, process);
}

void privileged_borrow(const char *config_path)
{
    path = config_path;
    if (getenv(LENT_VARIABLE) != NULL && fcntl(LENT, F_SETFD, FD_CLOEXEC) == 0)
        process = LENT;
    unsetenv(LENT_VARIABLE);
}

int privileged_lend(posix_spawn_file_actions_t *actions)
{
    if (process < 0)
        return 0;
    if (setenv(LENT_VARIABLE, "1", 1) < 0)
        return errno;
    return posix_spawn_file_actions_adddup2(actions, process, LENT);
}

void privileged_lent(void)
{
    unsetenv(LENT_VARIABLE);
}

/* Returns 0 or -errno. *file receives a descriptor or -1. */
static int ask(const struct question_message *question, struct answer_message *said, int *file)
{
    struct iovec bytes = {.iov_base = said, .iov_len = sizeof(*said)};
    union rights rights;
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = rights.bytes,
                             .msg_controllen = sizeof(rights.bytes)};

    *file = -1;
    if (process < 0)
        return -ENOTCONN;
    if (send(process, question, sizeof(*question), MSG_NOSIGNAL) == (ssize_t)sizeof(*question) &&
        recvmsg(process, &message, MSG_CMSG_CLOEXEC) == (ssize_t)sizeof(*said)) {
        said->name[sizeof(said->name) - 1] = '\0';
        *file = rights_take(&message);
        return said->result;
    }
    log_warning("the privileged process does not answer");
    close(process);
    process = -1;
    return -ENOTCONN;
}

int privileged_open_config(void)
{
    const struct question_message question = {.question = QUESTION_CONFIG};
    struct answer_message said;
    int file, result = ask(&question, &said, &file);

    if (result == 0 && file < 0)
        result = -EPROTO;
    return result < 0 ? result : file;
}

bool privileged_program(uint32_t inode, char name[HOST_PROGRAM_MAX])
{
    const struct question_message question = {.question = QUESTION_PROGRAM, .inode = inode};
    struct answer_message said;
    int file, result = ask(&question, &said, &file);

    if (file >= 0)
        close(file);
    if (result == -ENOTCONN)
        return host_ports_program(inode, name);
    if (result == 0)
        memcpy(name, said.name, sizeof(said.name));
    return result == 0;
}
