/*
 * queue.c - one netfilter queue: bind it, receive batches of packets
 *
 * Theory of operation
 *
 * Receiving: every packet is a netlink message of its own. recvmmsg copies up to QUEUE_BATCH of
 * them, each into a buffer that holds the largest, and the packets stay there: the core rewrites
 * them in place, and queue_verdict.c sends them back from there. So a packet is copied twice, by
 * the kernel, and never by us; and a rewritten one is valid until the next queue_receive.
 *
 * Every packet id that was received must be answered, else the packet stays in the kernel's queue,
 * and its place is lost, until the queue is unbound. That is why odd packets are handed out too and
 * why sending splits a batch that does not go through rather than giving it up.
 */
#include "queue_internal.h"

#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdlib.h>
#include <string.h>

#include <libnetfilter_queue/libnetfilter_queue.h>

#define PACKET_MESSAGE (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)

/*
 * nfq_nlmsg_parse knows the attributes of the library it came with, which may be newer than this
 * header.
 */
#define ATTRIBUTES (NFQA_MAX + 1 > 64 ? NFQA_MAX + 1 : 64)

#define PAGE ((size_t)4096) /* bytes */

/*
 * What one waiting packet costs of the socket's buffer (skb->truesize): a packet of an ordinary
 * link lies in a 2 KiB slab with its bookkeeping beside it, a packet of GRO or GSO in 64 KiB of
 * pages.
 */
#define COST_OF_A_FRAME  PAGE
#define COST_OF_BULK     ((size_t)72 * 1024)
#define BULK_PACKETS_MIN 256u

struct request {
    char bytes[NETLINK_REQUEST];
};

static struct nlmsghdr *request_begin(const struct queue *queue, struct request *request,
                                      uint16_t flags)
{
    struct nlmsghdr *message = nfq_nlmsg_put(request->bytes, NFQNL_MSG_CONFIG, queue->number);

    message->nlmsg_flags |= flags;
    return message;
}

static int bind_number(struct queue *queue)
{
    struct request request __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message = request_begin(queue, &request, NLM_F_ACK);

    nfq_nlmsg_cfg_put_cmd(message, AF_INET, NFQNL_CFG_CMD_BIND);
    return netlink_ask(queue->socket, message, NULL, NULL);
}

static int configure(struct queue *queue, uint32_t length)
{
    struct request request __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message = request_begin(queue, &request, NLM_F_ACK);
    const uint32_t wanted = NFQA_CFG_F_GSO,
                   known = NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_CONNTRACK;

    nfq_nlmsg_cfg_put_qmaxlen(message, length);
    mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(wanted));
    mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(known));
    return netlink_ask(queue->socket, message, NULL, NULL);
}

/*
 * Until it knows how much to copy, a bound queue takes no packets. So this comes last, and without
 * asking for an acknowledgement: that would lie in the socket among the first packets.
 */
static int start_copying(struct queue *queue)
{
    struct request request __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message = request_begin(queue, &request, 0);

    nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, 0xffff);
    if (mnl_socket_sendto(queue->socket, message, message->nlmsg_len) < 0)
        return -errno;
    return 0;
}

/*
 * The queue's length bounds what waits for verdicts, the socket's buffer what waits to be read, and
 * a packet needs a place in both. The buffer counts memory: a full queue of ordinary frames must
 * fit, or the length would be a promise that the buffer breaks; and some hundred packets of bulk
 * TCP must fit beside it. It is no reservation: memory is spent only while packets wait.
 */
static void size_buffers(struct queue *queue, uint32_t length)
{
    size_t bulk_packets = length / 16 > BULK_PACKETS_MIN ? length / 16 : BULK_PACKETS_MIN;
    size_t bytes = length * COST_OF_A_FRAME + bulk_packets * COST_OF_BULK;

    netlink_size_buffer(queue->socket, SO_RCVBUF, bytes / 2);
    netlink_size_buffer(queue->socket, SO_SNDBUF, (size_t)QUEUE_BATCH * QUEUE_BUFFER);
}

/* NO_ENOBUFS: a burst that overruns the buffer costs the packets of the burst, not the socket. */
static void set_options(struct queue *queue)
{
    int on = 1;

    (void)mnl_socket_setsockopt(queue->socket, NETLINK_NO_ENOBUFS, &on, sizeof(on));
    /* An error message need not bring back the 64 KiB that caused it. */
    (void)mnl_socket_setsockopt(queue->socket, NETLINK_CAP_ACK, &on, sizeof(on));
}

static int allocate_buffers(struct queue *queue)
{
    char *memory = aligned_alloc(PAGE, (size_t)QUEUE_BATCH * QUEUE_BUFFER);

    if (memory == NULL)
        return -ENOMEM;
    memset(memory, 0, (size_t)QUEUE_BATCH * QUEUE_BUFFER); /* no page faults later */
    for (size_t i = 0; i < QUEUE_BATCH; i++) {
        queue->buffers[i].iov_base = memory + i * QUEUE_BUFFER;
        queue->buffers[i].iov_len = QUEUE_BUFFER;
        queue->messages[i].msg_hdr.msg_iov = &queue->buffers[i];
        queue->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return 0;
}

/*
 * The kernel answers EPERM both to the unprivileged and to whoever touches a queue of another
 * socket (nfqnl_recv_config compares port ids before it looks at the command). An obsolete command
 * that does nothing tells them apart: it asks for the capability, but names no queue.
 */
static bool has_capability(const struct queue *queue)
{
    struct request request __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message = request_begin(queue, &request, NLM_F_ACK);

    nfq_nlmsg_cfg_put_cmd(message, AF_INET, NFQNL_CFG_CMD_PF_BIND);
    return netlink_ask(queue->socket, message, NULL, NULL) == 0;
}

static int explain_held(const struct queue *queue, struct error *error)
{
    struct queue_statistics unused;
    uint32_t owner;

    if (queue_find_owner(queue->number, &owner, &unused) == 0)
        error_set(error, "queue %u is used by another program (netlink port id %u)", queue->number,
                  owner);
    else
        error_set(error, "queue %u is used by another program", queue->number);
    return -EBUSY;
}

static int explain_bind(const struct queue *queue, int result, struct error *error)
{
    if (result == -EBUSY || (result == -EPERM && has_capability(queue)))
        return explain_held(queue, error);
    if (result == -EPERM)
        error_set(error, "cannot bind queue %u: needs CAP_NET_ADMIN: run as root", queue->number);
    else if (result == -EINVAL)
        error_set(error, "this kernel has no nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE)");
    else
        error_set(error, "cannot bind queue %u: %s", queue->number, strerror(-result));
    return result;
}

static int open_bound(struct queue *queue, uint32_t length, struct error *error)
{
    int result = netlink_open(&queue->socket, NETLINK_NETFILTER, 0, "packet queue", error);

    if (result < 0)
        return result;
    set_options(queue);
    size_buffers(queue, length);
    result = bind_number(queue);
    if (result < 0)
        return explain_bind(queue, result, error);
    result = configure(queue, length);
    if (result == -EOPNOTSUPP) {
        error_set(error, "queue %u: this kernel cannot queue GSO packets (NFQA_CFG_F_GSO)",
                  queue->number);
        return result;
    }
    if (result == 0)
        result = start_copying(queue);
    if (result < 0)
        error_set(error, "cannot configure queue %u: %s", queue->number, strerror(-result));
    return result;
}

int queue_open(struct queue **queue, const struct queue_options *options, struct error *error)
{
    struct queue *opened = calloc(1, sizeof(*opened));
    int result;

    if (opened == NULL || allocate_buffers(opened) < 0) {
        error_set(error, "queue %u: not enough memory", options->number);
        free(opened);
        return -ENOMEM;
    }
    opened->number = options->number;
    opened->hairpin_mark = options->hairpin_mark;
    result = open_bound(opened, options->length, error);
    if (result < 0) {
        queue_close(opened);
        return result;
    }
    *queue = opened;
    return 0;
}

void queue_close(struct queue *queue)
{
    if (queue == NULL)
        return;
    if (queue->socket != NULL)
        mnl_socket_close(queue->socket);
    free(queue->buffers[0].iov_base);
    free(queue);
}

int queue_descriptor(const struct queue *queue)
{
    return mnl_socket_get_fd(queue->socket);
}

static uint32_t read_u32(const struct nlattr *attribute)
{
    return attribute != NULL ? ntohl(mnl_attr_get_u32(attribute)) : 0;
}

static void fill_packet(const struct queue *queue, struct packet *packet,
                        struct nlattr **attributes, uint32_t mark)
{
    const struct nlattr *payload = attributes[NFQA_PAYLOAD];
    uint32_t flags = read_u32(attributes[NFQA_SKB_INFO]);

    packet->data = payload != NULL ? mnl_attr_get_payload(payload) : NULL;
    packet->length = payload != NULL ? mnl_attr_get_payload_len(payload) : 0;
    packet->in_interface = read_u32(attributes[NFQA_IFINDEX_INDEV]);
    packet->out_interface = read_u32(attributes[NFQA_IFINDEX_OUTDEV]);
    packet->transit = mark & queue->hairpin_mark;
    packet->checksum_missing = flags & NFQA_SKB_CSUMNOTREADY;
    packet->gso = flags & NFQA_SKB_GSO;
    packet->truncated = read_u32(attributes[NFQA_CAP_LEN]) > packet->length;
    packet->verdict = VERDICT_DROP;
    packet->reason = DROP_NONE;
}

/*
 * The gateway's own packets take the same two steps: destination where they are made, source where
 * they arrive.
 */
static bool read_hook(const struct nfqnl_msg_packet_hdr *header, enum packet_hook *hook)
{
    switch (header->hook) {
    case NF_INET_PRE_ROUTING:
    case NF_INET_LOCAL_OUT:
        *hook = HOOK_INBOUND;
        return true;
    case NF_INET_POST_ROUTING:
    case NF_INET_LOCAL_IN:
        *hook = HOOK_OUTBOUND;
        return true;
    default:
        return false;
    }
}

static void take_message(struct queue *queue, const struct nlmsghdr *message, size_t length)
{
    struct nlattr *attributes[ATTRIBUTES] = {0};
    const struct nfqnl_msg_packet_hdr *header;
    enum packet_hook hook;
    uint32_t mark;

    /*
     * Other messages are errors about verdicts: about packets that are gone (their device went,
     * say).
     */
    if (!mnl_nlmsg_ok(message, (int)length) || message->nlmsg_type != PACKET_MESSAGE)
        return;
    if (nfq_nlmsg_parse(message, attributes) < 0 || attributes[NFQA_PACKET_HDR] == NULL)
        return;
    header = mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]);
    if (!read_hook(header, &hook)) {
        queue_pass(queue, ntohl(header->packet_id));
        return;
    }
    mark = read_u32(attributes[NFQA_MARK]);
    fill_packet(queue, &queue->packets[queue->count], attributes, mark);
    queue->packets[queue->count].hook = hook;
    if (header->hook == NF_INET_LOCAL_IN)
        queue->packets[queue->count].gso =
            false; /* nobody will segment it: the whole checksum is ours */
    queue->handles[queue->count] =
        (struct queue_handle){.id = ntohl(header->packet_id), .mark = mark};
    queue->count++;
}

static bool is_transient(int error_number)
{
    return error_number == EAGAIN || error_number == EINTR || error_number == ENOBUFS;
}

int queue_receive(struct queue *queue, struct packet **packets)
{
    int received =
        recvmmsg(queue_descriptor(queue), queue->messages, QUEUE_BATCH, MSG_DONTWAIT, NULL);

    queue->count = 0;
    *packets = queue->packets;
    if (received < 0)
        return is_transient(errno) ? 0 : -errno;
    for (int i = 0; i < received; i++)
        take_message(queue, queue->buffers[i].iov_base, queue->messages[i].msg_len);
    return (int)queue->count;
}
