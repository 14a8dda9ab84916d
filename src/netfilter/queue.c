/*
 * queue.c - one netfilter queue: bind it, receive batches of packets
 *
 * Theory of operation
 *
 * Every packet is a netlink message of its own. recvmmsg copies up to QUEUE_BATCH of them, each
 * into a buffer that is large enough for any packet. The packets stay there: the translator
 * rewrites them in place, and queue_verdict.c sends them from there. So the kernel copies a packet
 * twice and we never do. A packet is valid until the next queue_receive.
 *
 * Every received packet id must be answered. Otherwise the packet stays in the kernel's queue, and
 * its place is lost until the queue is unbound. That is why queue_receive also returns packets that
 * cannot be translated, and why sending splits a batch that the kernel does not accept instead of
 * giving it up.
 */
#include "queue_internal.h"

#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libnetfilter_queue/libnetfilter_queue.h>

#define PACKET_MESSAGE (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)

/*
 * nfq_nlmsg_parse knows the attributes of the library's version, which may be newer than this
 * header.
 */
#define ATTRIBUTES (NFQA_MAX + 1 > 64 ? NFQA_MAX + 1 : 64)

#define PAGE ((size_t)4096) /* bytes */

/*
 * What one waiting packet costs of the socket's buffer (skb->truesize): a packet of an ordinary
 * link is in a 2 KiB slab with its bookkeeping next to it, a packet of GRO or GSO in 64 KiB of
 * pages.
 */
#define COST_OF_A_FRAME  PAGE
#define COST_OF_BULK     ((size_t)72 * 1024)
#define BULK_PACKETS_MIN 256u

struct request {
    char bytes[NETLINK_REQUEST];
};

static struct nlmsghdr *request_begin(uint16_t number, struct request *request, uint16_t flags)
{
    struct nlmsghdr *message = nfq_nlmsg_put(request->bytes, NFQNL_MSG_CONFIG, number);

    message->nlmsg_flags |= flags;
    return message;
}

static int ask_to_bind(struct queue *queue, uint16_t number)
{
    struct request request __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message = request_begin(number, &request, NLM_F_ACK);

    nfq_nlmsg_cfg_put_cmd(message, AF_INET, NFQNL_CFG_CMD_BIND);
    return netlink_ask(queue->socket, message, NULL, NULL);
}

static int send_request(const struct queue *queue, const struct nlmsghdr *message)
{
    return mnl_socket_sendto(queue->socket, message, message->nlmsg_len) < 0 ? -errno : 0;
}

static int configure(struct queue *queue, uint16_t number, uint32_t length, uint32_t wanted)
{
    struct request request __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message =
        request_begin(number, &request, queue->is_taken_over ? 0 : NLM_F_ACK);
    const uint32_t known = NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_CONNTRACK;

    nfq_nlmsg_cfg_put_qmaxlen(message, length);
    mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(wanted));
    mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(known));
    if (queue->is_taken_over) /* the acknowledgement would be behind packets that wait */
        return send_request(queue, message);
    return netlink_ask(queue->socket, message, NULL, NULL);
}

/*
 * A bound queue receives no packets until it knows how much to copy. So this comes last, and
 * without a request for an acknowledgement, which would be in the socket among the first packets.
 * (For the same reason both numbers are bound before the first of them starts.)
 */
static int start_copying(struct queue *queue, uint16_t number)
{
    struct request request __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message = request_begin(number, &request, 0);

    nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, 0xffff);
    return send_request(queue, message);
}

/*
 * A queue's length limits the packets that wait for verdicts, the socket's buffer those that wait
 * to be read, and a packet needs a place in both. The buffer counts memory. It must hold two full
 * queues of ordinary frames, otherwise their length could not be used, and besides some hundred
 * packets of bulk TCP. This does not reserve memory: it is used only while packets wait.
 */
static void size_buffers(struct queue *queue, uint32_t length)
{
    size_t bulk_packets = length / 16 > BULK_PACKETS_MIN ? length / 16 : BULK_PACKETS_MIN;
    size_t bytes = length * COST_OF_A_FRAME + bulk_packets * COST_OF_BULK;

    netlink_size_buffer(queue->socket, SO_RCVBUF, bytes / 2);
    netlink_size_buffer(queue->socket, SO_SNDBUF, (size_t)QUEUE_BATCH * QUEUE_BUFFER);
}

/*
 * NO_ENOBUFS: a burst that does not fit into the buffer loses packets, but the socket does not
 * fail.
 */
static void set_options(struct queue *queue)
{
    int on = 1;

    (void)mnl_socket_setsockopt(queue->socket, NETLINK_NO_ENOBUFS, &on, sizeof(on));
    /* An error message need not contain the 64 KiB that caused it. */
    (void)mnl_socket_setsockopt(queue->socket, NETLINK_CAP_ACK, &on, sizeof(on));
}

static int allocate_buffers(struct queue *queue)
{
    char *memory = aligned_alloc(PAGE, (size_t)QUEUE_BATCH * QUEUE_BUFFER);

    if (memory == NULL)
        return -ENOMEM;
    memset(memory, 0, (size_t)QUEUE_BATCH * QUEUE_BUFFER); /* so that no page faults occur later */
    for (size_t i = 0; i < QUEUE_BATCH; i++) {
        queue->buffers[i].iov_base = memory + i * QUEUE_BUFFER;
        queue->buffers[i].iov_len = QUEUE_BUFFER;
        queue->messages[i].msg_hdr.msg_iov = &queue->buffers[i];
        queue->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return 0;
}

/*
 * The kernel answers EPERM both to an unprivileged process and to a process that addresses another
 * socket's queue (nfqnl_recv_config compares port ids before it looks at the command). An obsolete
 * command that does nothing tells the two apart: it needs the capability, but names no queue.
 */
static bool has_capability(const struct queue *queue)
{
    struct request request __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message = request_begin(queue->number, &request, NLM_F_ACK);

    nfq_nlmsg_cfg_put_cmd(message, AF_INET, NFQNL_CFG_CMD_PF_BIND);
    return netlink_ask(queue->socket, message, NULL, NULL) == 0;
}

static int explain_held(uint16_t number, struct error *error)
{
    struct queue_statistics unused;
    uint32_t owner;

    if (queue_find_owner(number, &owner, &unused) == 0)
        error_set(error, "queue %u is used by another program (netlink port id %u)", number, owner);
    else
        error_set(error, "queue %u is used by another program", number);
    return -EBUSY;
}

static int explain_bind(const struct queue *queue, uint16_t number, int result, struct error *error)
{
    if (result == -EBUSY || (result == -EPERM && has_capability(queue)))
        return explain_held(number, error);
    if (result == -EPERM)
        error_set(error, "cannot bind queue %u: needs CAP_NET_ADMIN: run as root", number);
    else if (result == -EINVAL)
        error_set(error,
                  "queue %u: this kernel has no nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE)",
                  number);
    else
        error_set(error, "cannot bind queue %u: %s", number, strerror(-result));
    return result;
}

static int bind_number(struct queue *queue, uint16_t number, struct error *error)
{
    int result = ask_to_bind(queue, number);

    return result < 0 ? explain_bind(queue, number, result, error) : 0;
}

int queue_bind(struct queue *queue, struct error *error)
{
    char purpose[sizeof("queue 65535")];
    int result;

    snprintf(purpose, sizeof(purpose), "queue %hu", queue->number);
    result = netlink_open(&queue->socket, NETLINK_NETFILTER, 0, purpose, error);
    if (result < 0)
        return result;
    set_options(queue);
    return bind_number(queue, queue->number, error);
}

bool queue_is_bound_to(uint16_t number, int descriptor)
{
    struct sockaddr_nl address = {0};
    socklen_t length = sizeof(address);
    struct queue_statistics unused;
    uint32_t owner;

    return getsockname(descriptor, (struct sockaddr *)&address, &length) == 0 &&
           address.nl_family == AF_NETLINK && queue_find_owner(number, &owner, &unused) == 0 &&
           owner == address.nl_pid;
}

static bool has_two_numbers(const struct queue *queue)
{
    return queue->udp_number != queue->number;
}

/* Without an acknowledgement, which would be behind the packets that wait. */
static int bind_also(struct queue *queue, uint16_t number)
{
    struct request request __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message = request_begin(number, &request, 0);
    int result;

    nfq_nlmsg_cfg_put_cmd(message, AF_INET, NFQNL_CFG_CMD_BIND);
    result = send_request(queue, message);
    if (result == 0 && !queue_is_bound_to(number, queue_descriptor(queue)))
        result = -EBUSY;
    return result;
}

static int take_over(struct queue *queue, int descriptor, struct error *error)
{
    int result = 0;

    queue->socket = mnl_socket_fdopen(descriptor);
    queue->is_taken_over = queue->may_have_read[0] = queue->may_have_read[1] = true;
    if (queue->socket == NULL) {
        result = -errno;
        close(descriptor);
    } else if (has_two_numbers(queue) && !queue_is_bound_to(queue->udp_number, descriptor)) {
        result = bind_also(queue, queue->udp_number);
    }
    if (result < 0)
        error_set(error, "queues %u and %u: cannot use the socket of the earlier run: %s",
                  queue->number, queue->udp_number, strerror(-result));
    return result;
}

static int bind_all(struct queue *queue, struct error *error)
{
    int result = queue_bind(queue, error);

    if (result == 0 && has_two_numbers(queue))
        result = bind_number(queue, queue->udp_number, error);
    return result;
}

static int open_bound(struct queue *queue, uint32_t length, int descriptor, struct error *error)
{
    int result = descriptor >= 0 ? take_over(queue, descriptor, error) : bind_all(queue, error);

    if (result < 0)
        return result;
    size_buffers(queue, 2 * length);
    result = configure(queue, queue->number, length, NFQA_CFG_F_GSO);
    if (result == -EOPNOTSUPP) {
        error_set(error, "queue %u: this kernel cannot queue GSO packets (NFQA_CFG_F_GSO)",
                  queue->number);
        return result;
    }
    if (result == 0 && has_two_numbers(queue))
        result = configure(queue, queue->udp_number, length, 0);
    if (result == 0)
        result = start_copying(queue, queue->number);
    if (result == 0 && has_two_numbers(queue))
        result = start_copying(queue, queue->udp_number);
    if (result < 0)
        error_set(error, "cannot configure queues %u and %u: %s", queue->number, queue->udp_number,
                  strerror(-result));
    return result;
}

int queue_open(struct queue **queue, const struct queue_options *options, struct error *error)
{
    struct queue *opened = calloc(1, sizeof(*opened));
    int result;

    if (opened == NULL || allocate_buffers(opened) < 0) {
        error_set(error, "queue %u: not enough memory", options->number);
        if (options->descriptor >= 0)
            close(options->descriptor);
        free(opened);
        return -ENOMEM;
    }
    opened->number = options->number;
    opened->udp_number = options->udp_number;
    opened->hairpin_mark = options->hairpin_mark;
    result = open_bound(opened, options->length, options->descriptor, error);
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

static void fill_packet(struct packet *packet, struct nlattr **attributes)
{
    const struct nlattr *payload = attributes[NFQA_PAYLOAD];
    uint32_t flags = read_u32(attributes[NFQA_SKB_INFO]);

    packet->data = payload != NULL ? mnl_attr_get_payload(payload) : NULL;
    packet->length = payload != NULL ? mnl_attr_get_payload_len(payload) : 0;
    packet->in_interface = read_u32(attributes[NFQA_IFINDEX_INDEV]);
    packet->out_interface = read_u32(attributes[NFQA_IFINDEX_OUTDEV]);
    packet->transit = false;
    packet->checksum_missing = flags & NFQA_SKB_CSUMNOTREADY;
    packet->gso = flags & NFQA_SKB_GSO;
    packet->truncated = read_u32(attributes[NFQA_CAP_LEN]) > packet->length;
    packet->verdict = VERDICT_DROP;
    packet->reason = DROP_NONE;
}

/*
 * The gateway's own packets are rewritten in the same two steps: the destination when they are
 * sent, the source when they are delivered.
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

/* Each message names the queue that its packet waits in (NFQNL_MSG_PACKET: res_id). */
static uint16_t number_of(const struct nlmsghdr *message)
{
    const struct nfgenmsg *general = mnl_nlmsg_get_payload(message);

    return ntohs(general->res_id);
}

/*
 * The first packet after a takeover: those with a lower id were read by the earlier run, and it has
 * not answered all of them, if it was killed.
 */
static void repeat_earlier(struct queue *queue, struct queue_handle handle)
{
    bool *may_have_read = &queue->may_have_read[handle.number == queue->udp_number];

    handle.id--;
    if (*may_have_read)
        queue_repeat_to(queue, handle);
    *may_have_read = false;
}

static void take_message(struct queue *queue, const struct nlmsghdr *message, size_t length)
{
    struct nlattr *attributes[ATTRIBUTES] = {0};
    const struct nfqnl_msg_packet_hdr *header;
    struct queue_handle handle;
    enum packet_hook hook;

    /*
     * Other messages are errors about verdicts, for packets that no longer exist (after their
     * device was removed, for example).
     */
    if (!mnl_nlmsg_ok(message, (int)length) || message->nlmsg_type != PACKET_MESSAGE)
        return;
    if (nfq_nlmsg_parse(message, attributes) < 0 || attributes[NFQA_PACKET_HDR] == NULL)
        return;
    header = mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]);
    handle = (struct queue_handle){.id = ntohl(header->packet_id),
                                   .mark = read_u32(attributes[NFQA_MARK]),
                                   .number = number_of(message)};
    if (!read_hook(header, &hook)) {
        queue_pass(queue, handle);
        return;
    }
    repeat_earlier(queue, handle);
    fill_packet(&queue->packets[queue->count], attributes);
    queue->packets[queue->count].hook = hook;
    if (header->hook ==
        NF_INET_LOCAL_IN) /* it will not be segmented, so we compute the whole checksum */
        queue->packets[queue->count].gso = false;
    queue->handles[queue->count] = handle;
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
