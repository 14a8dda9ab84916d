/*
 * handover.c - descriptors that outlive the process: the next run of the daemon takes them over
 */
#include "portreeve/handover.h"

#include "notify.h"
#include "portreeve/config.h"
#include "portreeve/log.h"
#include "portreeve/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A queue for each worker, two for newcomers, two more sockets of the gateway, the control socket,
 * a program, the socket of the privileged process.
 */
#define DESCRIPTORS_MAX (CONFIG_WORKERS_MAX + 7)

#define FIRST_LISTENED 3 /* SD_LISTEN_FDS_START */
#define LISTENED_MAX   1024

#define STORE_PATIENCE_MS 5000

_Static_assert(FIRST_LISTENED + DESCRIPTORS_MAX <= HANDOVER_ABOVE, "exec overwrites none of them");

struct held {
    struct handover_name name;
    int descriptor; /* close-on-exec, open until it is forgotten */
    bool taken;
};

/* A list of descriptors with names. */
struct holding {
    struct held held[DESCRIPTORS_MAX];
    size_t count;
};

static struct holding left; /* by an earlier run; empty after handover_settle */
static struct holding kept; /* for the next run */
static bool is_continuation;

struct handover_name handover_queue_name(uint16_t number)
{
    struct handover_name name;

    snprintf(name.text, sizeof(name.text), HANDOVER_QUEUE "%u", number);
    return name;
}

static struct held *find(struct holding *holding, const char *name)
{
    for (size_t i = 0; i < holding->count; i++) {
        if (strcmp(holding->held[i].name.text, name) == 0)
            return &holding->held[i];
    }
    return NULL;
}

static void add(struct holding *holding, const char *name, int descriptor)
{
    struct held *held = &holding->held[holding->count++];

    *held = (struct held){.descriptor = descriptor};
    snprintf(held->name.text, sizeof(held->name.text), "%s", name);
}

static void drop(struct holding *holding, const char *name)
{
    struct held *held = find(holding, name);

    if (held == NULL)
        return;
    close(held->descriptor);
    *held = holding->held[--holding->count];
}

static void forget_in_store(const char *name)
{
    char state[128];

    if (!handover_has_store())
        return;
    snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
    notify_send(state);
}

static uint32_t number_of(const char *variable, uint64_t most)
{
    const char *text = getenv(variable);
    uint64_t number = 0;

    return text != NULL && text_parse_number(text, 0, most, &number) ? (uint32_t)number : 0;
}

bool handover_has_store(void)
{
    return getenv("NOTIFY_SOCKET") != NULL && number_of("FDSTORE", INT32_MAX) > 0;
}

bool handover_is_continuation(void)
{
    return is_continuation;
}

/* One name of the list; *names moves behind it. An empty one if the list has no more. */
static struct handover_name next_name(const char **names)
{
    struct handover_name name = {""};
    size_t length = strcspn(*names, ":");

    if (length < sizeof(name.text)) {
        memcpy(name.text, *names, length);
        name.text[length] = '\0';
    }
    *names += length + ((*names)[length] == ':');
    return name;
}

static void take_listed(uint32_t count, const char *names)
{
    for (uint32_t i = 0; i < count; i++) {
        struct handover_name name = next_name(&names);
        int descriptor = FIRST_LISTENED + (int)i;

        if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0)
            continue; /* there is no such descriptor */
        if (left.count == DESCRIPTORS_MAX || name.text[0] == '\0' ||
            find(&left, name.text) != NULL) {
            log_warning("descriptor %d of the service manager is not used: %s", descriptor,
                        name.text[0] == '\0' ? "it has no name" : name.text);
            close(descriptor);
            continue;
        }
        add(&left, name.text, descriptor);
    }
}

void handover_begin(void)
{
    const char *names = getenv("LISTEN_FDNAMES");

    if (number_of("LISTEN_PID", INT32_MAX) == (uint32_t)getpid())
        take_listed(number_of("LISTEN_FDS", LISTENED_MAX), names != NULL ? names : "");
    is_continuation = left.count > 0;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

/* A copy, so that the one that was left stays open until the start is complete. */
int handover_take(const char *name)
{
    struct held *held = find(&left, name);
    int copy = held == NULL ? -1 : fcntl(held->descriptor, F_DUPFD_CLOEXEC, FIRST_LISTENED);

    if (held != NULL)
        held->taken = copy >= 0;
    return copy;
}

/* The inode tells sockets apart, also copies that came by way of another process. */
static bool are_same(int one, int other)
{
    struct stat first, second;

    return fstat(one, &first) == 0 && fstat(other, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* The store is full of what an earlier run has left: only what is new is sent. */
static void store(const char *name, int descriptor)
{
    const struct held *before = find(&left, name);
    char state[128];

    if (!handover_has_store() || (before != NULL && are_same(before->descriptor, descriptor)))
        return;
    if (before != NULL)
        forget_in_store(name);
    snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
    notify_send_descriptor(state, descriptor);
}

/* Returns the copy, or -1. */
static int keep_copy(const char *name, int descriptor)
{
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, FIRST_LISTENED);

    if (copy < 0 || kept.count == DESCRIPTORS_MAX) {
        log_warning("descriptor '%s' cannot be kept for the next run: %s", name,
                    copy < 0 ? strerror(errno) : "there are too many");
        if (copy >= 0)
            close(copy);
        return -1;
    }
    add(&kept, name, copy);
    return copy;
}

void handover_keep(const char *name, int descriptor)
{
    int copy = keep_copy(name, descriptor);

    if (copy >= 0)
        store(name, copy);
}

void handover_keep_for_exec(const char *name, int descriptor)
{
    (void)keep_copy(name, descriptor);
}

/*
 * sd_notify_barrier(3): the manager closes the descriptor when it has done what it was told before.
 * Only then the copies in the store are closed.
 */
static void wait_for_store(void)
{
    int ends[2];
    struct pollfd done = {0};

    if (!handover_has_store() || pipe2(ends, O_CLOEXEC) < 0)
        return;
    notify_send_descriptor("BARRIER=1", ends[1]);
    close(ends[1]);
    done.fd = ends[0]; /* POLLHUP is always reported */
    if (poll(&done, 1, STORE_PATIENCE_MS) == 0)
        log_warning("the service manager has not answered for %d seconds",
                    STORE_PATIENCE_MS / 1000);
    close(ends[0]);
}

/* What was taken and is of no use (the queue could not be opened) is not kept. */
static bool is_in_use(const struct held *held)
{
    return held->taken && find(&kept, held->name.text) != NULL;
}

bool handover_forget(const char *beginning)
{
    bool any = false;

    for (size_t i = left.count; i-- > 0;) {
        const struct held held = left.held[i];

        if (is_in_use(&held) || strncmp(held.name.text, beginning, strlen(beginning)) != 0)
            continue;
        forget_in_store(held.name.text);
        drop(&left, held.name.text);
        any = true;
    }
    if (any)
        wait_for_store();
    return any;
}

void handover_settle(void)
{
    for (size_t i = 0; i < left.count; i++) {
        const struct held *held = &left.held[i];

        if (find(&kept, held->name.text) == NULL) {
            log_debug("descriptor '%s' of the earlier run is not needed any more", held->name.text);
            forget_in_store(held->name.text);
        }
        close(held->descriptor);
    }
    left.count = 0;
}

/* exec */

/* Moves all descriptors above those that the next program gets, so that none is overwritten. */
static int raise(struct holding *holding)
{
    for (size_t i = 0; i < holding->count; i++) {
        int above = fcntl(holding->held[i].descriptor, F_DUPFD_CLOEXEC, HANDOVER_ABOVE);

        if (above < 0)
            return -errno;
        close(holding->held[i].descriptor);
        holding->held[i].descriptor = above;
    }
    return 0;
}

static int name_listed(const struct holding *holding)
{
    char names[DESCRIPTORS_MAX * (sizeof(struct handover_name) + 1)] = "", number[16];
    size_t used = 0;

    for (size_t i = 0; i < holding->count; i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ":" : "",
                                 holding->held[i].name.text);
    snprintf(number, sizeof(number), "%d", (int)getpid());
    if (setenv("LISTEN_PID", number, 1) < 0)
        return -errno;
    snprintf(number, sizeof(number), "%zu", holding->count);
    if (setenv("LISTEN_FDS", number, 1) < 0 || setenv("LISTEN_FDNAMES", names, 1) < 0)
        return -errno;
    return 0;
}

static int list_for_exec(struct holding *holding)
{
    int result = raise(holding);

    for (size_t i = 0; result == 0 && i < holding->count; i++) {
        if (dup2(holding->held[i].descriptor, FIRST_LISTENED + (int)i) < 0) /* not close-on-exec */
            result = -errno;
    }
    return result < 0 ? result : name_listed(holding);
}

int handover_exec(const char *path, int program, char *const *arguments)
{
    int copy = fcntl(program, F_DUPFD_CLOEXEC, HANDOVER_ABOVE), result;

    if (copy >= 0 && kept.count < DESCRIPTORS_MAX)
        add(&kept, HANDOVER_PROGRAM, copy);
    result = list_for_exec(&kept);
    if (result < 0)
        return result;
    execv(path, arguments);
    return -errno;
}

int handover_exec_back(int program, char *const *arguments)
{
    struct holding *holding = left.count > 0 ? &left : &kept;
    int above = fcntl(program, F_DUPFD_CLOEXEC, HANDOVER_ABOVE), result;

    drop(holding, HANDOVER_PROGRAM); /* there is no way back from the way back */
    result = above < 0 ? -errno : list_for_exec(holding);
    if (result < 0)
        return result;
    fexecve(above, arguments, environ);
    return -errno;
}
