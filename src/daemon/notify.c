/*
 * notify.c - tells the service manager the state of the daemon
 */
#include "notify.h"

#include "portreeve/log.h"
#include "rights.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * A manager that has not read for so long gets no more patience: this thread has other work. What
 * follows is only sent at once, until something was sent again.
 */
static const struct timeval patience = {.tv_sec = 2};
static bool is_deaf;

static int open_socket(void)
{
    int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (socket_fd >= 0)
        setsockopt(socket_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return socket_fd;
}

/* Returns 0 or errno: EAGAIN if the manager does not read. */
static int send_once(const struct msghdr *message, bool wait)
{
    int socket_fd = open_socket(), error = 0;

    if (socket_fd < 0 ||
        sendmsg(socket_fd, message, MSG_NOSIGNAL | (wait && !is_deaf ? 0 : MSG_DONTWAIT)) < 0)
        error = errno;
    if (socket_fd >= 0)
        close(socket_fd);
    if (wait || error == 0)
        is_deaf = error == EAGAIN;
    return error;
}

/* One datagram to a Unix socket needs less than a dependency on libsystemd. */
static void send_state(const char *state, int descriptor, bool wait)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path == NULL ? 0 : strlen(path);
    struct iovec text = {.iov_base = (void *)(uintptr_t)state, .iov_len = strlen(state)};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen =
                                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length),
                             .msg_iov = &text,
                             .msg_iovlen = 1};
    union rights rights;
    int error;

    if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract address */
    if (descriptor >= 0)
        rights_attach(&message, &rights, descriptor);
    error = send_once(&message, wait);
    if (error != 0 && (wait || error != EAGAIN))
        log_warning("cannot send '%s' to the service manager at %s: %s", state, path,
                    error == EAGAIN ? "it does not read" : strerror(error));
}

void notify_send(const char *state)
{
    send_state(state, -1, true);
}

void notify_send_if_read(const char *state)
{
    send_state(state, -1, false);
}

void notify_send_descriptor(const char *state, int descriptor)
{
    send_state(state, descriptor, true);
}
