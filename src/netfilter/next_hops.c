/*
 * next_hops.c - the interfaces of a next hop object (ip-nexthop(8)), which routes may refer to
 */
#include "next_hops.h"

#include "netlink.h"

#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

/* What one object says. */
struct object {
    uint32_t interface;
    uint32_t members[NEXT_HOPS_MAX];
    size_t count;
};

static void take_members(struct object *object, const struct nlattr *attribute)
{
    const struct nexthop_grp *member = mnl_attr_get_payload(attribute);
    size_t count = mnl_attr_get_payload_len(attribute) / sizeof(*member);

    for (size_t i = 0; i < count && i < NEXT_HOPS_MAX; i++)
        object->members[object->count++] = member[i].id;
}

static int take_attribute(const struct nlattr *attribute, void *context)
{
    struct object *object = context;
    uint16_t type = mnl_attr_get_type(attribute);

    if (type == NHA_OIF && mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
        object->interface = mnl_attr_get_u32(attribute);
    else if (type == NHA_GROUP && object->count == 0)
        take_members(object, attribute);
    return MNL_CB_OK;
}

static int take_object(const struct nlmsghdr *message, void *context)
{
    if (message->nlmsg_type != RTM_NEWNEXTHOP ||
        mnl_nlmsg_get_payload_len(message) < sizeof(struct nhmsg))
        return MNL_CB_OK;
    return mnl_attr_parse(message, sizeof(struct nhmsg), take_attribute, context);
}

static int read_object(struct mnl_socket *socket, uint32_t id, struct object *object)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

    *object = (struct object){0};
    request->nlmsg_type = RTM_GETNEXTHOP;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    mnl_nlmsg_put_extra_header(request, sizeof(struct nhmsg));
    mnl_attr_put_u32(request, NHA_ID, id);
    return netlink_ask(socket, request, take_object, object);
}

/* A member of a group is never a group (nexthop.c, valid_group_nh). */
int next_hops_read(struct mnl_socket *socket, uint32_t id, uint32_t *interfaces, size_t max)
{
    struct object object, member;
    size_t found = 0;
    int result = read_object(socket, id, &object);

    if (result < 0)
        return result;
    if (object.interface != 0 && max > 0)
        interfaces[found++] = object.interface;
    for (size_t i = 0; i < object.count && found < max; i++) {
        if (read_object(socket, object.members[i], &member) == 0 && member.interface != 0)
            interfaces[found++] = member.interface;
    }
    return (int)found;
}
