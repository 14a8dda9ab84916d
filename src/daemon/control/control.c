/*
 * control.c - opens and closes the control socket, and serves the clients that are ready
 */
#include "portreeve/control.h"
#include "portreeve/acl.h"
#include "portreeve/paths.h"

#include "client.h"
#include "events.h"
#include "portreeve/handover.h"
#include "portreeve/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG      64
#define RETRY_MS     1000                   /* pause of accepting after descriptors have run out */
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0) /* linux/un.h, which cannot go with sys/un.h */
#define PID_TEXT     16
#define GROUP_TEXT   (64 * 1024) /* bytes of the line of a group, with its members */

static int fail(struct error *error, int code, const char *what, const char *path)
{
    error_set(error, "cannot %s %s: %s%s", what, path, strerror(-code), paths_hint(code));
    return code;
}

/* ---- before the socket: names, group, directory ---- */

static int set_paths(struct control *control, const char *path, struct error *error)
{
    size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (strlen(path) == 0 || strlen(path) > max) {
        error_set(error,
                  "the path of the control socket, %s: expected 1 to %zu bytes, the limit of a "
                  "Unix socket",
                  path, max);
        return -ENAMETOOLONG;
    }
    snprintf(control->path, sizeof(control->path), "%s", path);
    snprintf(control->lock_path, sizeof(control->lock_path), "%s.lock", path);
    return 0;
}

/* getgrnam_r(3): a missing group is not an error, but some sources of names report one. */
static bool is_not_found(int result)
{
    return result == 0 || result == ENOENT || result == ESRCH;
}

static int find_group(struct control *control, const char *name, struct error *error)
{
    struct group entry, *found = NULL;
    char *buffer;
    int result;

    if (*name == '\0')
        return 0;
    buffer = malloc(GROUP_TEXT);
    result = buffer == NULL ? ENOMEM : getgrnam_r(name, &entry, buffer, GROUP_TEXT, &found);
    if (found != NULL)
        control->gid = found->gr_gid;
    free(buffer);
    if (found == NULL && is_not_found(result)) {
        error_set(
            error,
            "the control socket's group '%s' does not exist; create it with groupadd --system",
            name);
        return -ENOENT;
    }
    if (found == NULL) {
        error_set(error, "cannot look up the control socket's group '%s': %s", name,
                  strerror(result));
        return -result;
    }
    snprintf(control->group, sizeof(control->group), "%s", name);
    return 0;
}

static int create_directories(const char *path, struct error *error)
{
    int result = paths_create_directories(path);

    return result < 0 ? fail(error, result, "create the directory of", path) : 0;
}

/* ---- one daemon per socket ---- */

static int refuse_second(const struct control *control, int lock_file, struct error *error)
{
    char pid[PID_TEXT] = "";
    ssize_t length = pread(lock_file, pid, sizeof(pid) - 1, 0);

    if (length > 0)
        pid[strspn(pid, "0123456789")] = '\0';
    error_set(error,
              "another portreeved (process %s) already uses %s; 'portreeve upgrade' replaces it "
              "without loss",
              *pid != '\0' ? pid : "unknown", control->path);
    return -EADDRINUSE;
}

/*
 * The previous daemon may have removed the file between our open and our flock. Then the file that
 * we have locked is no longer the file at the path.
 */
static bool is_still_there(int file, const char *path)
{
    struct stat opened, named;

    return fstat(file, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/*
 * The lock decides which daemon serves this path. The kernel releases it when the process ends for
 * any reason, and two daemons that start at the same time cannot both have it. The file contains
 * the process id, for the message above.
 */
static int take_lock(struct control *control, struct error *error)
{
    char pid[PID_TEXT];
    int length = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

    for (;;) {
        int file = open(control->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        int result = 0;

        if (file < 0)
            return fail(error, -errno, "open", control->lock_path);
        if (flock(file, LOCK_EX | LOCK_NB) < 0)
            result = errno == EWOULDBLOCK ? refuse_second(control, file, error)
                                          : fail(error, -errno, "lock", control->lock_path);
        else if (is_still_there(file, control->lock_path)) {
            control->lock_file = file;
            if (ftruncate(file, 0) < 0 || pwrite(file, pid, (size_t)length, 0) != length)
                return fail(error, -errno, "write", control->lock_path);
            return 0;
        }
        close(file);
        if (result < 0)
            return result;
    }
}

static void set_address(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
}

/* -EADDRINUSE if another program, which does not use the lock, listens there. */
static int check_unused(const char *path, struct error *error)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_un address;
    bool answered;

    if (probe < 0)
        return fail(error, -errno, "open a socket to check", path);
    set_address(&address, path);
    /* EAGAIN: its backlog is full, but it is there */
    answered = connect(probe, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
    close(probe);
    if (!answered)
        return 0;
    error_set(error, "another program already uses %s", path);
    return -EADDRINUSE;
}

/* Removes the socket of a daemon that was killed, and nothing else. */
static int clear_path(const char *path, struct error *error)
{
    struct stat status;
    int result;

    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : fail(error, -errno, "check", path);
    if (!S_ISSOCK(status.st_mode)) {
        error_set(error, "%s exists and is not a socket; it is not removed", path);
        return -EEXIST;
    }
    result = check_unused(path, error);
    if (result == 0 && unlink(path) < 0)
        result = fail(error, -errno, "remove the old socket", path);
    return result;
}

/* ---- the socket ---- */

/*
 * Without the right to give the socket to the group, the owner can still let the group use it. If
 * not even that, the gateway is more important than those who look.
 */
static void let_group_in(const struct control *control)
{
    int result = acl_allow(control->path, ACL_FOR_GROUP, control->gid, 6);

    if (result < 0)
        log_warning("only root may use the control socket: its group '%s' cannot be let in (%s); "
                    "make the daemon's user a member of the group",
                    control->group, strerror(-result));
}

/* Before listen, because clients can connect from then on. */
static int set_owner_and_mode(const struct control *control, struct error *error)
{
    bool group = control->group[0] != '\0', given = false;

    if (group) {
        given = chown(control->path, (uid_t)-1, control->gid) == 0;
        if (!given && errno != EPERM)
            return fail(error, -errno, "set the group of", control->path);
    }
    if (chmod(control->path, given ? 0660 : 0600) < 0)
        return fail(error, -errno, "set the mode of", control->path);
    if (group && !given)
        let_group_in(control);
    return 0;
}

static int open_listener(struct control *control, struct error *error)
{
    struct sockaddr_un address;
    int result;

    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (control->listener < 0)
        return fail(error, -errno, "open a socket for", control->path);
    set_address(&address, control->path);
    if (bind(control->listener, (struct sockaddr *)&address, sizeof(address)) < 0) {
        result = fail(error, -errno, "bind", control->path);

        close(control->listener);
        control->listener = -1; /* so that control_close does not remove the path */
        return result;
    }
    result = set_owner_and_mode(control, error);
    if (result == 0 && listen(control->listener, BACKLOG) < 0)
        result = fail(error, -errno, "listen on", control->path);
    return result;
}

/*
 * True if clients that connect to `path` get to this listener: it has this address, and the file is
 * the one that it has created (SIOCUNIXFILE, net/unix/af_unix.c).
 */
static bool listens_at(int listener, const char *path)
{
    struct sockaddr_un address = {0};
    socklen_t length = sizeof(address) - 1, size = sizeof(int);
    int listening = 0, file;
    bool same;

    if (getsockname(listener, (struct sockaddr *)&address, &length) < 0 ||
        address.sun_family != AF_UNIX || strcmp(address.sun_path, path) != 0 ||
        getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
        return false;
    file = ioctl(listener, SIOCUNIXFILE);
    same = file >= 0 && is_still_there(file, path);
    if (file >= 0)
        close(file);
    return same;
}

/* False if an earlier run has left no listener of this path. */
static bool take_over_listener(struct control *control)
{
    int listener = handover_take(HANDOVER_CONTROL);

    if (listener < 0)
        return false;
    if (!listens_at(listener, control->path)) {
        close(listener);
        return false;
    }
    control->listener = listener;
    return true;
}

static int get_listener(struct control *control, struct error *error)
{
    int result;

    if (take_over_listener(control))
        return set_owner_and_mode(control, error);
    result = clear_path(control->path, error);
    return result < 0 ? result : open_listener(control, error);
}

static int open_epoll(struct control *control, struct error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    control->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (control->epoll < 0)
        return fail(error, -errno, "create an epoll instance for", control->path);
    if (epoll_ctl(control->epoll, EPOLL_CTL_ADD, control->listener, &event) < 0)
        return fail(error, -errno, "watch", control->path);
    return 0;
}

int control_open(struct control **out, const char *path, const char *group, struct error *error)
{
    struct control *control = calloc(1, sizeof(*control));
    int result;

    *out = NULL;
    if (control == NULL) {
        error_set(error, "not enough memory for the control socket");
        return -ENOMEM;
    }
    control->listener = control->epoll = control->lock_file = -1;
    result = set_paths(control, path, error);
    if (result == 0)
        result = find_group(control, group, error);
    if (result == 0)
        result = create_directories(path, error);
    if (result == 0)
        result = take_lock(control, error);
    if (result == 0)
        result = get_listener(control, error);
    if (result == 0)
        result = open_epoll(control, error);
    if (result < 0) {
        handover_is_continuation() ? control_leave(control) : control_close(control);
        return result;
    }
    *out = control;
    return 0;
}

void control_leave(struct control *control)
{
    if (control == NULL)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->client[i] != NULL)
            client_close(control->client[i]);
    }
    if (control->epoll >= 0)
        close(control->epoll);
    if (control->listener >= 0)
        close(control->listener);
    if (control->lock_file >= 0)
        close(control->lock_file);
    free(control);
}

void control_close(struct control *control)
{
    if (control != NULL && control->listener >= 0)
        unlink(control->path);
    if (control != NULL && control->lock_file >= 0)
        unlink(control->lock_path);
    control_leave(control);
}

int control_listener(const struct control *control)
{
    return control->listener;
}

int control_descriptor(const struct control *control)
{
    return control->epoll;
}

/* ---- serving ---- */

static void watch_listener(struct control *control, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = NULL};

    epoll_ctl(control->epoll, EPOLL_CTL_MOD, control->listener, &event);
}

/*
 * If descriptors have run out, the waiting connection stays ready. Without a pause, the main loop
 * would spin.
 */
static void accept_one(struct control *control, uint64_t now)
{
    int result = client_accept(control);

    if (result != -EMFILE && result != -ENFILE && result != -ENOBUFS && result != -ENOMEM)
        return;
    log_warning("control socket: cannot accept a client: %s", strerror(-result));
    control->listen_again = now + RETRY_MS;
    watch_listener(control, 0);
}

static void listen_again(struct control *control, uint64_t now)
{
    if (control->listen_again == 0 || now < control->listen_again)
        return;
    control->listen_again = 0;
    watch_listener(control, EPOLLIN);
}

static void close_stalled(struct control *control, uint64_t now)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->client[i] != NULL)
            client_close_if_stalled(control->client[i], now);
    }
}

static void pump_events(struct control *control, struct gateway *gateway, uint64_t now)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->client[i] != NULL && control->client[i]->subscribed) {
            events_pump(control->client[i], gateway);
            client_settle(control->client[i], now);
        }
    }
}

/*
 * One event at a time: the kernel then puts this client behind the others, so no client waits long
 * for a busy one.
 */
void control_serve(struct control *control, struct gateway *gateway)
{
    uint64_t begun = gateway_now(), now = begun;
    struct epoll_event event;

    listen_again(control, now);
    while (now - begun < CONTROL_TURN_MS && epoll_wait(control->epoll, &event, 1, 0) == 1) {
        if (event.data.ptr == NULL)
            accept_one(control, now);
        else
            client_turn(event.data.ptr, gateway, event.events, now);
        now = gateway_now();
    }
    pump_events(control, gateway, now);
    close_stalled(control, now);
}

bool control_has_subscribers(const struct control *control)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->client[i] != NULL && control->client[i]->subscribed)
            return true;
    }
    return false;
}
