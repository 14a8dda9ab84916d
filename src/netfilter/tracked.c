/*
 * tracked.c - connections of the host's connection tracking that a flowtable may take over
 */
#include "portreeve/tracked.h"

#include "netlink.h"
#include "tracked_parse.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

struct walk {
    const struct tracked_scope *scope;
    struct mnl_socket *listing, *deleting; /* a socket answers one request at a time */
    int deleted;
};

static struct nlmsghdr *begin(char *buffer, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *general = mnl_nlmsg_put_extra_header(request, sizeof(*general));

    request->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
    request->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    general->nfgen_family = NFPROTO_IPV4;
    general->version = NFNETLINK_V0;
    return request;
}

/* The id tells it from a later one with the same addresses and ports. */
static void forget(struct walk *walk, const struct tracked *tracked)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = begin(buffer, IPCTNL_MSG_CT_DELETE, NLM_F_ACK);

    if (mnl_attr_get_payload_len(tracked->tuple) > sizeof(buffer) / 2)
        return;
    mnl_attr_put(request, CTA_TUPLE_ORIG | NLA_F_NESTED, mnl_attr_get_payload_len(tracked->tuple),
                 mnl_attr_get_payload(tracked->tuple));
    mnl_attr_put_u32(request, CTA_ID, mnl_attr_get_u32(tracked->id));
    if (tracked->zone != NULL)
        mnl_attr_put_u16(request, CTA_ZONE, mnl_attr_get_u16(tracked->zone));
    if (netlink_ask(walk->deleting, request, NULL, NULL) == 0)
        walk->deleted++;
}

static int take(const struct nlmsghdr *message, void *context)
{
    struct walk *walk = context;
    struct tracked tracked;

    if (tracked_parse(message, &tracked) && tracked_is_in_scope(&tracked, walk->scope))
        forget(walk, &tracked);
    return MNL_CB_OK;
}

/* A disturbed listing needs no second try: our own deletions would disturb every one. */
static int walk_over(struct walk *walk, struct error *error)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    int result =
        netlink_ask(walk->listing, begin(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP), take, walk);

    if (result < 0 && result != -EINTR) {
        error_set(
            error, "cannot list the connections of connection tracking: %s%s", strerror(-result),
            result == -EINVAL || result == -EOPNOTSUPP ? " (the kernel lacks CONFIG_NF_CT_NETLINK)"
                                                       : "");
        return result;
    }
    return walk->deleted;
}

int tracked_forget(const struct tracked_scope *scope, struct error *error)
{
    static const char purpose[] = "connections of connection tracking";
    struct walk walk = {.scope = scope};
    int result = netlink_open(&walk.listing, NETLINK_NETFILTER, 0, purpose, error);

    if (result == 0)
        result = netlink_open(&walk.deleting, NETLINK_NETFILTER, 0, purpose, error);
    if (result == 0)
        result = walk_over(&walk, error);
    if (walk.listing != NULL)
        mnl_socket_close(walk.listing);
    if (walk.deleting != NULL)
        mnl_socket_close(walk.deleting);
    return result;
}
