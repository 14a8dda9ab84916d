/*
 * notify.c - tells the service manager the state of the daemon
 */
#include "notify.h"

#include "portreeve/log.h"
#include "rights.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One datagram to a Unix socket needs less than a dependency on libsystemd. */
static void send_state(const char *state, int descriptor, int flags)
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
    int socket_fd;

    if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract address */
    if (descriptor >= 0)
        rights_attach(&message, &rights, descriptor);
    socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_fd < 0 || (sendmsg(socket_fd, &message, MSG_NOSIGNAL | flags) < 0 &&
                          !(flags & MSG_DONTWAIT && errno == EAGAIN)))
        log_warning("cannot send '%s' to the service manager at %s: %s", state, path,
                    strerror(errno));
    if (socket_fd >= 0)
        close(socket_fd);
}

void notify_send(const char *state)
{
    send_state(state, -1, 0);
}

void notify_send_if_read(const char *state)
{
    send_state(state, -1, MSG_DONTWAIT);
}

void notify_send_descriptor(const char *state, int descriptor)
{
    send_state(state, descriptor, 0);
}
