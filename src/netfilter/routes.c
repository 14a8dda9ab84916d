/*
 * routes.c - the interfaces that hold a default route, read and watched with rtnetlink
 *
 * Two sockets, as in addresses.c: one for notifications, one for requests. A filter in the kernel
 * drops notifications of other routes before they fill the socket: a router with a full table has
 * a million of them, and they change all the time.
 */
#include "portreeve/routes.h"

#include "netlink.h"
#include "next_hops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The longest prefix of a default route, or of half of one. */
#define DEFAULT_LENGTH_MAX 1

struct routes {
    struct mnl_socket *notifications;
    struct mnl_socket *requests;
};

/*
 * Classic BPF reads from the network header's bytes in network order; nlmsg_type is in that of the
 * host. A message that the filter does not know passes.
 */
static int filter_notifications(const struct mnl_socket *socket, struct error *error)
{
    const uint16_t type = offsetof(struct nlmsghdr, nlmsg_type),
                   length = sizeof(struct nlmsghdr) + offsetof(struct rtmsg, rtm_dst_len);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, length),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, DEFAULT_LENGTH_MAX, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    int result = 0;

    if (setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof(program)) < 0) {
        result = -errno;
        error_set(error, "changes of default routes: cannot filter them: %s", strerror(-result));
    }
    return result;
}

int routes_open(struct routes **routes, struct error *error)
{
    struct routes *opened = calloc(1, sizeof(*opened));
    int result;

    if (opened == NULL) {
        error_set(error, "default routes: not enough memory");
        return -ENOMEM;
    }
    result = netlink_open(&opened->notifications, NETLINK_ROUTE,
                          RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
                              1u << (RTNLGRP_NEXTHOP - 1),
                          "changes of default routes", error);
    if (result == 0)
        result = filter_notifications(opened->notifications, error);
    if (result == 0)
        result = netlink_open(&opened->requests, NETLINK_ROUTE, 0, "default routes", error);
    if (result < 0) {
        routes_close(opened);
        return result;
    }
    *routes = opened;
    return 0;
}

void routes_close(struct routes *routes)
{
    if (routes == NULL)
        return;
    if (routes->notifications != NULL)
        mnl_socket_close(routes->notifications);
    if (routes->requests != NULL)
        mnl_socket_close(routes->requests);
    free(routes);
}

int routes_descriptor(const struct routes *routes)
{
    return mnl_socket_get_fd(routes->notifications);
}

bool routes_changed(struct routes *routes)
{
    char buffer[NETLINK_BUFFER];
    bool changed = false;

    for (;;) {
        ssize_t length = recv(routes_descriptor(routes), buffer, sizeof(buffer), MSG_DONTWAIT);

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno != ENOBUFS) /* that: some were lost */
            return changed;
        changed = true;
    }
}

/* Next hop objects of default routes: far more than anyone has. */
#define OBJECTS_MAX 64

struct reading {
    uint32_t *out;
    size_t max, count;
    uint32_t objects[OBJECTS_MAX];
    size_t object_count;
};

/* Keeps the list sorted; an index that is there already is not added again. */
static void add_interface(struct reading *reading, uint32_t interface_index)
{
    size_t kept = reading->count < reading->max ? reading->count : reading->max, at = 0;

    while (at < kept && reading->out[at] < interface_index)
        at++;
    if (interface_index == 0 || (at < kept && reading->out[at] == interface_index))
        return;
    reading->count++;
    if (at == reading->max)
        return;
    if (kept == reading->max)
        kept--;
    memmove(&reading->out[at + 1], &reading->out[at], (kept - at) * sizeof(*reading->out));
    reading->out[at] = interface_index;
}

/* The next hops of a route: struct rtnexthop, each with attributes of its own. */
static void add_next_hops(struct reading *reading, const struct nlattr *attribute)
{
    const struct rtnexthop *hop = mnl_attr_get_payload(attribute);
    int left = (int)mnl_attr_get_payload_len(attribute);

    while (RTNH_OK(hop, left)) {
        add_interface(reading, (uint32_t)hop->rtnh_ifindex);
        left -= (int)RTNH_ALIGN(hop->rtnh_len);
        hop = RTNH_NEXT(hop);
    }
}

static void add_object(struct reading *reading, uint32_t id)
{
    for (size_t i = 0; i < reading->object_count; i++) {
        if (reading->objects[i] == id)
            return;
    }
    if (reading->object_count < OBJECTS_MAX)
        reading->objects[reading->object_count++] = id;
}

static int take_interface(const struct nlattr *attribute, void *context)
{
    uint16_t type = mnl_attr_get_type(attribute);

    if (type == RTA_OIF && mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
        add_interface(context, mnl_attr_get_u32(attribute));
    else if (type == RTA_MULTIPATH)
        add_next_hops(context, attribute);
    else if (type == RTA_NH_ID && mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
        add_object(context, mnl_attr_get_u32(attribute));
    return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *message, void *context)
{
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);

    if (message->nlmsg_type == RTM_NEWROUTE &&
        mnl_nlmsg_get_payload_len(message) >= sizeof(*route) && route->rtm_family == AF_INET &&
        route->rtm_dst_len <= DEFAULT_LENGTH_MAX && route->rtm_type == RTN_UNICAST &&
        route->rtm_table != RT_TABLE_LOCAL && !(route->rtm_flags & RTM_F_CLONED))
        (void)mnl_attr_parse(message, sizeof(*route), take_interface, context);
    return MNL_CB_OK;
}

static int dump_routes(struct routes *routes, struct reading *reading)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct rtmsg *route;

    request->nlmsg_type = RTM_GETROUTE;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    route = mnl_nlmsg_put_extra_header(request, sizeof(*route));
    route->rtm_family = AF_INET;
    reading->count = reading->object_count = 0;
    return netlink_ask(routes->requests, request, take_route, reading);
}

/* Those that are removed meanwhile lead nowhere any more. */
static void add_objects(struct routes *routes, struct reading *reading)
{
    uint32_t interfaces[NEXT_HOPS_MAX];

    for (size_t i = 0; i < reading->object_count; i++) {
        int count =
            next_hops_read(routes->requests, reading->objects[i], interfaces, NEXT_HOPS_MAX);

        for (int j = 0; j < count; j++)
            add_interface(reading, interfaces[j]);
    }
}

int routes_read(struct routes *routes, uint32_t *interfaces, size_t max, struct error *error)
{
    struct reading reading = {.out = interfaces, .max = max};
    int result = 0;

    for (int tries = 0; tries < NETLINK_DUMP_TRIES; tries++) {
        result = dump_routes(routes, &reading);
        if (result != -EINTR)
            break;
    }
    if (result < 0 && result != -EINTR) {
        error_set(error, "cannot read the default routes: %s", strerror(-result));
        return result;
    }
    add_objects(routes, &reading);
    return (int)reading.count;
}

struct found_route {
    uint32_t interface;
    bool is_unicast;
};

static int take_found_interface(const struct nlattr *attribute, void *context)
{
    struct found_route *found = context;

    if (mnl_attr_get_type(attribute) == RTA_OIF &&
        mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
        found->interface = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

static int take_found_route(const struct nlmsghdr *message, void *context)
{
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);
    struct found_route *found = context;

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*route))
        return MNL_CB_OK;
    found->is_unicast = route->rtm_type == RTN_UNICAST;
    return mnl_attr_parse(message, sizeof(*route), take_found_interface, found);
}

int routes_find(struct routes *routes, const struct address *destination, uint32_t *interface_index)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct found_route found = {0};
    struct rtmsg *route;
    int result;

    request->nlmsg_type = RTM_GETROUTE;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    route = mnl_nlmsg_put_extra_header(request, sizeof(*route));
    route->rtm_family = AF_INET;
    route->rtm_dst_len = 32;
    mnl_attr_put_u32(request, RTA_DST, htonl(address_to_ipv4(destination)));
    result = netlink_ask(routes->requests, request, take_found_route, &found);
    if (result == 0 && !found.is_unicast)
        result = -EHOSTUNREACH;
    if (result == 0)
        *interface_index = found.interface;
    return result;
}
