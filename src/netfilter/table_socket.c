/*
 * table_socket.c - the netlink socket that changes our nf_tables table, and owns it where it can
 */
#include "table_socket.h"

#include "netlink.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Far more messages than a batch has, so that the numbers of two batches do not overlap. */
#define SEQUENCES_OF_A_BATCH (1u << 20)

struct table_socket {
    pthread_mutex_t lock; /* covers what is sent and received */
    struct mnl_socket *netlink;
    uint32_t sequence; /* atomic: of the next batch */
};

/*
 * An earlier run may have died between a request and the end of the answer. Reading also completes
 * a dump that had begun: without that the kernel would refuse the next one (EBUSY).
 */
static void discard_waiting(const struct mnl_socket *socket)
{
    char buffer[NETLINK_BUFFER] __attribute__((aligned(8)));
    ssize_t length;

    do {
        length = recv(mnl_socket_get_fd(socket), buffer, sizeof(buffer), MSG_DONTWAIT);
    } while (length > 0 || (length < 0 && (errno == EINTR || errno == ENOBUFS)));
}

static int take_over(struct table_socket *table, int descriptor, struct error *error)
{
    int family = 0, result;
    socklen_t length = sizeof(family);

    if (getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL, &family, &length) < 0 ||
        family != NETLINK_NETFILTER) {
        error_set(error,
                  "nf_tables rules: descriptor %d, from the service manager or an earlier "
                  "run, is not a netfilter netlink socket",
                  descriptor);
        close(descriptor);
        return -ENOTSOCK;
    }
    table->netlink = mnl_socket_fdopen(descriptor);
    if (table->netlink == NULL) {
        result = -errno;
        error_set(error, "nf_tables rules: cannot use the netlink socket of the earlier run: %s",
                  strerror(-result));
        close(descriptor);
        return result;
    }
    discard_waiting(table->netlink);
    return 0;
}

int table_socket_open(struct table_socket **table, int descriptor, struct error *error)
{
    struct table_socket *opened = calloc(1, sizeof(*opened));
    int result;

    if (opened == NULL) {
        error_set(error, "nf_tables rules: not enough memory");
        if (descriptor >= 0)
            close(descriptor);
        return -ENOMEM;
    }
    if (descriptor >= 0)
        result = take_over(opened, descriptor, error);
    else
        result = batch_socket_open(&opened->netlink, "nf_tables rules", error);
    if (result < 0) {
        free(opened);
        return result;
    }
    pthread_mutex_init(&opened->lock, NULL);
    opened->sequence = 1;
    *table = opened;
    return 0;
}

void table_socket_close(struct table_socket *table)
{
    if (table == NULL)
        return;
    mnl_socket_close(table->netlink);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

int table_socket_descriptor(const struct table_socket *table)
{
    return mnl_socket_get_fd(table->netlink);
}

uint32_t table_socket_port(const struct table_socket *table)
{
    return mnl_socket_get_portid(table->netlink);
}

int table_socket_begin(struct table_socket *table, struct batch *batch)
{
    return batch_begin(
        batch, __atomic_fetch_add(&table->sequence, SEQUENCES_OF_A_BATCH, __ATOMIC_RELAXED));
}

int table_socket_commit(struct table_socket *table, struct batch *batch,
                        struct batch_outcome *outcome)
{
    int result;

    pthread_mutex_lock(&table->lock);
    result = batch_commit(batch, table->netlink, outcome);
    pthread_mutex_unlock(&table->lock);
    return result;
}

/* Another transaction takes less, a listing of all sessions may take more. */
#define PATIENCE_MS 50

int table_socket_try_commit(struct table_socket *table, struct batch *batch,
                            struct batch_outcome *outcome)
{
    struct timespec until;
    int result;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PATIENCE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    if (pthread_mutex_clocklock(&table->lock, CLOCK_MONOTONIC, &until) != 0)
        return -EAGAIN;
    result = batch_commit(batch, table->netlink, outcome);
    pthread_mutex_unlock(&table->lock);
    return result;
}

int table_socket_ask(struct table_socket *table, struct nlmsghdr *request, mnl_cb_t each,
                     void *context)
{
    int result;

    pthread_mutex_lock(&table->lock);
    result = netlink_ask(table->netlink, request, each, context);
    pthread_mutex_unlock(&table->lock);
    return result;
}
