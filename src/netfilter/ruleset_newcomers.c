/*
 * ruleset_newcomers.c - first packets of TCP connections: from outside to published ports, and of
 * shares
 *
 * Anyone can send as many of them as the line carries. So they have queues and threads of their
 * own, and a flood of them keeps nothing else waiting. And what one address outside sends above
 * `new-sessions-per-remote` is dropped here already, for a fraction of what a packet costs that
 * goes through a queue. The translator has the same limit, for UDP, and for sessions that begin in
 * another way.
 *
 * The set has an element for each address of the last seconds, with a token bucket of its own
 * (nft_dynset, nft_limit). When it is full, a flood comes from more addresses than it has room for:
 * no limit for each of them would help, and further ones go to the queue.
 */
#include "portreeve/protocol.h"
#include "portreeve/queue.h"
#include "ruleset_chain.h"
#include "ruleset_rule.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <libnftnl/expr.h>
#include <libnftnl/set.h>

#define SET_RATES "syn_rates"

/* 200 bytes each, while there are so many. */
#define ADDRESSES_MAX 65536

/* The bucket of an address is full again after a second. */
#define REMEMBERED_MS UINT64_C(5000)

#define FLAGS_OF_BEGINNING (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)

static const struct field source = FIELD_OF_IPV4(saddr);
static const struct field destination_port = FIELD_OF_PORT(dest);

void newcomers_create_set(struct batch *batch)
{
    struct nftnl_set *set = set_begin(SET_RATES);

    if (set == NULL) {
        batch->failed = true;
        return;
    }
    nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_IPV4);
    nftnl_set_set_u32(set, NFTNL_SET_ID, ID_SYN_RATES);
    nftnl_set_set_u32(set, NFTNL_SET_FLAGS, NFT_SET_EVAL | NFT_SET_TIMEOUT);
    nftnl_set_set_u64(set, NFTNL_SET_TIMEOUT, REMEMBERED_MS);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, NFT_ADDRESS);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, sizeof(uint32_t));
    nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, ADDRESSES_MAX);
    nftnl_set_nlmsg_build_payload(batch_message(batch, NFT_MSG_NEWSET, NLM_F_CREATE), set);
    nftnl_set_free(set);
}

/*
 * What the inside sends to an external address waits with everything else: the limit is not meant
 * for it.
 */
static void put_beginnings(struct batch *batch)
{
    const enum set_id ports = (enum set_id)(SET_PUBLISHED + PROTOCOL_INDEX_TCP);
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "a new connection from outside"))
        return;
    rule_match_tcp_flags(&rule, FLAGS_OF_BEGINNING, NFT_CMP_EQ, TCP_SYN);
    rule_load_meta(&rule, NFT_REG_1, NFT_META_IIF);
    rule_match_set(&rule, SET_INTERFACES);
    rule_match_field(&rule, destination_port, ports);
    rule_load_field(&rule, NFT_REG_1, source);
    rule_lookup_none(&rule, NFT_REG_1, set_name(SET_SOURCES), SET_SOURCES + 1);
    rule_goto(&rule, CHAIN_NEWCOMERS);
    rule_end(&rule);
}

/* The token bucket that a new element of the set gets. */
static struct nftnl_expr *limit(uint32_t most_per_second)
{
    struct nftnl_expr *limit = nftnl_expr_alloc("limit");

    if (limit == NULL)
        return NULL;
    nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, most_per_second);
    nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1);
    nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, most_per_second);
    nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
    nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_FLAGS, NFT_LIMIT_F_INV);
    return limit;
}

static void put_limit(struct batch *batch, uint32_t most_per_second)
{
    struct nftnl_expr *dynset, *bucket;
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_NEWCOMERS, "over new-sessions-per-remote"))
        return;
    rule_load_field(&rule, NFT_REG_1, source);
    dynset = rule_add(&rule, "dynset");
    bucket = limit(most_per_second);
    if (dynset == NULL || bucket == NULL) {
        batch->failed = true;
        if (bucket != NULL)
            nftnl_expr_free(bucket);
    } else {
        nftnl_expr_set_u32(dynset, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
        nftnl_expr_set_u32(dynset, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
        nftnl_expr_set_u32(dynset, NFTNL_EXPR_DYNSET_SET_ID, ID_SYN_RATES);
        if (nftnl_expr_set_str(dynset, NFTNL_EXPR_DYNSET_SET_NAME, SET_RATES) < 0)
            batch->failed = true;
        nftnl_expr_add_expr(dynset, NFTNL_EXPR_DYNSET_EXPRESSIONS, bucket);
    }
    rule_drop(&rule);
    rule_end(&rule);
}

static void put_queue(struct batch *batch, uint16_t first_queue, enum queue_method method)
{
    const struct queue_numbers numbers = {queue_of_newcomers(first_queue, NEWCOMERS_OUTSIDE), 1};
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_NEWCOMERS, "queue: new connections from outside"))
        return;
    rule_queue_to(&rule, method, numbers, false);
    rule_end(&rule);
}

void newcomers_create_inside_rule(struct batch *batch, uint16_t first_queue,
                                  enum queue_method method)
{
    const struct queue_numbers numbers = {queue_of_newcomers(first_queue, NEWCOMERS_INSIDE), 1};
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTBOUND, "queue: new connections of a share"))
        return;
    rule_match_tcp_flags(&rule, FLAGS_OF_BEGINNING, NFT_CMP_EQ, TCP_SYN);
    rule_match_field(&rule, source, SET_SOURCES);
    rule_queue_to(&rule, method, numbers, false);
    rule_end(&rule);
}

static void put_chain(struct batch *batch, uint16_t first_queue, uint32_t most_per_second,
                      struct ruleset_plan plan)
{
    if (most_per_second > 0 && plan.rates)
        put_limit(batch, most_per_second);
    put_queue(batch, first_queue, plan.queue);
}

void newcomers_create_rules(struct batch *batch, uint16_t first_queue, uint32_t most_per_second,
                            struct ruleset_plan plan)
{
    put_beginnings(batch);
    put_chain(batch, first_queue, most_per_second, plan);
}

/* The elements go, too: each has the limit that it was created with. */
void newcomers_change_limit(struct batch *batch, uint16_t first_queue, uint32_t most_per_second,
                            struct ruleset_plan plan)
{
    chain_put_clearing(batch, CHAIN_NEWCOMERS);
    set_put_clearing(batch, SET_RATES);
    put_chain(batch, first_queue, most_per_second, plan);
}
