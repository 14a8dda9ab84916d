/*
 * ruleset_queue.c - the rules that send packets to the queues
 */
#include "offload_internal.h"
#include "portreeve/queue.h"
#include "ruleset_rule.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <stdlib.h>

#include <libnftnl/expr.h>

/* The revisions of xt_NFQUEUE differ in the meaning of their data; 3 exists since Linux 3.10. */
#define NFQUEUE_REVISION 3

static void queue_native(struct rule *rule, struct queue_numbers numbers, bool bypass)
{
    struct nftnl_expr *queue = rule_add(rule, "queue");

    if (queue == NULL)
        return;
    nftnl_expr_set_u16(queue, NFTNL_EXPR_QUEUE_NUM, numbers.first);
    nftnl_expr_set_u16(queue, NFTNL_EXPR_QUEUE_TOTAL, numbers.count);
    if (bypass)
        nftnl_expr_set_u16(queue, NFTNL_EXPR_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS);
}

/* The data has the size that x_tables would give it, a multiple of 8; the expression frees it. */
static void queue_target(struct rule *rule, struct queue_numbers numbers, bool bypass)
{
    const uint32_t size = (sizeof(struct xt_NFQ_info_v3) + 7) / 8 * 8;
    struct nftnl_expr *target = rule_add(rule, "target");
    struct xt_NFQ_info_v3 *data = calloc(1, size);

    if (target == NULL || data == NULL) {
        rule->batch->failed = true;
        free(data);
        return;
    }
    *data = (struct xt_NFQ_info_v3){.queuenum = numbers.first,
                                    .queues_total = numbers.count,
                                    .flags = bypass ? NFQ_FLAG_BYPASS : 0};
    if (nftnl_expr_set_str(target, NFTNL_EXPR_TG_NAME, "NFQUEUE") < 0)
        rule->batch->failed = true;
    nftnl_expr_set_u32(target, NFTNL_EXPR_TG_REV, NFQUEUE_REVISION);
    nftnl_expr_set(target, NFTNL_EXPR_TG_INFO, data, size);
}

void rule_queue_to(struct rule *rule, enum queue_method method, struct queue_numbers numbers,
                   bool bypass)
{
    rule_add(rule, "counter");
    if (method == QUEUE_NATIVE)
        queue_native(rule, numbers, bypass);
    else
        queue_target(rule, numbers, bypass);
}

static void put_queue(struct batch *batch, const struct ruleset_options *options,
                      enum queue_method method, bool bypass, bool udp)
{
    struct queue_numbers numbers = {options->first_queue, options->queue_count};
    struct rule rule;

    if (!rule_begin(&rule, batch, bypass ? CHAIN_BYPASS : CHAIN_QUEUE,
                    udp ? "queue: UDP, one segment at a time" : "queue: bulk packets as a whole"))
        return;
    if (udp) {
        rule_match_protocol(&rule, PROTOCOL_UDP);
        numbers.first = queue_first_udp(numbers.first);
    }
    rule_queue_to(&rule, method, numbers, bypass);
    rule_end(&rule);
}

/* Which of the two queue numbers: see queue.h. */
void queue_create_rules(struct batch *batch, const struct ruleset_options *options,
                        enum queue_method method)
{
    for (int bypass = 0; bypass < 2; bypass++) {
        oversize_create_rules(batch, bypass ? CHAIN_BYPASS : CHAIN_QUEUE);
        put_queue(batch, options, method, bypass, true);
        put_queue(batch, options, method, bypass, false);
    }
}
