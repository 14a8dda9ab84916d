/*
 * ruleset_elements.c - the elements of a set: what the kernel has in it, and what has to change
 *
 * In a set of ranges, the kernel (nft_set_rbtree) only has points: one where a range begins, and
 * one with the flag INTERVAL_END at the first value after the range. A range up to the largest
 * value has no end point. An end point at 0 comes before the first range, as in nft. Two ranges
 * without a gap would have a begin and an end at the same value, so they are merged first. Both
 * points of a range are in the same message, the begin first: newer kernels pair them in this
 * order. A range that changes is removed and added as a whole.
 */
#include "ruleset_elements.h"

#include "netlink.h"
#include "table_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/common.h>
#include <libnftnl/set.h>

/* Ranges per message, 40 bytes each: far less than the 64 KiB of a list of elements. */
#define CHUNK 512

static uint32_t largest(const struct set_kind *kind)
{
    return kind->width == 2 ? UINT16_MAX : UINT32_MAX;
}

/* Messages. */

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

static struct nftnl_set *begin_set(struct batch *batch, const struct set_kind *kind)
{
    struct nftnl_set *set = set_begin(kind->name);

    if (set == NULL)
        batch->failed = true;
    return set;
}

static void add_key(struct batch *batch, struct nftnl_set *set, const void *key, uint32_t width,
                    uint32_t flags)
{
    struct nftnl_set_elem *element = nftnl_set_elem_alloc();

    if (element == NULL) {
        batch->failed = true;
        return;
    }
    if (nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key, width) < 0)
        batch->failed = true;
    if (flags)
        nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS, flags);
    nftnl_set_elem_add(set, element);
}

static void add_element(struct batch *batch, struct nftnl_set *set, const struct set_kind *kind,
                        uint32_t value, uint32_t flags)
{
    const uint8_t byte = (uint8_t)value;
    const uint16_t two = htons((uint16_t)value);
    const uint32_t four = kind->host_order ? value : htonl(value);
    const void *key = kind->width == 1   ? (const void *)&byte
                      : kind->width == 2 ? (const void *)&two
                                         : (const void *)&four;

    add_key(batch, set, key, kind->width, flags);
}

static void add_range(struct batch *batch, struct nftnl_set *set, const struct set_kind *kind,
                      const struct range *range)
{
    add_element(batch, set, kind, range->first, 0);
    if (kind->ranges && range->last < largest(kind))
        add_element(batch, set, kind, range->last + 1, NFT_SET_ELEM_INTERVAL_END);
}

/* Sends the elements, and frees the set. A message about no element at all would mean every one. */
static void end_elements(struct batch *batch, struct nftnl_set *set, uint16_t type)
{
    const uint16_t flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;

    nftnl_set_elems_nlmsg_build_payload(batch_message(batch, type, flags), set);
    nftnl_set_free(set);
}

static size_t end_of_chunk(size_t start, size_t count)
{
    return count - start < CHUNK ? count : start + CHUNK;
}

/* `type` is NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM; `zero`: the end point at 0, too. */
static void put_elements(struct batch *batch, uint16_t type, const struct set_kind *kind,
                         const struct range *ranges, size_t count, bool zero)
{
    for (size_t start = 0; start < count || zero; start = end_of_chunk(start, count)) {
        struct nftnl_set *set = begin_set(batch, kind);

        if (set == NULL)
            return;
        if (zero)
            add_element(batch, set, kind, 0, NFT_SET_ELEM_INTERVAL_END);
        zero = false;
        for (size_t i = start; i < end_of_chunk(start, count); i++)
            add_range(batch, set, kind, &ranges[i]);
        end_elements(batch, set, type);
    }
}

static bool has_zero(const struct set_kind *kind, const struct range *ranges, size_t count)
{
    return kind->ranges && count > 0 && ranges[0].first > 0;
}

void elements_put(struct batch *batch, const struct set_kind *kind, const struct range *ranges,
                  size_t count)
{
    put_elements(batch, NFT_MSG_NEWSETELEM, kind, ranges, count, has_zero(kind, ranges, count));
}

/* A request to delete elements that names no element empties the set. */
static void put_flush(struct batch *batch, const struct set_kind *kind)
{
    struct nftnl_set *set = begin_set(batch, kind);

    if (set != NULL)
        end_elements(batch, set, NFT_MSG_DELSETELEM);
}

/* Reading. */

static int read_message(const struct nlmsghdr *message, void *context)
{
    const uint16_t type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM;
    struct nftnl_set *set = context;

    if (message->nlmsg_type == type && nftnl_set_elems_nlmsg_parse(message, set) < 0)
        return MNL_CB_ERROR;
    return MNL_CB_OK;
}

static int ask(struct table_socket *socket, const char *name, struct nftnl_set *set)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request =
        nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETSETELEM, NFPROTO_IPV4, NLM_F_DUMP, 0);

    mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_TABLE, RULESET_TABLE);
    mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_SET, name);
    return table_socket_ask(socket, request, read_message, set);
}

/*
 * What the kernel has in the set; nftnl_set_free frees it. NULL and -errno: -ENOENT if there is no
 * such set.
 */
static struct nftnl_set *read_set(struct table_socket *socket, const char *name, int *result)
{
    *result = -EINTR;
    for (int tries = 0; tries < NETLINK_DUMP_TRIES && *result == -EINTR; tries++) {
        struct nftnl_set *set = set_begin(name);

        *result = set != NULL ? ask(socket, name, set) : -ENOMEM;
        if (*result == 0)
            return set;
        if (set != NULL)
            nftnl_set_free(set);
    }
    return NULL;
}

struct point {
    uint32_t value;
    bool end; /* of a range: the first value after it */
};

struct points {
    const struct set_kind *kind;
    struct point *each;
    size_t count, capacity;
    bool failed; /* no memory, or a key of another size */
};

static int count_element(struct nftnl_set_elem *element, void *context)
{
    size_t *count = context;

    (void)element;
    *count += 1;
    return 0;
}

static int read_point(struct nftnl_set_elem *element, void *context)
{
    struct points *points = context;
    const struct set_kind *kind = points->kind;
    uint32_t length = 0, flags = 0;
    const uint8_t *key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &length);
    struct point *point = &points->each[points->count];
    uint32_t value = 0;

    if (key == NULL || length != kind->width || points->count == points->capacity) {
        points->failed = true;
        return 0;
    }
    if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_FLAGS))
        flags = nftnl_set_elem_get_u32(element, NFTNL_SET_ELEM_FLAGS);
    for (uint32_t i = 0; i < length; i++)
        value = value << 8 | key[i];
    *point = (struct point){.value = kind->host_order ? ntohl(value) : value,
                            .end = (flags & NFT_SET_ELEM_INTERVAL_END) != 0};
    points->count++;
    return 0;
}

static int compare_points(const void *one, const void *other)
{
    const struct point *first = one, *second = other;

    if (first->value != second->value)
        return first->value < second->value ? -1 : 1;
    return second->end - first->end;
}

/* What the kernel has in a set. */
struct present {
    struct range *ranges;
    size_t count;
    bool zero;       /* the end point at 0 is there */
    bool is_unknown; /* it cannot be read, or is not as we write it */
};

/* Every begin of a range with the end point after it; false if there are others. */
static bool pair_points(const struct points *points, struct present *present)
{
    const struct set_kind *kind = points->kind;
    const struct point *point = points->each, *end = point + points->count;

    present->zero = point < end && point->end && point->value == 0;
    for (point += present->zero; point < end; point++) {
        struct range *range = &present->ranges[present->count++];

        if (point->end)
            return false;
        range->first = range->last = point->value;
        if (!kind->ranges)
            continue;
        range->last = largest(kind);
        if (point + 1 == end)
            continue;
        point++;
        if (!point->end)
            return false;
        range->last = point->value - 1;
    }
    return true;
}

/* Returns 0 or -ENOMEM. */
static int take_present(const struct set_kind *kind, struct nftnl_set *set, struct present *present)
{
    struct points points = {.kind = kind};

    nftnl_set_elem_foreach(set, count_element, &points.capacity);
    points.each = calloc(points.capacity + 1, sizeof(*points.each));
    present->ranges = calloc(points.capacity + 1, sizeof(*present->ranges));
    if (points.each == NULL || present->ranges == NULL) {
        free(points.each);
        return -ENOMEM;
    }
    nftnl_set_elem_foreach(set, read_point, &points);
    qsort(points.each, points.count, sizeof(*points.each), compare_points);
    present->is_unknown = points.failed || !pair_points(&points, present);
    free(points.each);
    return 0;
}

/* Returns 0 or -ENOMEM; free the ranges in any case. */
static int read_present(struct table_socket *socket, const struct set_kind *kind,
                        struct present *present)
{
    struct nftnl_set *set;
    int result = -ENOENT;

    if (socket == NULL)
        return 0;
    set = read_set(socket, kind->name, &result);
    if (set == NULL) {
        present->is_unknown = result != -ENOENT;
        return result == -ENOMEM ? result : 0;
    }
    result = take_present(kind, set, present);
    nftnl_set_free(set);
    return result;
}

/* Changes. */

static int compare_ranges(const void *one, const void *other)
{
    const struct range *first = one, *second = other;

    if (first->first != second->first)
        return first->first < second->first ? -1 : 1;
    return (first->last > second->last) - (first->last < second->last);
}

/*
 * Sorts the ranges and merges those that overlap, and in a set of ranges those that touch; returns
 * how many are left.
 */
static size_t merge_ranges(const struct set_kind *kind, struct range *ranges, size_t count)
{
    const uint32_t gap = kind->ranges ? 1 : 0;
    size_t kept = 0;

    if (count == 0)
        return 0;
    qsort(ranges, count, sizeof(*ranges), compare_ranges);
    for (size_t i = 1; i < count; i++) {
        struct range *last = &ranges[kept];

        if (last->last == UINT32_MAX || ranges[i].first <= last->last + gap) {
            if (ranges[i].last > last->last)
                last->last = ranges[i].last;
        } else {
            ranges[++kept] = ranges[i];
        }
    }
    return kept + 1;
}

/* Copies those of `ranges` to `left` that are not in `others`; returns how many. Both are sorted.
 */
static size_t difference(struct range *left, const struct range *ranges, size_t count,
                         const struct range *others, size_t other_count)
{
    size_t found = 0, other = 0;

    for (size_t i = 0; i < count; i++) {
        while (other < other_count && compare_ranges(&others[other], &ranges[i]) < 0)
            other++;
        if (other == other_count || compare_ranges(&others[other], &ranges[i]) != 0)
            left[found++] = ranges[i];
    }
    return found;
}

/* `scratch` has room for the larger of the two. */
static void put_difference(struct batch *batch, const struct set_kind *kind,
                           const struct present *present, const struct range *ranges, size_t count,
                           struct range *scratch)
{
    const bool zero = has_zero(kind, ranges, count);
    size_t some = difference(scratch, present->ranges, present->count, ranges, count);

    put_elements(batch, NFT_MSG_DELSETELEM, kind, scratch, some, present->zero && !zero);
    some = difference(scratch, ranges, count, present->ranges, present->count);
    put_elements(batch, NFT_MSG_NEWSETELEM, kind, scratch, some, zero && !present->zero);
}

static int no_memory(struct error *error)
{
    error_set(error, "nf_tables rules: not enough memory");
    return -ENOMEM;
}

int elements_change(struct batch *batch, struct table_socket *socket, const struct set_kind *kind,
                    struct range *ranges, size_t count, struct error *error)
{
    struct present present = {0};
    int result = read_present(socket, kind, &present);
    struct range *scratch = calloc(present.count + count + 1, sizeof(*scratch));

    count = merge_ranges(kind, ranges, count);
    if (result < 0 || scratch == NULL) {
        result = no_memory(error);
    } else if (present.is_unknown) {
        put_flush(batch, kind);
        elements_put(batch, kind, ranges, count);
    } else {
        put_difference(batch, kind, &present, ranges, count, scratch);
    }
    free(scratch);
    free(present.ranges);
    return result;
}

/* Names. */

struct names {
    const struct interface *interfaces;
    size_t count;
    bool others; /* the kernel has some that are not among these */
};

static int find_other(struct nftnl_set_elem *element, void *context)
{
    struct names *names = context;
    uint32_t length = 0;
    const char *key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &length);

    for (size_t i = 0; key != NULL && i < names->count; i++) {
        if (strncmp(names->interfaces[i].name, key, length) == 0)
            return 0;
    }
    names->others = true;
    return 0;
}

/* The kernel accepts duplicates, existing ones, and a message that adds none. */
static void put_names(struct batch *batch, const struct set_kind *kind, const struct names *names)
{
    struct nftnl_set *set = begin_set(batch, kind);

    if (set == NULL)
        return;
    for (size_t i = 0; i < names->count; i++) {
        char key[IF_NAMESIZE] = {0}; /* as the kernel compares it: with NULs up to its size */
        const char *name = names->interfaces[i].name;

        memcpy(key, name, strnlen(name, sizeof(key) - 1));
        if (key[0] != '\0')
            add_key(batch, set, key, sizeof(key), 0);
    }
    end_elements(batch, set, NFT_MSG_NEWSETELEM);
}

/*
 * Names only change with the configuration, and count only until the index of an interface is
 * known: so all of them may be removed and added again.
 */
int elements_change_names(struct batch *batch, struct table_socket *socket,
                          const struct set_kind *kind, const struct interface *interfaces,
                          size_t count, struct error *error)
{
    struct names names = {.interfaces = interfaces, .count = count};
    int result = -ENOENT;
    struct nftnl_set *set = socket != NULL ? read_set(socket, kind->name, &result) : NULL;

    if (result == -ENOMEM)
        return no_memory(error);
    if (set != NULL) {
        nftnl_set_elem_foreach(set, find_other, &names);
        nftnl_set_free(set);
    }
    if (names.others || (set == NULL && result != -ENOENT))
        put_flush(batch, kind);
    put_names(batch, kind, &names);
    return 0;
}
