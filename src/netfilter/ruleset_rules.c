/*
 * ruleset_rules.c - the table, its chains and its rules
 *
 * Every rule has a comment that says what happens to the packet: nft does not show an xt target if
 * the plug-ins of iptables are not installed.
 *
 * Registers: every match loads register 1 and compares it at once. The queue statement comes last,
 * because it is the verdict of the rule.
 */
#include "offload_internal.h"
#include "portreeve/queue.h"
#include "ruleset_rule.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>

/* The revisions of xt_NFQUEUE differ in the meaning of their data; 3 exists since Linux 3.10. */
#define NFQUEUE_REVISION 3

static const struct field source = FIELD_OF_IPV4(saddr);
static const struct field destination = FIELD_OF_IPV4(daddr);
static const struct field destination_port = FIELD_OF_PORT(dest);
static const struct field icmp_type = {NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1};

static void look_up(struct rule *rule, enum set_id set)
{
    rule_lookup(rule, NFT_REG_1, set_name(set), (uint32_t)set + 1, 0);
}

static void match_field(struct rule *rule, struct field field, enum set_id set)
{
    rule_load_field(rule, NFT_REG_1, field);
    look_up(rule, set);
}

static void match_protocol(struct rule *rule, uint8_t protocol)
{
    rule_load_meta(rule, NFT_REG_1, NFT_META_L4PROTO);
    rule_compare(rule, NFT_REG_1, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

static void match_mark(struct rule *rule, uint32_t bit)
{
    const uint32_t none = 0;

    rule_load_meta(rule, NFT_REG_1, NFT_META_MARK);
    rule_mask(rule, NFT_REG_1, &bit, sizeof(bit));
    rule_compare(rule, NFT_REG_1, NFT_CMP_NEQ, &none, sizeof(none));
}

static void queue_native(struct rule *rule, uint16_t first, uint16_t count, bool bypass)
{
    struct nftnl_expr *queue = rule_add(rule, "queue");

    if (queue == NULL)
        return;
    nftnl_expr_set_u16(queue, NFTNL_EXPR_QUEUE_NUM, first);
    nftnl_expr_set_u16(queue, NFTNL_EXPR_QUEUE_TOTAL, count);
    if (bypass)
        nftnl_expr_set_u16(queue, NFTNL_EXPR_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS);
}

/* The data has the size that x_tables would give it, a multiple of 8; the expression frees it. */
static void queue_target(struct rule *rule, uint16_t first, uint16_t count, bool bypass)
{
    const uint32_t size = (sizeof(struct xt_NFQ_info_v3) + 7) / 8 * 8;
    struct nftnl_expr *target = rule_add(rule, "target");
    struct xt_NFQ_info_v3 *data = calloc(1, size);

    if (target == NULL || data == NULL) {
        rule->batch->failed = true;
        free(data);
        return;
    }
    *data = (struct xt_NFQ_info_v3){
        .queuenum = first, .queues_total = count, .flags = bypass ? NFQ_FLAG_BYPASS : 0};
    if (nftnl_expr_set_str(target, NFTNL_EXPR_TG_NAME, "NFQUEUE") < 0)
        rule->batch->failed = true;
    nftnl_expr_set_u32(target, NFTNL_EXPR_TG_REV, NFQUEUE_REVISION);
    nftnl_expr_set(target, NFTNL_EXPR_TG_INFO, data, size);
}

struct queueing {
    const struct ruleset_options *options;
    enum queue_method method;
};

static void queue_packet(struct rule *rule, bool bypass)
{
    rule_goto(rule, bypass ? CHAIN_BYPASS : CHAIN_QUEUE);
}

static void put_queue(struct batch *batch, const struct queueing *queueing, bool bypass, bool udp)
{
    uint16_t first = queueing->options->first_queue, count = queueing->options->queue_count;
    struct rule rule;

    if (!rule_begin(&rule, batch, bypass ? CHAIN_BYPASS : CHAIN_QUEUE,
                    udp ? "queue: UDP, one segment at a time" : "queue: bulk packets as a whole"))
        return;
    if (udp) {
        match_protocol(&rule, PROTOCOL_UDP);
        first = queue_first_udp(first);
    }
    rule_add(&rule, "counter");
    if (queueing->method == QUEUE_NATIVE)
        queue_native(&rule, first, count, bypass);
    else
        queue_target(&rule, first, count, bypass);
    rule_end(&rule);
}

/* Which of the two queue numbers: see queue.h. */
static void put_queues(struct batch *batch, const struct queueing *queueing)
{
    for (int bypass = 0; bypass < 2; bypass++) {
        put_queue(batch, queueing, bypass, true);
        put_queue(batch, queueing, bypass, false);
    }
}

/* The first rule, so that a packet that is not for us costs no more than this. */
static void put_others(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "not to an external address"))
        return;
    rule_load_field(&rule, NFT_REG_1, destination);
    rule_lookup_none(&rule, NFT_REG_1, set_name(SET_EXTERNAL), SET_EXTERNAL + 1);
    rule_accept(&rule);
    rule_end(&rule);
}

/*
 * A packet that does not leave by an external interface needs no lookup in the map of offloaded
 * sessions. The index decides: a renamed interface keeps it.
 */
static void put_inside(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTBOUND, "not to the outside"))
        return;
    rule_load_meta(&rule, NFT_REG_1, NFT_META_OIF);
    rule_lookup_none(&rule, NFT_REG_1, set_name(SET_INTERFACES), SET_INTERFACES + 1);
    rule_goto(&rule, CHAIN_INSIDE);
    rule_end(&rule);
}

/*
 * The external interface may be created (again) at any time, also while no daemon runs. Until its
 * index is in the set, nothing of a share leaves by it.
 */
static void put_unknown(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INSIDE,
                    "from a share to an external interface that is not known yet"))
        return;
    rule_load_meta(&rule, NFT_REG_1, NFT_META_OIFNAME);
    look_up(&rule, SET_NAMES);
    match_field(&rule, source, SET_SOURCES);
    rule_drop(&rule);
    rule_end(&rule);
}

/*
 * Packets of the gateway to itself are not from outside. This rule comes after the lookup of
 * offloaded sessions, because none of their packets arrives by this interface: so they need not
 * pass this rule. The index of the loopback interface is 1 in every namespace (LOOPBACK_IFINDEX).
 */
static void put_loopback(struct batch *batch)
{
    const uint32_t loopback = 1;
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "the gateway to itself"))
        return;
    rule_load_meta(&rule, NFT_REG_1, NFT_META_IIF);
    rule_compare(&rule, NFT_REG_1, NFT_CMP_EQ, &loopback, sizeof(loopback));
    rule_accept(&rule);
    rule_end(&rule);
}

/*
 * Answers to the gateway's own connections are the gateway's, also on a port that a mapping or a
 * forward has. A socket in time-wait does not count (nft_socket_eval): mappings come before it.
 */
static void put_sockets(struct batch *batch, enum protocol_index protocol)
{
    const uint8_t connected = 0;
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "to a connection of the gateway"))
        return;
    match_protocol(&rule, protocol_table[protocol].number);
    match_field(&rule, destination_port, (enum set_id)(SET_PUBLISHED + protocol));
    rule_lookup_none(&rule, NFT_REG_1, set_name((enum set_id)(SET_BOUND + protocol)),
                     SET_BOUND + protocol + 1);
    rule_load_socket(&rule, NFT_REG_1, NFT_SOCKET_WILDCARD);
    rule_compare(&rule, NFT_REG_1, NFT_CMP_EQ, &connected, sizeof(connected));
    rule_accept(&rule);
    rule_end(&rule);
}

/*
 * A packet from an inside address that comes in by an external interface is forged, unless the
 * inside is behind this interface too: then the route to the address leads back there.
 */
static void put_arrivals(struct batch *batch, enum set_id inside)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "from an inside address by an external interface"))
        return;
    rule_load_meta(&rule, NFT_REG_1, NFT_META_IIF);
    look_up(&rule, SET_INTERFACES);
    match_field(&rule, source, inside);
    rule_jump(&rule, CHAIN_ARRIVALS);
    rule_end(&rule);
}

/* Only what would be translated: the rest is up to the host. */
static void put_forged(struct batch *batch, enum protocol_index protocol)
{
    const uint32_t none = 0;
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_ARRIVALS, "forged source: to a published port"))
        return;
    match_protocol(&rule, protocol_table[protocol].number);
    match_field(&rule, destination_port, (enum set_id)(SET_PUBLISHED + protocol));
    rule_load_way_back(&rule, NFT_REG_1);
    rule_compare(&rule, NFT_REG_1, NFT_CMP_EQ, &none, sizeof(none));
    rule_drop(&rule);
    rule_end(&rule);
}

static void put_source_checks(struct batch *batch)
{
    put_arrivals(batch, SET_SOURCES);
    put_arrivals(batch, SET_TARGETS);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        put_forged(batch, p);
}

static void put_published(struct batch *batch, const char *chain, enum protocol_index protocol)
{
    /* Bypass for the gateway's packets to itself: they cannot leave it untranslated. */
    bool own = strcmp(chain, CHAIN_OWN_OUT) == 0;
    struct rule rule;

    if (!rule_begin(&rule, batch, chain,
                    own ? "queue, bypass: to a published port" : "queue: to a published port"))
        return;
    if (own)
        match_field(&rule, destination, SET_EXTERNAL);
    match_protocol(&rule, protocol_table[protocol].number);
    match_field(&rule, destination_port, (enum set_id)(SET_PUBLISHED + protocol));
    queue_packet(&rule, own);
    rule_end(&rule);
}

/*
 * Bypass: without the daemon these packets reach the gateway itself, so its own pings and path MTU
 * discovery still work.
 */
static void put_inbound_icmp(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "queue, bypass: ICMP replies and errors"))
        return;
    match_protocol(&rule, PROTOCOL_ICMP);
    match_field(&rule, icmp_type, SET_ICMP_INBOUND);
    queue_packet(&rule, true);
    rule_end(&rule);
}

static void put_hairpins(struct batch *batch, const struct ruleset_options *options,
                         const char *chain)
{
    struct rule rule;

    if (options->hairpin_mark == 0)
        return;
    if (!rule_begin(&rule, batch, chain, "queue: hairpins, by the mark that prerouting set"))
        return;
    match_mark(&rule, options->hairpin_mark);
    queue_packet(&rule, false);
    rule_end(&rule);
}

static void put_sources(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTBOUND,
                    "queue: from the source of a share to the outside"))
        return;
    match_field(&rule, source, SET_SOURCES);
    queue_packet(&rule, false);
    rule_end(&rule);
}

/*
 * What a share sends to the outside by another uplink would leave with a private source. It is
 * queued, because the daemon knows what is exempt, and counts.
 */
static void put_other_uplinks(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INSIDE, "queue: from a share to another uplink"))
        return;
    rule_load_meta(&rule, NFT_REG_1, NFT_META_OIF);
    look_up(&rule, SET_OTHER_UPLINKS);
    match_field(&rule, source, SET_SOURCES);
    rule_load_field(&rule, NFT_REG_1, destination);
    rule_lookup_none(&rule, NFT_REG_1, set_name(SET_SOURCES), SET_SOURCES + 1);
    queue_packet(&rule, false);
    rule_end(&rule);
}

static void put_targets(struct batch *batch, const char *chain)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, chain, "queue: from a forward's target"))
        return;
    match_field(&rule, source, SET_TARGETS);
    rule_load_meta(&rule, NFT_REG_1, NFT_META_L4PROTO);
    look_up(&rule, SET_PROTOCOLS);
    queue_packet(&rule, false);
    rule_end(&rule);
}

/*
 * Answers to the gateway's own packets. Bypass: without the daemon they reach the gateway
 * unchanged.
 */
static void put_own_answers(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OWN_IN,
                    "queue, bypass: from a forward's target to the gateway"))
        return;
    match_field(&rule, source, SET_TARGETS);
    match_field(&rule, destination, SET_EXTERNAL);
    queue_packet(&rule, true);
    rule_end(&rule);
}

static void put_outbound_icmp(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTBOUND, "queue: ICMP errors to the outside"))
        return;
    match_protocol(&rule, PROTOCOL_ICMP);
    match_field(&rule, icmp_type, SET_ICMP_ERRORS);
    queue_packet(&rule, false);
    rule_end(&rule);
}

/*
 * ICMP errors of the kernel itself about hairpins, between their two passes through the queue.
 * Bypass: they do not leave by the external interface.
 */
static void put_inside_icmp(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INSIDE, "queue, bypass: ICMP errors to the inside"))
        return;
    match_protocol(&rule, PROTOCOL_ICMP);
    match_field(&rule, icmp_type, SET_ICMP_ERRORS);
    queue_packet(&rule, true);
    rule_end(&rule);
}

/*
 * The kernel refuses an expression that reads a register which was not written before. The port is
 * never used.
 */
static void put_tproxy(struct rule *rule)
{
    const uint16_t port = htons(1);
    struct nftnl_expr *immediate = rule_add(rule, "immediate"), *tproxy = rule_add(rule, "tproxy");

    if (immediate == NULL || tproxy == NULL)
        return;
    nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
    nftnl_expr_set(immediate, NFTNL_EXPR_IMM_DATA, &port, sizeof(port));
    nftnl_expr_set_u32(tproxy, NFTNL_EXPR_TPROXY_FAMILY, NFPROTO_IPV4);
    nftnl_expr_set_u32(tproxy, NFTNL_EXPR_TPROXY_REG_PORT, NFT_REG_1);
}

static void put_ct(struct rule *rule)
{
    struct nftnl_expr *ct = rule_add(rule, "ct");

    if (ct == NULL)
        return;
    nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
    nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_DREG, NFT_REG_1);
}

/*
 * The kernel switches defragmentation on (priority -400) as long as such an expression exists, from
 * its initialisation on (nft_tproxy_init: nf_defrag_ipv4_enable). No packet reaches it: the chain
 * has no hook and no rule jumps to it, so it costs nothing.
 */
static void put_defrag(struct batch *batch, enum defrag_method method)
{
    struct rule rule;

    if (method == DEFRAG_NONE)
        return;
    if (!rule_begin(&rule, batch, RULESET_CHAIN_DEFRAG,
                    "never reached: it is here to switch defragmentation on"))
        return;
    if (method == DEFRAG_TPROXY)
        put_tproxy(&rule);
    else
        put_ct(&rule);
    rule_add(&rule, "counter");
    rule_end(&rule);
}

/* `flags` of the table; NULL: none are mentioned, so an existing table keeps its own. */
static void put_table_message(struct batch *batch, uint16_t type, const uint32_t *flags)
{
    const uint16_t create = type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0;
    struct nftnl_table *table = nftnl_table_alloc();

    if (table == NULL) {
        batch->failed = true;
        return;
    }
    if (nftnl_table_set_str(table, NFTNL_TABLE_NAME, RULESET_TABLE) < 0)
        batch->failed = true;
    nftnl_table_set_u32(table, NFTNL_TABLE_FAMILY, NFPROTO_IPV4);
    if (flags != NULL)
        nftnl_table_set_u32(table, NFTNL_TABLE_FLAGS, *flags);
    nftnl_table_nlmsg_build_payload(batch_message(batch, type, create), table);
    nftnl_table_free(table);
}

void rules_remove_table(struct batch *batch)
{
    put_table_message(batch, NFT_MSG_DELTABLE, NULL);
}

/* `hook` < 0: a chain without a hook, which packets reach only from another chain. */
static void put_chain(struct batch *batch, const char *name, int hook, int32_t priority)
{
    struct nftnl_chain *chain = nftnl_chain_alloc();

    if (chain == NULL) {
        batch->failed = true;
        return;
    }
    if (nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, RULESET_TABLE) < 0 ||
        nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name) < 0)
        batch->failed = true;
    nftnl_chain_set_u32(chain, NFTNL_CHAIN_FAMILY, NFPROTO_IPV4);
    if (hook >= 0) {
        if (nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter") < 0)
            batch->failed = true;
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, (uint32_t)hook);
        nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    nftnl_chain_nlmsg_build_payload(batch_message(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE), chain);
    nftnl_chain_free(chain);
}

static void put_rules_removal(struct batch *batch)
{
    struct nftnl_rule *rule = nftnl_rule_alloc();

    if (rule == NULL) {
        batch->failed = true;
        return;
    }
    if (nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, RULESET_TABLE) < 0)
        batch->failed = true;
    nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, NFPROTO_IPV4);
    nftnl_rule_nlmsg_build_payload(batch_message(batch, NFT_MSG_DELRULE, 0), rule);
    nftnl_rule_free(rule);
}

static void put_chains(struct batch *batch)
{
    put_chain(batch, RULESET_CHAIN_DEFRAG, -1, 0);
    put_chain(batch, CHAIN_INBOUND, NF_INET_PRE_ROUTING, -300);
    put_chain(batch, CHAIN_OUTBOUND, NF_INET_POST_ROUTING, 300);
    put_chain(batch, CHAIN_INSIDE, -1, 0);
    put_chain(batch, CHAIN_ARRIVALS, -1, 0);
    put_chain(batch, CHAIN_OWN_OUT, NF_INET_LOCAL_OUT, -300);
    put_chain(batch, CHAIN_OWN_IN, NF_INET_LOCAL_IN, 300);
    put_chain(batch, CHAIN_QUEUE, -1, 0);
    put_chain(batch, CHAIN_BYPASS, -1, 0);
}

/*
 * Creates the table, removes it and creates it again: removing fails if there is no table, and
 * there may be one of an earlier run.
 */
void rules_create_chains(struct batch *batch, uint32_t table_flags)
{
    put_table_message(batch, NFT_MSG_NEWTABLE, NULL);
    rules_remove_table(batch);
    put_table_message(batch, NFT_MSG_NEWTABLE, &table_flags);
    put_chains(batch);
}

/*
 * Why chains and sets of an earlier run stay where they can. The kernel puts a new base chain
 * before an old one of the same priority (nf_hook_entries_grow): a packet that is between the two
 * when the transaction takes effect meets the rules of neither. And a new set may still look empty
 * for a moment when the new rules are in effect (nft_set_commit_update comes after the switch of
 * the generation). In both cases a shared host's packet would leave with its private source; that
 * was seen in one of fifteen starts under load. A chain that stays has either its old or its new
 * rules (nft_do_chain), and a set either its old or its new elements.
 */
void rules_empty_chains(struct batch *batch, uint32_t table_flags)
{
    put_table_message(batch, NFT_MSG_NEWTABLE, &table_flags);
    put_chains(batch);
    put_rules_removal(batch);
}

void rules_create(struct batch *batch, const struct ruleset_options *options, size_t uplinks,
                  struct ruleset_plan plan)
{
    const struct queueing queueing = {.options = options, .method = plan.queue};

    put_defrag(batch, plan.defrag);
    put_queues(batch, &queueing);
    put_others(batch);
    put_inside(batch);
    put_unknown(batch);
    if (plan.offload) {
        offload_create_rules(batch, HOOK_INBOUND, uplinks);
        offload_create_rules(batch, HOOK_OUTBOUND, uplinks);
    }
    put_loopback(batch);
    for (enum protocol_index p = 0; plan.sockets && p < PROTOCOL_PORTS_COUNT; p++)
        put_sockets(batch, p);
    if (plan.sources)
        put_source_checks(batch);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        put_published(batch, CHAIN_INBOUND, p);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        put_published(batch, CHAIN_OWN_OUT, p);
    put_own_answers(batch);
    put_inbound_icmp(batch);
    put_hairpins(batch, options, CHAIN_OUTBOUND);
    put_sources(batch);
    put_targets(batch, CHAIN_OUTBOUND);
    put_outbound_icmp(batch);
    put_hairpins(batch, options, CHAIN_INSIDE);
    put_other_uplinks(batch);
    put_targets(batch, CHAIN_INSIDE);
    put_inside_icmp(batch);
}
