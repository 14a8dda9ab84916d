/*
 * addresses.c - the addresses of the external interface, read and watched with rtnetlink
 *
 * There are two sockets: one receives notifications of changes, the other one is for requests. On a
 * single socket, an answer could come after any number of notifications, which would have to be
 * lost or kept while the answer is read.
 *
 * The interface is identified by its name. Its index is looked up again with every reading, since
 * an interface that is removed and created again (a modem's, for example) has another index.
 */
#include "portreeve/addresses.h"

#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct addresses {
    struct mnl_socket *notifications;
    struct mnl_socket *requests;
    char interface[IF_NAMESIZE];
    uint32_t index; /* when it was last read; 0: there was no such interface */
};

static int take_index(const struct nlmsghdr *message, void *context)
{
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
    uint32_t *index = context;

    *index = (uint32_t)link->ifi_index;
    return MNL_CB_OK;
}

/* Without NLM_F_DUMP, the kernel answers with one link or ENODEV. */
static int read_index(struct addresses *addresses, struct error *error)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    uint32_t index = 0;
    int result;

    request->nlmsg_type = RTM_GETLINK;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(request, IFLA_IFNAME, addresses->interface);
    result = netlink_ask(addresses->requests, request, take_index, &index);
    addresses->index = result == 0 ? index : 0;
    if (result == -ENODEV)
        error_set(error, "there is no interface %s", addresses->interface);
    else if (result < 0)
        error_set(error, "cannot look up interface %s: %s", addresses->interface,
                  strerror(-result));
    return result;
}

int addresses_open(struct addresses **addresses, const char *interface, struct error *error)
{
    struct addresses *opened;
    int result;

    if (strlen(interface) >= IF_NAMESIZE) {
        error_set(error, "there is no interface %s: a name has at most %d characters", interface,
                  IF_NAMESIZE - 1);
        return -ENODEV;
    }
    opened = calloc(1, sizeof(*opened));
    if (opened == NULL) {
        error_set(error, "interface %s: not enough memory", interface);
        return -ENOMEM;
    }
    memcpy(opened->interface, interface, strlen(interface));
    result = netlink_open(&opened->notifications, NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_IFADDR,
                          "changes of addresses", error);
    if (result == 0)
        result = netlink_open(&opened->requests, NETLINK_ROUTE, 0, "addresses", error);
    if (result == 0)
        result = read_index(opened, error);
    if (result < 0) {
        addresses_close(opened);
        return result;
    }
    *addresses = opened;
    return 0;
}

void addresses_close(struct addresses *addresses)
{
    if (addresses == NULL)
        return;
    if (addresses->notifications != NULL)
        mnl_socket_close(addresses->notifications);
    if (addresses->requests != NULL)
        mnl_socket_close(addresses->requests);
    free(addresses);
}

int addresses_descriptor(const struct addresses *addresses)
{
    return mnl_socket_get_fd(addresses->notifications);
}

struct link_name {
    const char *name;
};

static int take_link_name(const struct nlattr *attribute, void *context)
{
    struct link_name *link = context;

    if (mnl_attr_get_type(attribute) == IFLA_IFNAME)
        link->name = mnl_attr_get_str(attribute);
    return MNL_CB_OK;
}

/*
 * A link is ours if it has the index (it may just have been renamed) or the name (it may just have
 * been created).
 */
static bool is_our_link(const struct addresses *addresses, const struct nlmsghdr *message)
{
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
    struct link_name found = {0};

    if ((uint32_t)link->ifi_index == addresses->index)
        return true;
    (void)mnl_attr_parse(message, sizeof(*link), take_link_name, &found);
    return found.name != NULL && strcmp(found.name, addresses->interface) == 0;
}

static bool is_about_us(const struct addresses *addresses, const struct nlmsghdr *message)
{
    const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);

    switch (message->nlmsg_type) {
    case RTM_NEWADDR:
    case RTM_DELADDR:
        return address->ifa_index == addresses->index;
    case RTM_NEWLINK:
    case RTM_DELLINK:
        return is_our_link(addresses, message);
    default:
        return false;
    }
}

static bool find_change(const struct addresses *addresses, const char *buffer, size_t length)
{
    const struct nlmsghdr *message = (const void *)buffer;
    int left = (int)length;

    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        if (is_about_us(addresses, message))
            return true;
    }
    return false;
}

bool addresses_changed(struct addresses *addresses)
{
    char buffer[NETLINK_BUFFER] __attribute__((aligned(8)));
    bool changed = false;

    for (;;) {
        ssize_t length =
            recv(addresses_descriptor(addresses), buffer, sizeof(buffer), MSG_DONTWAIT);

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno == ENOBUFS)
            changed = true; /* notifications were lost; they may have been about our interface */
        else if (length < 0)
            return changed;
        else if (find_change(addresses, buffer, (size_t)length))
            changed = true;
    }
}

struct reading {
    struct address *out;
    size_t max, count;
    uint32_t index;
};

static int take_local(const struct nlattr *attribute, void *context)
{
    const struct nlattr **local = context;

    if (mnl_attr_get_type(attribute) == IFA_LOCAL)
        *local = attribute;
    return MNL_CB_OK;
}

/* IFA_LOCAL is our address; IFA_ADDRESS is the other end's on a point-to-point link. */
static int take_address(const struct nlmsghdr *message, void *context)
{
    const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);
    struct reading *reading = context;
    const struct nlattr *local = NULL;

    if (address->ifa_family != AF_INET || address->ifa_index != reading->index)
        return MNL_CB_OK;
    if (address->ifa_scope != RT_SCOPE_UNIVERSE || reading->count == reading->max)
        return MNL_CB_OK;
    (void)mnl_attr_parse(message, sizeof(*address), take_local, &local);
    if (local != NULL && mnl_attr_get_payload_len(local) == 4)
        reading->out[reading->count++] = address_from_ipv4(ntohl(mnl_attr_get_u32(local)));
    return MNL_CB_OK;
}

static int dump_addresses(struct addresses *addresses, struct reading *reading)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct ifaddrmsg *address;

    request->nlmsg_type = RTM_GETADDR;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    address = mnl_nlmsg_put_extra_header(request, sizeof(*address));
    address->ifa_family = AF_INET;
    reading->count = 0;
    return netlink_ask(addresses->requests, request, take_address, reading);
}

int addresses_read(struct addresses *addresses, struct address *out, size_t max,
                   uint32_t *interface_index, struct error *error)
{
    struct reading reading = {.out = out, .max = max};
    int result = read_index(addresses, error);

    if (result < 0)
        return result;
    reading.index = *interface_index = addresses->index;
    for (int tries = 0; tries < NETLINK_DUMP_TRIES; tries++) {
        result = dump_addresses(addresses, &reading);
        if (result != -EINTR)
            break;
    }
    if (result < 0 && result != -EINTR) {
        error_set(error, "cannot read the addresses of %s: %s", addresses->interface,
                  strerror(-result));
        return result;
    }
    return (int)reading.count;
}

uint32_t addresses_mtu(const struct addresses *addresses)
{
    struct ifreq request = {0};

    memcpy(request.ifr_name, addresses->interface,
           strnlen(addresses->interface, sizeof(request.ifr_name) - 1));
    if (ioctl(mnl_socket_get_fd(addresses->requests), SIOCGIFMTU, &request) < 0 ||
        request.ifr_mtu < 0)
        return 0;
    return (uint32_t)request.ifr_mtu;
}
