/*
 * ruleset_sets.c - the sets and their elements
 *
 * In a set of ranges, the kernel (nft_set_rbtree) only has points: one where a range begins, and
 * one with the flag INTERVAL_END at the first value after the range. A range up to the largest
 * value has no end point. An end point at 0 comes before the first range, as in nft. Two ranges
 * without a gap would have a begin and an end at the same value, so they are merged first. Both
 * points of a range are in the same message, the begin first: newer kernels pair them in this
 * order.
 */
#include "ruleset_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>

static const struct set_kind {
    const char *name;
    enum nft_type type;
    uint32_t width; /* of a key, in bytes */
    bool ranges;
    bool host_order; /* of the bytes of a key; names have it, too */
    /* the largest number of elements, if it is known: the kernel then uses a faster hash */
    uint32_t size;
    bool fixed; /* not in ruleset_contents: filled when it is created */
} kinds[SET_COUNT] = {
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
            [SET_PROTOCOLS] = {.name = "protocols",
                               .type = NFT_PROTOCOL,
                               .width = 1,
                               .fixed = true},
    [SET_ICMP_INBOUND] = {.name = "icmp_inbound", .type = NFT_ICMP_TYPE, .width = 1, .fixed = true},
    [SET_ICMP_ERRORS] = {.name = "icmp_errors", .type = NFT_ICMP_TYPE, .width = 1, .fixed = true},
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

/* Ranges per message, 40 bytes each: far less than the 64 KiB of a list of elements. */
#define CHUNK 512

struct range {
    uint32_t first, last; /* both included */
};

const char *set_name(enum set_id id)
{
    return kinds[id].name;
}

struct nftnl_set *set_begin(const char *name)
{
    struct nftnl_set *set = nftnl_set_alloc();

    if (set != NULL && nftnl_set_set_str(set, NFTNL_SET_TABLE, RULESET_TABLE) == 0 &&
        nftnl_set_set_str(set, NFTNL_SET_NAME, name) == 0)
        return set;
    if (set != NULL)
        nftnl_set_free(set);
    return NULL;
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

static void put_key(struct nftnl_set_elem *element, uint32_t value, enum set_id id)
{
    const uint32_t width = kinds[id].width;
    const uint8_t byte = (uint8_t)value;
    const uint16_t two = htons((uint16_t)value);
    const uint32_t four = kinds[id].host_order ? value : htonl(value);
    const void *key = width == 1   ? (const void *)&byte
                      : width == 2 ? (const void *)&two
                                   : (const void *)&four;

    nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key, width);
}

static void add_element(struct batch *batch, struct nftnl_set *set, uint32_t value, enum set_id id,
                        uint32_t flags)
{
    struct nftnl_set_elem *element = nftnl_set_elem_alloc();

    if (element == NULL) {
        batch->failed = true;
        return;
    }
    put_key(element, value, id);
    if (flags)
        nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS, flags);
    nftnl_set_elem_add(set, element);
}

static void end_elements(struct batch *batch, struct nftnl_set *set)
{
    nftnl_set_elems_nlmsg_build_payload(batch_message(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE),
                                        set);
    nftnl_set_free(set);
}

static size_t end_of_chunk(size_t start, size_t count)
{
    return count - start < CHUNK ? count : start + CHUNK;
}

/* Adds values to a plain set; the kernel accepts duplicates. */
static void put_values(struct batch *batch, enum set_id id, const struct range *ranges,
                       size_t count)
{
    for (size_t start = 0; start < count; start += CHUNK) {
        struct nftnl_set *set = begin_set(batch, id);

        if (set == NULL)
            return;
        for (size_t i = start; i < end_of_chunk(start, count); i++)
            add_element(batch, set, ranges[i].first, id, 0);
        end_elements(batch, set);
    }
}

static void add_range(struct batch *batch, struct nftnl_set *set, const struct range *range,
                      enum set_id id)
{
    uint32_t largest = kinds[id].width == 2 ? UINT16_MAX : UINT32_MAX;

    add_element(batch, set, range->first, id, 0);
    if (range->last < largest)
        add_element(batch, set, range->last + 1, id, NFT_SET_ELEM_INTERVAL_END);
}

static void put_ranges(struct batch *batch, enum set_id id, const struct range *ranges,
                       size_t count)
{
    for (size_t start = 0; start < count; start += CHUNK) {
        struct nftnl_set *set = begin_set(batch, id);

        if (set == NULL)
            return;
        if (start == 0 && ranges[0].first > 0)
            add_element(batch, set, 0, id, NFT_SET_ELEM_INTERVAL_END);
        for (size_t i = start; i < end_of_chunk(start, count); i++)
            add_range(batch, set, &ranges[i], id);
        end_elements(batch, set);
    }
}

static int compare_ranges(const void *one, const void *other)
{
    uint32_t first = ((const struct range *)one)->first,
             second = ((const struct range *)other)->first;

    return (first > second) - (first < second);
}

/* Sorts the ranges and merges those that overlap or touch; returns how many are left. */
static size_t merge_ranges(struct range *ranges, size_t count)
{
    size_t kept = 0;

    if (count == 0)
        return 0;
    qsort(ranges, count, sizeof(*ranges), compare_ranges);
    for (size_t i = 1; i < count; i++) {
        struct range *last = &ranges[kept];

        if (last->last == UINT32_MAX || ranges[i].first <= last->last + 1) {
            if (ranges[i].last > last->last)
                last->last = ranges[i].last;
        } else {
            ranges[++kept] = ranges[i];
        }
    }
    return kept + 1;
}

static int not_ipv4(enum set_id id, struct error *error)
{
    error_set(error, "nf_tables rules: set %s: an element is not IPv4", kinds[id].name);
    return -EINVAL;
}

/* For the set `id`. 0, or -EINVAL and a sentence. */
static int ranges_of_addresses(enum set_id id, struct range *ranges,
                               const struct address *addresses, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (!address_is_ipv4(&addresses[i]))
            return not_ipv4(id, error);
        ranges[i].first = ranges[i].last = address_to_ipv4(&addresses[i]);
    }
    return 0;
}

static int ranges_of_prefixes(enum set_id id, struct range *ranges, const struct prefix *prefixes,
                              size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t host_bits;

        if (!address_is_ipv4(&prefixes[i].address) || prefixes[i].length < EVERY_IPV4 ||
            prefixes[i].length > ONE_ADDRESS)
            return not_ipv4(id, error);
        host_bits =
            prefixes[i].length == ONE_ADDRESS ? 0 : UINT32_MAX >> (prefixes[i].length - EVERY_IPV4);
        ranges[i].first = address_to_ipv4(&prefixes[i].address) & ~host_bits;
        ranges[i].last = ranges[i].first | host_bits;
    }
    return 0;
}

static int ranges_of_ranges(enum set_id id, struct range *ranges, const struct address_range *from,
                            size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (!address_is_ipv4(&from[i].first) || !address_is_ipv4(&from[i].last))
            return not_ipv4(id, error);
        ranges[i].first = address_to_ipv4(&from[i].first);
        ranges[i].last = address_to_ipv4(&from[i].last);
    }
    return 0;
}

static void ranges_of_ports(struct range *ranges, const struct port_range *ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ranges[i] = (struct range){.first = ports[i].first, .last = ports[i].last};
}

static void put_interfaces(struct batch *batch, const struct ruleset_contents *contents,
                           struct range *ranges)
{
    size_t count = 0;

    for (size_t i = 0; i < contents->interface_count; i++) {
        if (contents->interfaces[i].index != 0)
            ranges[count++].first = contents->interfaces[i].index;
    }
    put_values(batch, SET_INTERFACES, ranges, count);
}

static void add_name(struct batch *batch, struct nftnl_set *set, const char *name)
{
    char key[IF_NAMESIZE] = {0}; /* as the kernel compares it: with NULs up to its size */
    struct nftnl_set_elem *element = nftnl_set_elem_alloc();

    if (element == NULL) {
        batch->failed = true;
        return;
    }
    memcpy(key, name, strnlen(name, sizeof(key) - 1));
    nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key, sizeof(key));
    nftnl_set_elem_add(set, element);
}

/* The kernel accepts duplicates, and a message without elements. */
static void put_names(struct batch *batch, const struct ruleset_contents *contents)
{
    struct nftnl_set *set = begin_set(batch, SET_NAMES);

    if (set == NULL)
        return;
    for (size_t i = 0; i < contents->interface_count; i++) {
        if (contents->interfaces[i].name[0] != '\0')
            add_name(batch, set, contents->interfaces[i].name);
    }
    end_elements(batch, set);
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

static void put_uplinks(struct batch *batch, const struct ruleset_contents *contents)
{
    for (size_t i = 0; i < contents->uplink_count; i++) {
        const struct range interface = {.first = contents->interfaces[i].index};

        if (interface.first != 0 && is_in_use(SET_UPLINK + i, contents->uplink_count) &&
            !is_told_before(contents->interfaces, i))
            put_values(batch, (enum set_id)(SET_UPLINK + i), &interface, 1);
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

static void fill_ports(struct batch *batch, enum set_id id, struct range *ranges,
                       const struct port_range *ports, size_t count)
{
    ranges_of_ports(ranges, ports, count);
    put_ranges(batch, id, ranges, merge_ranges(ranges, count));
}

/* For prefixes that may overlap. 0, or -EINVAL and a sentence. */
static int fill_prefixes(struct batch *batch, enum set_id id, struct range *ranges,
                         const struct prefix *prefixes, size_t count, struct error *error)
{
    int result = ranges_of_prefixes(id, ranges, prefixes, count, error);

    if (result == 0)
        put_ranges(batch, id, ranges, merge_ranges(ranges, count));
    return result;
}

static int fill_closed(struct batch *batch, const struct ruleset_contents *contents,
                       struct range *ranges, struct error *error)
{
    const size_t count = contents->closed_count;
    int result = ranges_of_ranges(SET_CLOSED, ranges, contents->closed, count, error);

    if (result == 0)
        put_ranges(batch, SET_CLOSED, ranges, merge_ranges(ranges, count));
    return result;
}

static int fill(struct batch *batch, const struct ruleset_contents *contents, struct range *ranges,
                struct error *error)
{
    if (ranges_of_addresses(SET_EXTERNAL, ranges, contents->external, contents->external_count,
                            error) < 0)
        return -EINVAL;
    put_values(batch, SET_EXTERNAL, ranges, contents->external_count);
    put_interfaces(batch, contents, ranges);
    put_names(batch, contents);
    put_uplinks(batch, contents);
    if (ranges_of_addresses(SET_TARGETS, ranges, contents->targets, contents->target_count, error) <
        0)
        return -EINVAL;
    put_values(batch, SET_TARGETS, ranges, contents->target_count);
    for (size_t i = 0; i < contents->other_uplink_count; i++)
        ranges[i].first = contents->other_uplinks[i];
    put_values(batch, SET_OTHER_UPLINKS, ranges, contents->other_uplink_count);
    if (fill_prefixes(batch, SET_SOURCES, ranges, contents->sources, contents->source_count,
                      error) < 0 ||
        fill_prefixes(batch, SET_EXEMPT, ranges, contents->exempt, contents->exempt_count, error) <
            0 ||
        fill_closed(batch, contents, ranges, error) < 0)
        return -EINVAL;
    for (int p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        fill_ports(batch, (enum set_id)(SET_PUBLISHED + p), ranges, contents->published[p].ranges,
                   contents->published[p].count);
        fill_ports(batch, (enum set_id)(SET_BOUND + p), ranges, contents->bound[p].ranges,
                   contents->bound[p].count);
    }
    return 0;
}

int sets_fill(struct batch *batch, const struct ruleset_contents *contents, struct error *error)
{
    struct range *ranges = calloc(largest_count(contents), sizeof(*ranges));
    int result;

    if (ranges == NULL) {
        error_set(error, "nf_tables rules: not enough memory");
        return -ENOMEM;
    }
    result = fill(batch, contents, ranges, error);
    free(ranges);
    return result;
}

/* A request to delete elements that names no element empties the set. */
void sets_flush(struct batch *batch, size_t uplinks)
{
    for (int id = 0; id < SET_COUNT; id++) {
        struct nftnl_set *set;

        if (kinds[id].fixed || !is_in_use((size_t)id, uplinks))
            continue;
        set = begin_set(batch, (enum set_id)id);
        if (set == NULL)
            return;
        nftnl_set_elems_nlmsg_build_payload(batch_message(batch, NFT_MSG_DELSETELEM, 0), set);
        nftnl_set_free(set);
    }
}

void set_put_removal(struct batch *batch, const char *name)
{
    struct nftnl_set *set = set_begin(name);

    if (set == NULL) {
        batch->failed = true;
        return;
    }
    nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_IPV4);
    nftnl_set_nlmsg_build_payload(batch_message(batch, NFT_MSG_DELSET, 0), set);
    nftnl_set_free(set);
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
    put_values(batch, SET_PROTOCOLS, protocols, PROTOCOL_COUNT);
    put_values(batch, SET_ICMP_INBOUND, inbound, sizeof(inbound) / sizeof(inbound[0]));
    put_values(batch, SET_ICMP_ERRORS, errors, sizeof(errors) / sizeof(errors[0]));
}
