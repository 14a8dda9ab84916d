/*
 * conntrack_helper.c - a helper of connection tracking that helps nobody
 */
#include "conntrack_helper.h"

#include "netlink.h"
#include "portreeve/protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_cthelper.h>
#include <stddef.h>
#include <stdint.h>

static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP};

/* A request about the helper of this protocol. `buffer` has NETLINK_REQUEST bytes, all zero. */
static struct nlmsghdr *begin(char *buffer, uint16_t type, uint16_t flags, uint8_t protocol)
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *general = mnl_nlmsg_put_extra_header(request, sizeof(*general));
    struct nlattr *tuple;

    request->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTHELPER << 8 | type);
    request->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    general->nfgen_family = NFPROTO_UNSPEC;
    general->version = NFNETLINK_V0;
    mnl_attr_put_strz(request, NFCTH_NAME, CONNTRACK_HELPER);
    tuple = mnl_attr_nest_start(request, NFCTH_TUPLE);
    mnl_attr_put_u16(request, NFCTH_TUPLE_L3PROTONUM, htons(NFPROTO_IPV4));
    mnl_attr_put_u8(request, NFCTH_TUPLE_L4PROTONUM, protocol);
    mnl_attr_nest_end(request, tuple);
    return request;
}

/* The kernel wants to know how many connections a helper may expect, and for how long. */
static void put_policy(struct nlmsghdr *request)
{
    struct nlattr *policies = mnl_attr_nest_start(request, NFCTH_POLICY), *policy;

    mnl_attr_put_u32(request, NFCTH_POLICY_SET_NUM, htonl(1));
    policy = mnl_attr_nest_start(request, NFCTH_POLICY_SET1);
    mnl_attr_put_strz(request, NFCTH_POLICY_NAME, CONNTRACK_HELPER);
    mnl_attr_put_u32(request, NFCTH_POLICY_EXPECT_MAX, htonl(1));
    mnl_attr_put_u32(request, NFCTH_POLICY_EXPECT_TIMEOUT, htonl(1));
    mnl_attr_nest_end(request, policy);
    mnl_attr_nest_end(request, policies);
}

int conntrack_helper_register(struct mnl_socket *socket)
{
    int result = 0;

    for (size_t i = 0; i < sizeof(protocols) && result == 0; i++) {
        char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
        struct nlmsghdr *request =
            begin(buffer, NFNL_MSG_CTHELPER_NEW, NLM_F_CREATE | NLM_F_EXCL, protocols[i]);

        put_policy(request);
        mnl_attr_put_u32(request, NFCTH_PRIV_DATA_LEN, htonl(0));
        mnl_attr_put_u32(request, NFCTH_STATUS, htonl(NFCT_HELPER_STATUS_DISABLED));
        result = netlink_ask(socket, request, NULL, NULL);
        if (result == -EEXIST)
            result = 0;
    }
    return result;
}

int conntrack_helper_remove(struct mnl_socket *socket)
{
    int result = 0;

    for (size_t i = 0; i < sizeof(protocols); i++) {
        char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
        struct nlmsghdr *request = begin(buffer, NFNL_MSG_CTHELPER_DEL, 0, protocols[i]);

        if (netlink_ask(socket, request, NULL, NULL) == -EBUSY)
            result = -EBUSY;
    }
    return result;
}
