/*
 * offload_maps.c - elements of the maps of offloaded sessions: add, read, remove, list
 */
#include "portreeve/offload_maps.h"

#include "netlink.h"
#include "offload_internal.h"
#include "table_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>

struct offload_maps {
    struct table_socket *socket; /* of the ruleset */
};

int offload_maps_open(struct offload_maps **maps, const struct ruleset *ruleset,
                      struct error *error)
{
    struct offload_maps *opened = calloc(1, sizeof(*opened));

    if (opened == NULL) {
        error_set(error, "offload: not enough memory");
        return -ENOMEM;
    }
    opened->socket = ruleset_socket(ruleset);
    *maps = opened;
    return 0;
}

void offload_maps_close(struct offload_maps *maps)
{
    free(maps);
}

/* Elements. */

static struct offload_key key_between(const struct endpoint *source,
                                      const struct endpoint *destination, uint8_t protocol)
{
    return (struct offload_key){.source = htonl(address_to_ipv4(&source->address)),
                                .destination = htonl(address_to_ipv4(&destination->address)),
                                .source_port.number = htons(source->port),
                                .destination_port.number = htons(destination->port),
                                .protocol = protocol};
}

static struct offload_key key_of(const struct offload_flow *flow, enum packet_hook hook)
{
    struct offload_key key;

    if (hook == HOOK_INBOUND)
        return key_between(&flow->remote, &flow->external, flow->protocol);
    key = key_between(&flow->internal, &flow->remote, flow->protocol);
    key.uplink = flow->uplink;
    return key;
}

static struct offload_value value_of(const struct offload_flow *flow, enum packet_hook hook)
{
    const struct endpoint *endpoint = hook == HOOK_INBOUND ? &flow->internal : &flow->external;

    return (struct offload_value){.address = htonl(address_to_ipv4(&endpoint->address)),
                                  .port.number = htons(endpoint->port)};
}

static bool add_element(struct nftnl_set *set, const struct offload_flow *flow,
                        enum packet_hook hook, bool with_value)
{
    const struct offload_key key = key_of(flow, hook);
    const struct offload_value value = value_of(flow, hook);
    struct nftnl_set_elem *element = nftnl_set_elem_alloc();

    if (element == NULL)
        return false;
    nftnl_set_elem_add(set, element);
    return nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, &key, sizeof(key)) == 0 &&
           (!with_value ||
            nftnl_set_elem_set(element, NFTNL_SET_ELEM_DATA, &value, sizeof(value)) == 0);
}

/* The elements of these orders in one map, as the payload of a message. */
static bool put_elements(struct nlmsghdr *message, const struct offload_order *orders, size_t count,
                         enum packet_hook hook, bool with_values)
{
    struct nftnl_set *set = set_begin(offload_map_name(hook));
    bool fine = set != NULL;

    for (size_t i = 0; fine && i < count; i++)
        fine = add_element(set, &orders[i].flow, hook, with_values);
    if (fine)
        nftnl_set_elems_nlmsg_build_payload(message, set);
    if (set != NULL)
        nftnl_set_free(set);
    return fine;
}

/* Reading elements. */

struct element {
    struct offload_key key;
    uint64_t packets, bytes;
};

static int read_expression(struct nftnl_expr *expression, void *context)
{
    const char *name = nftnl_expr_get_str(expression, NFTNL_EXPR_NAME);
    struct element *element = context;

    if (strcmp(name, "counter") == 0) {
        element->packets = nftnl_expr_get_u64(expression, NFTNL_EXPR_CTR_PACKETS);
        element->bytes = nftnl_expr_get_u64(expression, NFTNL_EXPR_CTR_BYTES);
    }
    return 0;
}

typedef void take_element(void *context, const struct element *element);

struct reading {
    take_element *take;
    void *context;
};

static int read_element(struct nftnl_set_elem *nftnl, void *context)
{
    const struct reading *reading = context;
    struct element element = {0};
    uint32_t length = 0;
    const void *key = nftnl_set_elem_get(nftnl, NFTNL_SET_ELEM_KEY, &length);

    if (key == NULL || length != sizeof(element.key))
        return 0;
    memcpy(&element.key, key, sizeof(element.key));
    nftnl_set_elem_expr_foreach(nftnl, read_expression, &element);
    reading->take(reading->context, &element);
    return 0;
}

static int read_elements(const struct nlmsghdr *message, void *context)
{
    uint16_t type = message->nlmsg_type;
    struct nftnl_set *set;

    if (type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM) &&
        type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM))
        return MNL_CB_OK;
    set = nftnl_set_alloc();
    if (set != NULL && nftnl_set_elems_nlmsg_parse(message, set) == 0)
        nftnl_set_elem_foreach(set, read_element, context);
    if (set != NULL)
        nftnl_set_free(set);
    return MNL_CB_OK;
}

/*
 * Elements come back in the order of the request: first all of one map, then all of the other one.
 */
struct matching {
    const struct offload_order *orders;
    struct offload_outcome *outcomes;
    size_t count, next;
    enum packet_hook hook;
};

static void match_element(void *context, const struct element *element)
{
    struct matching *matching = context;

    for (size_t tries = 0; tries < 2 * matching->count; tries++) {
        struct offload_outcome *outcome = &matching->outcomes[matching->next];
        struct offload_key key = key_of(&matching->orders[matching->next].flow, matching->hook);
        enum packet_hook hook = matching->hook;

        if (++matching->next == matching->count) {
            matching->next = 0;
            matching->hook = hook == HOOK_INBOUND ? HOOK_OUTBOUND : HOOK_INBOUND;
        }
        if (memcmp(&key, &element->key, sizeof(key)) != 0)
            continue;
        outcome->has_traffic = true;
        outcome->traffic.packets[hook] = element->packets;
        outcome->traffic.bytes[hook] = element->bytes;
        return;
    }
}

/* Transactions. */

static int commit(struct offload_maps *maps, const struct offload_order *orders,
                  struct offload_outcome *outcomes, size_t count, bool adding)
{
    struct matching matching = {
        .orders = orders, .outcomes = outcomes, .count = count, .hook = HOOK_INBOUND};
    struct reading reading = {match_element, &matching};
    struct batch_outcome failures;
    struct batch batch;
    int result = table_socket_begin(maps->socket, &batch);

    batch.echo = read_elements;
    batch.echo_context = &reading;
    for (int hook = 0; result == 0 && hook < 2; hook++) {
        struct nlmsghdr *message =
            batch_message(&batch, adding ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
                          adding ? NLM_F_CREATE : NLM_F_ECHO);

        if (!put_elements(message, orders, count, (enum packet_hook)hook, adding))
            result = -ENOMEM;
    }
    if (result == 0)
        result = table_socket_commit(maps->socket, &batch, &failures);
    batch_free(&batch);
    return result;
}

/*
 * True for an error that only concerns one order: its key already exists or no longer exists, or
 * the map is full. Any other error concerns all orders.
 */
static bool is_own_fault(int result)
{
    return result == 0 || result == -ENOENT || result == -EEXIST || result == -EBUSY ||
           result == -ENFILE;
}

static int change(struct offload_maps *maps, const struct offload_order *orders,
                  struct offload_outcome *outcomes, size_t count, bool adding)
{
    int together = count == 0 ? 0 : commit(maps, orders, outcomes, count, adding), result = 0;

    for (size_t i = 0; i < count; i++)
        outcomes[i].done = together == 0;
    if (count == 1 && !is_own_fault(together))
        return together;
    for (size_t i = 0; together != 0 && count > 1 && i < count; i++) {
        int alone = commit(maps, &orders[i], &outcomes[i], 1, adding);

        outcomes[i].done = alone == 0;
        if (!is_own_fault(alone))
            result = alone;
    }
    return result;
}

static struct nlmsghdr *question(char *buffer, uint16_t flags)
{
    return nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETSETELEM, NFPROTO_IPV4, flags, 0);
}

/* The answer ends at the first element that does not exist: the next request continues after it. */
static int ask_map(struct offload_maps *maps, const struct offload_order *orders,
                   struct offload_outcome *outcomes, size_t count, enum packet_hook hook,
                   char *buffer)
{
    for (size_t start = 0; start < count;) {
        struct matching matching = {.orders = orders + start,
                                    .outcomes = outcomes + start,
                                    .count = count - start,
                                    .hook = hook};
        struct reading reading = {match_element, &matching};
        struct nlmsghdr *request = question(buffer, NLM_F_ACK);
        int result;

        if (!put_elements(request, orders + start, count - start, hook, false))
            return -ENOMEM;
        result = table_socket_ask(maps->socket, request, read_elements, &reading);
        if (result == 0)
            return 0;
        if (result != -ENOENT)
            return result;
        start += matching.hook == hook ? matching.next + 1 : count - start;
    }
    return 0;
}

static int ask(struct offload_maps *maps, const struct offload_order *orders,
               struct offload_outcome *outcomes, size_t count)
{
    char *buffer = calloc(1, BATCH_MESSAGE_MAX);
    int result = buffer != NULL ? 0 : -ENOMEM;

    for (int hook = 0; result == 0 && count > 0 && hook < 2; hook++)
        result = ask_map(maps, orders, outcomes, count, (enum packet_hook)hook, buffer);
    free(buffer);
    return result;
}

static size_t count_of(const struct offload_order *orders, size_t count, enum offload_task task)
{
    size_t same = 0;

    while (same < count && orders[same].task == task)
        same++;
    return same;
}

int offload_maps_execute(struct offload_maps *maps, const struct offload_order *orders,
                         struct offload_outcome *outcomes, size_t count)
{
    int result = 0;

    for (size_t start = 0, same; start < count; start += same) {
        enum offload_task task = orders[start].task;
        int done;

        same = count_of(orders + start, count - start, task);
        for (size_t i = start; i < start + same; i++)
            outcomes[i] = (struct offload_outcome){0};
        if (task == OFFLOAD_ASK)
            done = ask(maps, orders + start, outcomes + start, same);
        else
            done = change(maps, orders + start, outcomes + start, same, task == OFFLOAD_ADD);
        if (done < 0)
            result = done;
    }
    return result;
}

/* Listing. */

struct listing {
    offload_listed *each;
    void *context;
    enum packet_hook hook;
};

static void list_element(void *context, const struct element *element)
{
    const struct listing *listing = context;
    const struct offload_key *key = &element->key;
    const struct tuple tuple = {
        .source = {address_from_ipv4(ntohl(key->source)), ntohs(key->source_port.number)},
        .destination = {address_from_ipv4(ntohl(key->destination)),
                        ntohs(key->destination_port.number)},
        .protocol = key->protocol};

    listing->each(listing->context, listing->hook, &tuple, element->packets, element->bytes);
}

/* Elements of one map; a change disturbs a listing, which ends with -EINTR. */
static int list_map(struct offload_maps *maps, enum packet_hook hook, const struct reading *reading)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8)));
    struct nlmsghdr *request = question(buffer, NLM_F_DUMP);

    mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_TABLE, RULESET_TABLE);
    mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_SET, offload_map_name(hook));
    return table_socket_ask(maps->socket, request, read_elements, (void *)reading);
}

/* An element that was listed twice is folded twice, but counts once. */
int offload_maps_list(struct offload_maps *maps, offload_listed *each, void *context)
{
    int result = 0;

    for (int hook = 0; result == 0 && hook < 2; hook++) {
        struct listing listing = {each, context, (enum packet_hook)hook};
        const struct reading reading = {list_element, &listing};

        for (int tries = 0; tries < NETLINK_DUMP_TRIES; tries++) {
            result = list_map(maps, (enum packet_hook)hook, &reading);
            if (result != -EINTR)
                break;
        }
    }
    return result == -EINTR ? 0 : result;
}

static void count_element(void *context, const struct element *element)
{
    uint32_t *count = context;

    (void)element;
    (*count)++;
}

int offload_maps_count(struct offload_maps *maps, uint32_t counts[2])
{
    int result = 0;

    for (int hook = 0; result == 0 && hook < 2; hook++) {
        const struct reading reading = {count_element, &counts[hook]};

        for (int tries = 0; tries < NETLINK_DUMP_TRIES; tries++) {
            counts[hook] = 0;
            result = list_map(maps, (enum packet_hook)hook, &reading);
            if (result != -EINTR)
                break;
        }
    }
    return result;
}
