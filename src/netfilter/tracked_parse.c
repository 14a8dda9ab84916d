/*
 * tracked_parse.c - what a listed connection of connection tracking says
 */
#include "tracked_parse.h"

#include "netlink.h"
#include "portreeve/protocol.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>

static bool is_of_size(const struct nlattr *attribute, size_t size)
{
    return attribute != NULL && mnl_attr_get_payload_len(attribute) == size;
}

static bool parse_tuple(const struct nlattr *tuple, uint32_t *source, uint32_t *destination,
                        uint8_t *protocol)
{
    const struct nlattr *parts[NETLINK_ATTRIBUTES], *addresses[NETLINK_ATTRIBUTES],
        *transport[NETLINK_ATTRIBUTES];

    netlink_read_nested(tuple, parts);
    netlink_read_nested(parts[CTA_TUPLE_IP], addresses);
    netlink_read_nested(parts[CTA_TUPLE_PROTO], transport);
    if (!is_of_size(addresses[CTA_IP_V4_SRC], sizeof(uint32_t)) ||
        !is_of_size(addresses[CTA_IP_V4_DST], sizeof(uint32_t)) ||
        !is_of_size(transport[CTA_PROTO_NUM], sizeof(uint8_t)))
        return false;
    *source = ntohl(mnl_attr_get_u32(addresses[CTA_IP_V4_SRC]));
    *destination = ntohl(mnl_attr_get_u32(addresses[CTA_IP_V4_DST]));
    *protocol = mnl_attr_get_u8(transport[CTA_PROTO_NUM]);
    return true;
}

bool tracked_parse(const struct nlmsghdr *message, struct tracked *tracked)
{
    const struct nlattr *attributes[NETLINK_ATTRIBUTES];
    uint8_t family, answer_protocol;

    *tracked = (struct tracked){0};
    if (!netlink_read_message(message, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, &family,
                              attributes) ||
        family != NFPROTO_IPV4)
        return false;
    tracked->tuple = attributes[CTA_TUPLE_ORIG];
    tracked->id = attributes[CTA_ID];
    tracked->zone = attributes[CTA_ZONE];
    tracked->has_helper = attributes[CTA_HELP] != NULL;
    return is_of_size(tracked->id, sizeof(uint32_t)) &&
           (tracked->zone == NULL || is_of_size(tracked->zone, sizeof(uint16_t))) &&
           parse_tuple(tracked->tuple, &tracked->source, &tracked->destination,
                       &tracked->protocol) &&
           parse_tuple(attributes[CTA_TUPLE_REPLY], &tracked->answer_source,
                       &tracked->answer_destination, &answer_protocol);
}

static bool is_source(const struct tracked_scope *scope, uint32_t address)
{
    struct address sought = address_from_ipv4(address);

    for (size_t i = 0; i < scope->source_count; i++) {
        if (prefix_contains(&scope->sources[i], &sought))
            return true;
    }
    return false;
}

static bool is_in(const struct address *addresses, size_t count, uint32_t address)
{
    struct address sought = address_from_ipv4(address);

    for (size_t i = 0; i < count; i++) {
        if (address_equal(&addresses[i], &sought))
            return true;
    }
    return false;
}

static int compare(const void *one, const void *other)
{
    uint32_t first = *(const uint32_t *)one, second = *(const uint32_t *)other;

    return (first > second) - (first < second);
}

void tracked_sort(uint32_t *targets, size_t count)
{
    qsort(targets, count, sizeof(*targets), compare);
}

/* There may be ten thousand of them, and a hundred thousand connections. */
static bool is_target(const struct tracked_scope *scope, uint32_t address)
{
    return scope->target_count > 0 && bsearch(&address, scope->targets, scope->target_count,
                                              sizeof(*scope->targets), compare) != NULL;
}

static bool may_be_forwarded(const struct tracked *tracked, const struct tracked_scope *scope)
{
    return !is_in(scope->own, scope->own_count, tracked->source) &&
           !is_in(scope->own, scope->own_count, tracked->destination);
}

static bool kernel_translates(const struct tracked *tracked)
{
    return tracked->answer_source != tracked->destination ||
           tracked->answer_destination != tracked->source;
}

bool tracked_is_in_scope(const struct tracked *tracked, const struct tracked_scope *scope)
{
    bool from_source = is_source(scope, tracked->source),
         to_source = is_source(scope, tracked->destination);

    if (tracked->has_helper || kernel_translates(tracked) || !may_be_forwarded(tracked, scope) ||
        (tracked->protocol != PROTOCOL_TCP && tracked->protocol != PROTOCOL_UDP) ||
        (from_source && to_source))
        return false;
    return from_source || to_source || is_target(scope, tracked->source) ||
           is_target(scope, tracked->destination);
}
