/*
 * ruleset_sets.c - the sets and their elements
 */
#include "ruleset_elements.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>

static const struct set_kind kinds[SET_COUNT] = {
    [SET_EXTERNAL] = {.name = "external", .type = NFT_ADDRESS, .width = 4, .size = 64},
    [SET_INTERFACES] = {.name = "external_interfaces",
                        .type = NFT_IFINDEX,
                        .width = 4,
                        .size = 64,
                        .host_order = true},
    [SET_NAMES] = {.name = "external_names",
                   .type = NFT_IFNAME,
                   .width = IF_NAMESIZE,
                   .size = 64,
                   .host_order = true},
    [SET_SOURCES] = {.name = "sources", .type = NFT_ADDRESS, .width = 4, .ranges = true},
    [SET_TARGETS] = {.name = "targets", .type = NFT_ADDRESS, .width = 4},
    [SET_OTHER_UPLINKS] = {.name = "other_uplinks",
                           .type = NFT_IFINDEX,
                           .width = 4,
                           .host_order = true},
    [SET_CLOSED] = {.name = "closed", .type = NFT_ADDRESS, .width = 4, .ranges = true},
    [SET_EXEMPT] = {.name = "exempt", .type = NFT_ADDRESS, .width = 4, .ranges = true},
#define X(symbol, number, name, ...)                                                               \
    [SET_PUBLISHED + PROTOCOL_INDEX_##                                                             \
        symbol] = {name "_ports", NFT_PORT, .width = 2, .ranges = true},
    PROTOCOLS_WITH_PORTS(X)
#undef X
#define X(symbol, number, name, ...)                                                               \
    [SET_BOUND + PROTOCOL_INDEX_##symbol] = {name "_bound", NFT_PORT, .width = 2, .ranges = true},
        PROTOCOLS_WITH_PORTS(X)
#undef X
            [SET_PROTOCOLS] = {.name = "protocols", .type = NFT_PROTOCOL, .width = 1},
    [SET_ICMP_INBOUND] = {.name = "icmp_inbound", .type = NFT_ICMP_TYPE, .width = 1},
    [SET_ICMP_ERRORS] = {.name = "icmp_errors", .type = NFT_ICMP_TYPE, .width = 1},
#define UPLINK(number)                                                                             \
    [SET_UPLINK + (number)] = {                                                                    \
        .name = "uplink_" #number, .type = NFT_IFINDEX, .width = 4, .size = 4, .host_order = true}
    UPLINK(0),
    UPLINK(1),
    UPLINK(2),
    UPLINK(3),
    UPLINK(4),
    UPLINK(5),
    UPLINK(6),
    UPLINK(7),
#undef UPLINK
};

/* Lengths of a prefix in the 16-byte form: every IPv4 address, and one. */
#define EVERY_IPV4  96
#define ONE_ADDRESS 128

const char *set_name(enum set_id id)
{
    return kinds[id].name;
}

static struct nftnl_set *begin_set(struct batch *batch, enum set_id id)
{
    struct nftnl_set *set = set_begin(kinds[id].name);

    if (set == NULL)
        batch->failed = true;
    return set;
}

/*
 * Only nft reads it: in which order of bytes it shows and loads the keys (its enum byteorder).
 */
static void put_byte_order(struct batch *batch, struct nftnl_set *set)
{
    const uint32_t host = 1;
    struct nftnl_udata_buf *data = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);

    if (data == NULL) {
        batch->failed = true;
        return;
    }
    nftnl_udata_put_u32(data, NFTNL_UDATA_SET_KEYBYTEORDER, host);
    if (nftnl_set_set_data(set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(data),
                           nftnl_udata_buf_len(data)) < 0)
        batch->failed = true;
    nftnl_udata_buf_free(data);
}

static void create_set(struct batch *batch, enum set_id id)
{
    struct nftnl_set *set = begin_set(batch, id);

    if (set == NULL)
        return;
    nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_IPV4);
    nftnl_set_set_u32(set, NFTNL_SET_ID, (uint32_t)id + 1);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, kinds[id].type);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, kinds[id].width);
    if (kinds[id].size > 0)
        nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, kinds[id].size);
    if (kinds[id].ranges)
        nftnl_set_set_u32(set, NFTNL_SET_FLAGS, NFT_SET_INTERVAL);
    if (kinds[id].host_order)
        put_byte_order(batch, set);
    nftnl_set_nlmsg_build_payload(batch_message(batch, NFT_MSG_NEWSET, NLM_F_CREATE), set);
    nftnl_set_free(set);
}

/* The sets are filled one after the other, and an error stays: nothing is sent then. */
struct filling {
    struct batch *batch;
    struct table_socket *socket; /* NULL: the sets are new */
    const struct ruleset_contents *contents;
    struct range *ranges; /* of the set that is filled now: room for the largest one */
    int result;
    struct error *error;
};

/* The set shall contain the first `count` of filling->ranges. */
static void change(struct filling *filling, enum set_id id, size_t count)
{
    if (filling->result == 0)
        filling->result = elements_change(filling->batch, filling->socket, &kinds[id],
                                          filling->ranges, count, filling->error);
}

static void fail_not_ipv4(struct filling *filling, enum set_id id)
{
    if (filling->result == 0)
        error_set(filling->error, "nf_tables rules: set %s: an element is not IPv4",
                  kinds[id].name);
    filling->result = -EINVAL;
}

static void fill_addresses(struct filling *filling, enum set_id id, const struct address *addresses,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!address_is_ipv4(&addresses[i]))
            fail_not_ipv4(filling, id);
        filling->ranges[i].first = filling->ranges[i].last = address_to_ipv4(&addresses[i]);
    }
    change(filling, id, count);
}

static void fill_prefixes(struct filling *filling, enum set_id id, const struct prefix *prefixes,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct range *range = &filling->ranges[i];
        uint32_t host_bits;

        if (!address_is_ipv4(&prefixes[i].address) || prefixes[i].length < EVERY_IPV4 ||
            prefixes[i].length > ONE_ADDRESS) {
            fail_not_ipv4(filling, id);
            return;
        }
        host_bits =
            prefixes[i].length == ONE_ADDRESS ? 0 : UINT32_MAX >> (prefixes[i].length - EVERY_IPV4);
        range->first = address_to_ipv4(&prefixes[i].address) & ~host_bits;
        range->last = range->first | host_bits;
    }
    change(filling, id, count);
}

static void fill_closed(struct filling *filling)
{
    const struct ruleset_contents *contents = filling->contents;

    for (size_t i = 0; i < contents->closed_count; i++) {
        const struct address_range *closed = &contents->closed[i];

        if (!address_is_ipv4(&closed->first) || !address_is_ipv4(&closed->last))
            fail_not_ipv4(filling, SET_CLOSED);
        filling->ranges[i] = (struct range){.first = address_to_ipv4(&closed->first),
                                            .last = address_to_ipv4(&closed->last)};
    }
    change(filling, SET_CLOSED, contents->closed_count);
}

static void fill_ports(struct filling *filling, enum set_id id, const struct port_range *ports,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        filling->ranges[i] = (struct range){.first = ports[i].first, .last = ports[i].last};
    change(filling, id, count);
}

static void fill_indexes(struct filling *filling, enum set_id id, const uint32_t *indexes,
                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        filling->ranges[i] = (struct range){.first = indexes[i], .last = indexes[i]};
    change(filling, id, count);
}

static void fill_interfaces(struct filling *filling)
{
    const struct ruleset_contents *contents = filling->contents;
    size_t count = 0;

    for (size_t i = 0; i < contents->interface_count; i++) {
        const uint32_t index = contents->interfaces[i].index;

        if (index != 0)
            filling->ranges[count++] = (struct range){.first = index, .last = index};
    }
    change(filling, SET_INTERFACES, count);
}

static void fill_names(struct filling *filling)
{
    if (filling->result == 0)
        filling->result = elements_change_names(filling->batch, filling->socket, &kinds[SET_NAMES],
                                                filling->contents->interfaces,
                                                filling->contents->interface_count, filling->error);
}

/* Two names may be one interface's: then it is the first one of these uplinks. */
static bool is_told_before(const struct interface *interfaces, size_t at)
{
    size_t first = 0;

    while (interfaces[first].index != interfaces[at].index)
        first++;
    return first < at;
}

static bool is_in_use(size_t id, size_t uplinks)
{
    return id < SET_UPLINK || (uplinks > 1 && id - SET_UPLINK < uplinks);
}

static void fill_uplinks(struct filling *filling)
{
    const struct ruleset_contents *contents = filling->contents;

    for (size_t i = 0; i < contents->uplink_count; i++) {
        const uint32_t index = contents->interfaces[i].index;

        if (is_in_use(SET_UPLINK + i, contents->uplink_count))
            fill_indexes(filling, (enum set_id)(SET_UPLINK + i), &index,
                         index != 0 && !is_told_before(contents->interfaces, i));
    }
}

static size_t larger(size_t one, size_t other)
{
    return one > other ? one : other;
}

static size_t largest_count(const struct ruleset_contents *contents)
{
    size_t largest = 1;

    largest = larger(largest, contents->external_count);
    largest = larger(largest, contents->interface_count);
    largest = larger(largest, contents->source_count);
    largest = larger(largest, contents->target_count);
    largest = larger(largest, contents->other_uplink_count);
    largest = larger(largest, contents->closed_count);
    largest = larger(largest, contents->exempt_count);
    for (int p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        largest = larger(largest, larger(contents->published[p].count, contents->bound[p].count));
    return largest;
}

static void fill(struct filling *filling)
{
    const struct ruleset_contents *contents = filling->contents;

    fill_addresses(filling, SET_EXTERNAL, contents->external, contents->external_count);
    fill_interfaces(filling);
    fill_names(filling);
    fill_uplinks(filling);
    fill_addresses(filling, SET_TARGETS, contents->targets, contents->target_count);
    fill_indexes(filling, SET_OTHER_UPLINKS, contents->other_uplinks, contents->other_uplink_count);
    fill_prefixes(filling, SET_SOURCES, contents->sources, contents->source_count);
    fill_prefixes(filling, SET_EXEMPT, contents->exempt, contents->exempt_count);
    fill_closed(filling);
    for (int p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        fill_ports(filling, (enum set_id)(SET_PUBLISHED + p), contents->published[p].ranges,
                   contents->published[p].count);
        fill_ports(filling, (enum set_id)(SET_BOUND + p), contents->bound[p].ranges,
                   contents->bound[p].count);
    }
}

int sets_fill(struct batch *batch, struct table_socket *socket,
              const struct ruleset_contents *contents, struct error *error)
{
    struct filling filling = {.batch = batch,
                              .socket = socket,
                              .contents = contents,
                              .ranges = calloc(largest_count(contents), sizeof(*filling.ranges)),
                              .error = error};

    if (filling.ranges == NULL) {
        error_set(error, "nf_tables rules: not enough memory");
        return -ENOMEM;
    }
    fill(&filling);
    free(filling.ranges);
    return filling.result;
}

static void put_about(struct batch *batch, uint16_t type, const char *name)
{
    struct nftnl_set *set = set_begin(name);

    if (set == NULL) {
        batch->failed = true;
        return;
    }
    nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_IPV4);
    if (type == NFT_MSG_DELSET)
        nftnl_set_nlmsg_build_payload(batch_message(batch, type, 0), set);
    else
        nftnl_set_elems_nlmsg_build_payload(batch_message(batch, type, 0), set);
    nftnl_set_free(set);
}

void set_put_removal(struct batch *batch, const char *name)
{
    put_about(batch, NFT_MSG_DELSET, name);
}

/* Without a list of elements it means all of them (nf_tables_delsetelem). */
void set_put_clearing(struct batch *batch, const char *name)
{
    put_about(batch, NFT_MSG_DELSETELEM, name);
}

void sets_create(struct batch *batch, size_t uplinks)
{
    static const struct range protocols[] = {
#define X(symbol, number, ...) {.first = number},
        PROTOCOLS(X)
#undef X
    };
    /* Echo and timestamp replies, destination unreachable, time exceeded, parameter problem. */
    static const struct range inbound[] = {
        {.first = 0}, {.first = 3}, {.first = 11}, {.first = 12}, {.first = 14}};
    static const struct range errors[] = {{.first = 3}, {.first = 11}, {.first = 12}};

    for (int id = 0; id < SET_COUNT; id++) {
        if (is_in_use((size_t)id, uplinks))
            create_set(batch, (enum set_id)id);
    }
    elements_put(batch, &kinds[SET_PROTOCOLS], protocols, PROTOCOL_COUNT);
    elements_put(batch, &kinds[SET_ICMP_INBOUND], inbound, sizeof(inbound) / sizeof(inbound[0]));
    elements_put(batch, &kinds[SET_ICMP_ERRORS], errors, sizeof(errors) / sizeof(errors[0]));
}
