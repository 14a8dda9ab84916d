/*
 * ruleset_watch.c - news of changes that other programs make to our table
 *
 * Every change of nf_tables is announced to the group NFNLGRP_NFTABLES: tables, chains, rules, sets
 * and elements, after the transaction. So a flushed set or an exchanged rule is noticed as a
 * removed table is, and nothing has to be compared. A filter in the kernel takes out what we change
 * ourselves: each session that is offloaded is such a change.
 */
#include "ruleset_watch.h"

#include "netlink.h"
#include "ruleset_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Room for the notifications of a large change (bytes). If it is not enough, we are told. */
#define NEWS_BUFFER (1u << 18)

struct ruleset_watch {
    struct mnl_socket *socket;
};

/*
 * Drops what carries our own port id. All messages of one datagram are of one transaction, so the
 * first one tells. BPF loads words in network byte order.
 */
static int leave_out_own(const struct mnl_socket *socket, uint32_t own_port)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own_port), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    return setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                      sizeof(program)) < 0
               ? -errno
               : 0;
}

int ruleset_watch_open(struct ruleset_watch **watch, uint32_t own_port, struct error *error)
{
    struct ruleset_watch *opened = calloc(1, sizeof(*opened));
    int result;

    if (opened == NULL) {
        error_set(error, "the watch over the nf_tables rules: not enough memory");
        return -ENOMEM;
    }
    result = netlink_open(&opened->socket, NETLINK_NETFILTER, 1u << (NFNLGRP_NFTABLES - 1),
                          "the watch over the nf_tables rules", error);
    if (result < 0) {
        free(opened);
        return result;
    }
    netlink_size_buffer(opened->socket, SO_RCVBUF, NEWS_BUFFER);
    result = leave_out_own(opened->socket, own_port);
    if (result < 0) {
        error_set(error, "the watch over the nf_tables rules: cannot attach its filter: %s",
                  strerror(-result));
        ruleset_watch_close(opened);
        return result;
    }
    *watch = opened;
    return 0;
}

void ruleset_watch_close(struct ruleset_watch *watch)
{
    if (watch == NULL)
        return;
    mnl_socket_close(watch->socket);
    free(watch);
}

int ruleset_watch_get_descriptor(const struct ruleset_watch *watch)
{
    return watch != NULL ? mnl_socket_get_fd(watch->socket) : -1;
}

/* The name of the table is attribute 1 of every message. */
_Static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
                   NFTA_SET_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1,
               "one attribute for the table");

static int take_table(const struct nlattr *attribute, void *context)
{
    bool *ours = context;

    if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
        *ours = strcmp(mnl_attr_get_str(attribute), RULESET_TABLE) == 0;
    return MNL_CB_OK;
}

static bool is_about_us(const struct nlmsghdr *message)
{
    const struct nfgenmsg *general = mnl_nlmsg_get_payload(message);
    bool ours = false;

    if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
        NFNL_MSG_TYPE(message->nlmsg_type) == NFT_MSG_NEWGEN ||
        mnl_nlmsg_get_payload_len(message) < sizeof(*general) ||
        general->nfgen_family != NFPROTO_IPV4)
        return false;
    (void)mnl_attr_parse(message, sizeof(*general), take_table, &ours);
    return ours;
}

bool ruleset_watch_read(struct ruleset_watch *watch)
{
    char buffer[NETLINK_BUFFER] __attribute__((aligned(8)));
    bool changed = false;

    while (watch != NULL) {
        ssize_t length = recv(mnl_socket_get_fd(watch->socket), buffer, sizeof(buffer),
                              MSG_DONTWAIT | MSG_TRUNC);
        const struct nlmsghdr *message = (const void *)buffer;
        int left = (int)length;

        if (length < 0 && errno != EINTR && errno != ENOBUFS)
            break;
        if (length < 0 || (size_t)length > sizeof(buffer)) {
            changed |= length > 0 || errno == ENOBUFS;
            continue;
        }
        for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
            changed |= is_about_us(message);
    }
    return changed;
}
