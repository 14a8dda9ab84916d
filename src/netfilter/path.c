/*
 * path.c - which way the kernel would send a packet, and what it knows about the next hop
 */
#include "portreeve/path.h"

#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

static int ask(struct nlmsghdr *request, mnl_cb_t each, void *context)
{
    struct mnl_socket *socket;
    struct error ignored = {0};
    int result = netlink_open(&socket, NETLINK_ROUTE, 0, "routes", &ignored);

    if (result < 0)
        return result;
    result = netlink_ask(socket, request, each, context);
    mnl_socket_close(socket);
    return result;
}

static int take_route_attribute(const struct nlattr *attribute, void *context)
{
    struct path *path = context;
    uint16_t type = mnl_attr_get_type(attribute);

    if (mnl_attr_get_payload_len(attribute) != sizeof(uint32_t))
        return MNL_CB_OK;
    if (type == RTA_OIF)
        path->interface = mnl_attr_get_u32(attribute);
    else if (type == RTA_GATEWAY)
        path->next_hop = address_from_ipv4(ntohl(mnl_attr_get_u32(attribute)));
    return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *message, void *context)
{
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);
    struct path *path = context;

    if (message->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(message) < sizeof(*route))
        return MNL_CB_OK;
    path->is_local = route->rtm_type == RTN_LOCAL;
    return mnl_attr_parse(message, sizeof(*route), take_route_attribute, path);
}

int path_find(const struct address *from, const struct address *to, uint32_t in_interface,
              struct path *path)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct rtmsg *route;
    int result;

    *path = (struct path){.next_hop = *to};
    request->nlmsg_type = RTM_GETROUTE;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    route = mnl_nlmsg_put_extra_header(request, sizeof(*route));
    route->rtm_family = AF_INET;
    route->rtm_dst_len = route->rtm_src_len = 32;
    mnl_attr_put_u32(request, RTA_DST, htonl(address_to_ipv4(to)));
    if (from != NULL && in_interface != 0) {
        mnl_attr_put_u32(request, RTA_SRC, htonl(address_to_ipv4(from)));
        mnl_attr_put_u32(request, RTA_IIF, in_interface);
    } else {
        route->rtm_src_len = 0;
    }
    result = ask(request, take_route, path);
    if (result == 0 && if_indextoname(path->interface, path->name) == NULL)
        path->name[0] = '\0';
    return result;
}

static int take_hop(const struct nlmsghdr *message, void *context)
{
    const struct ndmsg *hop = mnl_nlmsg_get_payload(message);
    uint16_t *state = context;

    if (message->nlmsg_type == RTM_NEWNEIGH && mnl_nlmsg_get_payload_len(message) >= sizeof(*hop))
        *state = hop->ndm_state;
    return MNL_CB_OK;
}

enum path_hop path_hop_state(uint32_t interface, const struct address *address)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    uint16_t state = NUD_NONE;
    struct ndmsg *hop;

    request->nlmsg_type = RTM_GETNEIGH;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    hop = mnl_nlmsg_put_extra_header(request, sizeof(*hop));
    hop->ndm_family = AF_INET;
    hop->ndm_ifindex = (int)interface;
    mnl_attr_put_u32(request, NDA_DST, htonl(address_to_ipv4(address)));
    if (ask(request, take_hop, &state) < 0)
        return PATH_HOP_UNKNOWN;
    if (state & NUD_FAILED)
        return PATH_HOP_FAILS;
    if (state & NUD_INCOMPLETE)
        return PATH_HOP_ASKING;
    return state == NUD_NONE ? PATH_HOP_UNKNOWN : PATH_HOP_REACHABLE;
}
