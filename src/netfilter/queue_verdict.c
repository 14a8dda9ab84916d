/*
 * queue_verdict.c - one netfilter queue: send the verdicts of a batch
 *
 * There is one message per packet, and all messages are in one datagram. The kernel handles the
 * messages of a datagram one after the other, each at the next multiple of 4 bytes. The payload
 * attribute must have the packet's real length, otherwise the packet would grow. So the padding is
 * a separate piece after it.
 */
#include "queue_internal.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <poll.h>

#include <libnetfilter_queue/libnetfilter_queue.h>

_Static_assert(sizeof(struct nlmsghdr) + 4 + 12 + 8 + sizeof(struct nlattr) <= QUEUE_VERDICT_HEAD,
               "header, nfgenmsg, verdict, mark and payload attribute fit the head");
_Static_assert(QUEUE_BATCH *QUEUE_VERDICT_PIECES <= 1024, "a batch is one iovec (IOV_MAX)");

/*
 * How often sending is tried again, and how long it waits before that (milliseconds), if the kernel
 * is short of memory.
 */
#define RETRIES   20
#define RETRY_GAP 5

static const char padding[MNL_ALIGNTO];

static size_t padding_of(size_t length)
{
    return -length % MNL_ALIGNTO;
}

/* What is in transit passes the rules of its hook again, which look for the bit and clear it. */
static bool is_in_transit(const struct packet *packet)
{
    return packet->transit &&
           (packet->verdict == VERDICT_REWRITTEN || packet->verdict == VERDICT_AGAIN);
}

/* The attribute's header is at the end of the head; the packet itself is the next piece. */
static void put_payload(struct nlmsghdr *message, const struct packet *packet, struct iovec *pieces)
{
    struct nlattr *attribute = mnl_nlmsg_get_payload_tail(message);
    size_t pad = padding_of(packet->length);

    attribute->nla_type = NFQA_PAYLOAD;
    attribute->nla_len = (uint16_t)(sizeof(*attribute) + packet->length);
    pieces[0].iov_len = message->nlmsg_len + sizeof(*attribute);
    pieces[1] = (struct iovec){.iov_base = packet->data, .iov_len = packet->length};
    pieces[2] = (struct iovec){.iov_base = (void *)(uintptr_t)padding, .iov_len = pad};
    message->nlmsg_len += (uint32_t)(sizeof(*attribute) + packet->length + pad);
}

/*
 * A packet that did not arrive as a whole must not be sent back, because the kernel would cut it to
 * that.
 */
static bool is_dropped(const struct packet *packet)
{
    return packet->verdict == VERDICT_DROP ||
           (packet->verdict == VERDICT_REWRITTEN && packet->truncated);
}

static int kernel_verdict(const struct packet *packet, bool transit)
{
    if (is_dropped(packet))
        return NF_DROP;
    if (transit || packet->verdict == VERDICT_AGAIN || packet->verdict == VERDICT_REPEAT)
        return NF_REPEAT;
    return NF_ACCEPT;
}

static void put_verdict(struct queue *queue, size_t index)
{
    const struct packet *packet = &queue->packets[index];
    const struct queue_handle *handle = &queue->handles[index];
    struct iovec *pieces = &queue->pieces[index * QUEUE_VERDICT_PIECES];
    struct nlmsghdr *message =
        nfq_nlmsg_put(queue->heads[index], NFQNL_MSG_VERDICT, handle->number);
    bool dropped = is_dropped(packet), transit = is_in_transit(packet);

    nfq_nlmsg_verdict_put(message, (int)handle->id, kernel_verdict(packet, transit));
    pieces[0] = (struct iovec){.iov_base = message};
    pieces[1] = pieces[2] = (struct iovec){0};
    if (!dropped && transit)
        nfq_nlmsg_verdict_put_mark(message, handle->mark | queue->hairpin_mark);
    pieces[0].iov_len = message->nlmsg_len;
    if (!dropped && packet->verdict == VERDICT_REWRITTEN)
        put_payload(message, packet, pieces);
}

/*
 * The kernel takes the whole datagram and handles it before sendmsg returns, or refuses all of it.
 */
static int send_pieces(const struct queue *queue, struct iovec *pieces, size_t count)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct msghdr datagram = {
        .msg_name = &kernel, .msg_namelen = sizeof(kernel), .msg_iov = pieces, .msg_iovlen = count};
    struct pollfd writable = {.fd = mnl_socket_get_fd(queue->socket), .events = POLLOUT};

    for (int tries = 0; sendmsg(writable.fd, &datagram, MSG_DONTWAIT) < 0; tries++) {
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
        if (tries == RETRIES)
            return -EAGAIN;
        if (errno == EAGAIN)
            (void)poll(&writable, 1, RETRY_GAP);
    }
    return 0;
}

static int send_small(const struct queue *queue, struct queue_handle handle, int verdict)
{
    char head[QUEUE_VERDICT_HEAD] __attribute__((aligned(8)));
    struct nlmsghdr *message = nfq_nlmsg_put(head, NFQNL_MSG_VERDICT, handle.number);
    struct iovec piece;

    nfq_nlmsg_verdict_put(message, (int)handle.id, verdict);
    piece = (struct iovec){.iov_base = message, .iov_len = message->nlmsg_len};
    return send_pieces(queue, &piece, 1);
}

void queue_pass(struct queue *queue, struct queue_handle handle)
{
    (void)send_small(queue, handle, NF_ACCEPT);
}

/* NFQNL_MSG_VERDICT_BATCH: every packet with at most this id (nfqnl_recv_verdict_batch). */
void queue_repeat_to(struct queue *queue, struct queue_handle last)
{
    char head[QUEUE_VERDICT_HEAD] __attribute__((aligned(8)));
    struct nlmsghdr *message = nfq_nlmsg_put(head, NFQNL_MSG_VERDICT_BATCH, last.number);
    struct iovec piece;

    nfq_nlmsg_verdict_put(message, (int)last.id, NF_REPEAT);
    piece = (struct iovec){.iov_base = message, .iov_len = message->nlmsg_len};
    (void)send_pieces(queue, &piece, 1);
}

/*
 * The kernel needs memory of a datagram's size at once. If that fails (ENOBUFS, or EMSGSIZE if the
 * send buffer could not be enlarged), each half may still succeed. A single packet that fails is
 * dropped, so that its place in the queue is free again. Returns the first error, or 0 if all
 * verdicts were sent as decided.
 */
static int send_range(const struct queue *queue, struct iovec *pieces, size_t first, size_t count)
{
    size_t half = count / 2;
    int result, rest;

    result =
        send_pieces(queue, pieces + first * QUEUE_VERDICT_PIECES, count * QUEUE_VERDICT_PIECES);
    if (result == 0)
        return 0;
    if (count == 1) {
        (void)send_small(queue, queue->handles[first], NF_DROP);
        return result;
    }
    result = send_range(queue, pieces, first, half);
    rest = send_range(queue, pieces, first + half, count - half);
    return result ? result : rest;
}

int queue_reply(struct queue *queue)
{
    size_t count = queue->count;

    queue->count = 0;
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        put_verdict(queue, i);
    return send_range(queue, queue->pieces, 0, count);
}
