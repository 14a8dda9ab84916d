/*
 * queue_lock.c - a netfilter queue as the lock of a network namespace
 *
 * Two daemons in one network namespace would replace each other's rules. What locks the namespace
 * must belong to it, end with its process, and be out of reach of ordinary users: an abstract Unix
 * socket can be bound by anyone, who then keeps the daemon from starting, and a file is of a mount
 * namespace.
 */
#include "queue_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int explain_locked(struct error *error)
{
    const struct error held = *error;

    error_set(error, "another portreeved already runs in this network namespace: %s", held.text);
    return -EBUSY;
}

/* The socket is copied, because closing the library's one frees its memory as well. */
int queue_lock_namespace(int *descriptor, struct error *error)
{
    struct queue queue = {.number = QUEUE_LOCK};
    int result = queue_bind(&queue, error);

    if (result == -EBUSY)
        result = explain_locked(error);
    if (result == 0) {
        *descriptor = fcntl(queue_descriptor(&queue), F_DUPFD_CLOEXEC, 0);
        if (*descriptor < 0) {
            result = -errno;
            error_set(error, "queue %u: cannot copy its socket: %s", QUEUE_LOCK, strerror(-result));
        }
    }
    if (queue.socket != NULL)
        mnl_socket_close(queue.socket);
    return result;
}
