/*
 * addresses.c - the addresses of the external interface, read and watched with rtnetlink
 *
 * There are two sockets: one receives notifications of changes, the other one is for requests. On a
 * single socket, an answer could come after any number of notifications, which would have to be
 * lost or kept while the answer is read.
 *
 * An interface is identified by its name, which may be an alternative one. Its index is looked up
 * again with every reading, since an interface that is removed and created again (a modem's, for
 * example) has another index. An interface that is renamed is still the way to the outside, so it
 * is followed by its index, as long as no other one has the name.
 */
#include "portreeve/addresses.h"

#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct watched {
    char name[INTERFACE_NAME_MAX];
    struct interface now; /* when it was last read */
};

struct addresses {
    struct mnl_socket *notifications;
    struct mnl_socket *requests;
    struct watched watched[ADDRESSES_INTERFACES_MAX];
    size_t count;
};

static int take_link_attribute(const struct nlattr *attribute, void *context)
{
    struct interface *interface = context;

    switch (mnl_attr_get_type(attribute)) {
    case IFLA_IFNAME:
        if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0 &&
            mnl_attr_get_payload_len(attribute) <= sizeof(interface->name))
            strcpy(interface->name, mnl_attr_get_str(attribute));
        break;
    case IFLA_MTU:
        if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
            interface->mtu = mnl_attr_get_u32(attribute);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int take_link(const struct nlmsghdr *message, void *context)
{
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
    struct interface *interface = context;

    *interface = (struct interface){.index = (uint32_t)link->ifi_index};
    return mnl_attr_parse(message, sizeof(*link), take_link_attribute, interface);
}

/*
 * Without NLM_F_DUMP, the kernel answers with one link or ENODEV. It looks up both attributes among
 * all names (rtnl_dev_get, __dev_get_by_name), but a long name fits only into the second; a kernel
 * without alternative names does not know that one and answers EINVAL. Without a name: by index.
 */
static int ask_for_link(struct addresses *addresses, const char *name, uint32_t index,
                        struct interface *interface)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    bool is_long = name != NULL && strlen(name) >= IF_NAMESIZE;
    struct ifinfomsg *link;
    int result;

    request->nlmsg_type = RTM_GETLINK;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    link = mnl_nlmsg_put_extra_header(request, sizeof(*link));
    link->ifi_index = (int)index;
    if (name != NULL)
        mnl_attr_put_strz(request, is_long ? IFLA_ALT_IFNAME : IFLA_IFNAME, name);
    result = netlink_ask(addresses->requests, request, take_link, interface);
    return is_long && result == -EINVAL ? -ENODEV : result;
}

static int read_link(struct addresses *addresses, struct watched *watched, struct error *error)
{
    struct interface found = {0};
    int result = ask_for_link(addresses, watched->name, 0, &found);

    if (result == -ENODEV && watched->now.index != 0) {
        result = ask_for_link(addresses, NULL, watched->now.index, &found);
        found.renamed = true;
    }
    if (result == 0)
        watched->now = found;
    else if (result == -ENODEV)
        watched->now = (struct interface){0};
    if (result == -ENODEV)
        error_set(error, "there is no interface %s", watched->name);
    else if (result < 0)
        error_set(error, "cannot look up interface %s: %s", watched->name, strerror(-result));
    return result;
}

int addresses_open(struct addresses **addresses, const char *const *names, size_t count,
                   struct error *error)
{
    struct addresses *opened = calloc(1, sizeof(*opened));
    int result;

    if (opened == NULL) {
        error_set(error, "addresses of interfaces: not enough memory");
        return -ENOMEM;
    }
    for (; opened->count < count && opened->count < ADDRESSES_INTERFACES_MAX; opened->count++)
        memcpy(opened->watched[opened->count].name, names[opened->count],
               strnlen(names[opened->count], INTERFACE_NAME_MAX - 1));
    result = netlink_open(&opened->notifications, NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_IFADDR,
                          "changes of addresses", error);
    if (result == 0)
        result = netlink_open(&opened->requests, NETLINK_ROUTE, 0, "addresses", error);
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

/*
 * While an interface has the name, it is a change of that interface that takes the name away, and a
 * notification about it comes first. (A new alternative name is not always told: of an interface
 * that is down, its next change is; netdev_state_change.)
 */
static bool is_about(const struct watched *watched, const struct nlmsghdr *message)
{
    const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);

    switch (message->nlmsg_type) {
    case RTM_NEWADDR:
    case RTM_DELADDR:
        return address->ifa_index == watched->now.index;
    case RTM_NEWLINK:
        if (watched->now.index == 0 || watched->now.renamed)
            return true;
        return (uint32_t)link->ifi_index == watched->now.index;
    case RTM_DELLINK:
        return (uint32_t)link->ifi_index == watched->now.index;
    default:
        return false;
    }
}

static bool find_change(const struct addresses *addresses, const char *buffer, size_t length)
{
    const struct nlmsghdr *message = (const void *)buffer;
    int left = (int)length;

    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        for (size_t i = 0; i < addresses->count; i++) {
            if (is_about(&addresses->watched[i], message))
                return true;
        }
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

int addresses_read(struct addresses *addresses, size_t which, struct interface *interface,
                   struct address *out, size_t max, struct error *error)
{
    struct watched *watched = &addresses->watched[which];
    struct reading reading = {.out = out, .max = max};
    int result = read_link(addresses, watched, error);

    *interface = watched->now;
    if (result < 0)
        return result;
    reading.index = interface->index;
    for (int tries = 0; tries < NETLINK_DUMP_TRIES; tries++) {
        result = dump_addresses(addresses, &reading);
        if (result != -EINTR)
            break;
    }
    if (result < 0 && result != -EINTR) {
        error_set(error, "cannot read the addresses of %s: %s", watched->name, strerror(-result));
        return result;
    }
    return (int)reading.count;
}
