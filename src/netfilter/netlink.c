/*
 * netlink.c - a netlink socket: open it, send a request, read the answer
 */
#include "netlink.h"

#include <errno.h>
#include <limits.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

int netlink_open(struct mnl_socket **socket, int family, unsigned int groups, const char *purpose,
                 struct error *error)
{
    struct mnl_socket *opened = mnl_socket_open2(family, SOCK_CLOEXEC);

    if (opened == NULL) {
        int result = -errno;

        error_set(error, "%s: cannot open a netlink socket: %s%s", purpose, strerror(-result),
                  result == -EPROTONOSUPPORT ? " (the kernel lacks this netlink family)" : "");
        return result;
    }
    if (mnl_socket_bind(opened, groups, MNL_SOCKET_AUTOPID) < 0) {
        int result = -errno;

        error_set(error, "%s: cannot bind a netlink socket: %s", purpose, strerror(-result));
        mnl_socket_close(opened);
        return result;
    }
    *socket = opened;
    return 0;
}

/*
 * The messages of a dump that a change has disturbed are marked. mnl_cb_run would stop at the first
 * such message and leave the rest in the socket, which then refuses the next dump. So the mark is
 * removed and remembered.
 */
static bool take_disturbed_mark(char *buffer, size_t length)
{
    struct nlmsghdr *message = (struct nlmsghdr *)buffer;
    bool disturbed = false;
    int left = (int)length;

    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        if (message->nlmsg_flags & NLM_F_DUMP_INTR)
            disturbed = true;
        message->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
    }
    return disturbed;
}

static int read_answer(struct mnl_socket *socket, unsigned int sequence, mnl_cb_t each,
                       void *context)
{
    char buffer[NETLINK_BUFFER] __attribute__((aligned(8)));
    unsigned int port = mnl_socket_get_portid(socket);
    bool disturbed = false;

    for (;;) {
        ssize_t length = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
        int status;

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return -errno;
        disturbed |= take_disturbed_mark(buffer, (size_t)length);
        status = mnl_cb_run(buffer, (size_t)length, sequence, port, each, context);
        if (status < 0)
            return -errno;
        if (status == MNL_CB_STOP)
            return disturbed ? -EINTR : 0;
    }
}

int netlink_ask(struct mnl_socket *socket, struct nlmsghdr *request, mnl_cb_t each, void *context)
{
    static _Thread_local unsigned int last_sequence;

    request->nlmsg_seq = ++last_sequence;
    if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
        return -errno;
    return read_answer(socket, request->nlmsg_seq, each, context);
}

static int take(const struct nlattr *attribute, void *context)
{
    const struct nlattr **attributes = context;

    if (mnl_attr_get_type(attribute) < NETLINK_ATTRIBUTES)
        attributes[mnl_attr_get_type(attribute)] = attribute;
    return MNL_CB_OK;
}

bool netlink_read_message(const struct nlmsghdr *message, uint16_t type, uint8_t *family,
                          const struct nlattr **attributes)
{
    const struct nfgenmsg *general = mnl_nlmsg_get_payload(message);

    memset(attributes, 0, NETLINK_ATTRIBUTES * sizeof(*attributes));
    if (message->nlmsg_type != type || mnl_nlmsg_get_payload_len(message) < sizeof(*general))
        return false;
    *family = general->nfgen_family;
    return mnl_attr_parse(message, sizeof(*general), take, attributes) >= 0;
}

void netlink_read_nested(const struct nlattr *nest, const struct nlattr **attributes)
{
    memset(attributes, 0, NETLINK_ATTRIBUTES * sizeof(*attributes));
    if (nest != NULL)
        (void)mnl_attr_parse_nested(nest, take, attributes);
}

void netlink_size_buffer(const struct mnl_socket *socket, int option, size_t bytes)
{
    int forced = option == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;
    int value = bytes < INT_MAX / 2 ? (int)bytes : INT_MAX / 2;

    /*
     * Either call may fail. A small buffer costs speed or packets (the statistics show them), but
     * not correctness.
     */
    if (setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, forced, &value, sizeof(value)) < 0)
        (void)setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, option, &value, sizeof(value));
}
