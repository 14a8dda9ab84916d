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
#include "ruleset_chain.h"
#include "ruleset_passes.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>

static const struct field source = FIELD_OF_IPV4(saddr);
static const struct field destination = FIELD_OF_IPV4(daddr);
static const struct field destination_port = FIELD_OF_PORT(dest);
static const struct field icmp_type = {NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1};

/* The first rule, so that a packet that is not for us costs little more than this. */
static void put_others(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "not to an external address"))
        return;
    rule_load_field(&rule, NFT_REG_1, destination);
    rule_lookup_none(&rule, NFT_REG_1, set_name(SET_EXTERNAL), SET_EXTERNAL + 1);
    rule_goto(&rule, CHAIN_DIRECT);
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
    rule_match_set(&rule, SET_NAMES);
    rule_match_field(&rule, source, SET_SOURCES);
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
 * A packet from an inside address that comes in by an external interface is forged, unless the
 * inside is behind this interface too: then the route to the address leads back there.
 */
static void put_arrivals(struct batch *batch, enum set_id inside)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "from an inside address by an external interface"))
        return;
    rule_load_meta(&rule, NFT_REG_1, NFT_META_IIF);
    rule_match_set(&rule, SET_INTERFACES);
    rule_match_field(&rule, source, inside);
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
    rule_match_protocol(&rule, protocol_table[protocol].number);
    rule_match_field(&rule, destination_port, (enum set_id)(SET_PUBLISHED + protocol));
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
        rule_match_field(&rule, destination, SET_EXTERNAL);
    rule_match_protocol(&rule, protocol_table[protocol].number);
    rule_match_field(&rule, destination_port, (enum set_id)(SET_PUBLISHED + protocol));
    rule_queue(&rule, own);
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
    rule_match_protocol(&rule, PROTOCOL_ICMP);
    rule_match_field(&rule, icmp_type, SET_ICMP_INBOUND);
    rule_queue(&rule, true);
    rule_end(&rule);
}

static void put_sources(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTBOUND,
                    "queue: from the source of a share to the outside"))
        return;
    rule_match_field(&rule, source, SET_SOURCES);
    rule_queue(&rule, false);
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
    rule_match_set(&rule, SET_OTHER_UPLINKS);
    rule_match_field(&rule, source, SET_SOURCES);
    rule_load_field(&rule, NFT_REG_1, destination);
    rule_lookup_none(&rule, NFT_REG_1, set_name(SET_SOURCES), SET_SOURCES + 1);
    rule_queue(&rule, false);
    rule_end(&rule);
}

static void put_targets(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTBOUND, "queue: from a forward's target to the outside"))
        return;
    rule_match_field(&rule, source, SET_TARGETS);
    rule_load_meta(&rule, NFT_REG_1, NFT_META_L4PROTO);
    rule_match_set(&rule, SET_PROTOCOLS);
    rule_queue(&rule, false);
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
    rule_match_field(&rule, source, SET_TARGETS);
    rule_match_field(&rule, destination, SET_EXTERNAL);
    rule_queue(&rule, true);
    rule_end(&rule);
}

static void put_outbound_icmp(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTBOUND, "queue: ICMP errors to the outside"))
        return;
    rule_match_protocol(&rule, PROTOCOL_ICMP);
    rule_match_field(&rule, icmp_type, SET_ICMP_ERRORS);
    rule_queue(&rule, false);
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
    rule_match_protocol(&rule, PROTOCOL_ICMP);
    rule_match_field(&rule, icmp_type, SET_ICMP_ERRORS);
    rule_queue(&rule, true);
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
        rule_load_ct(&rule, NFT_REG_1, NFT_CT_STATE);
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

static void put_chain(struct batch *batch, const char *name, int hook, int32_t priority)
{
    chain_put(batch, name, "filter", hook, priority);
}

static void put_chains(struct batch *batch)
{
    put_chain(batch, RULESET_CHAIN_DEFRAG, -1, 0);
    put_chain(batch, CHAIN_INBOUND, NF_INET_PRE_ROUTING, -300);
    put_chain(batch, CHAIN_OUTBOUND, NF_INET_POST_ROUTING, 300);
    put_chain(batch, CHAIN_INSIDE, -1, 0);
    put_chain(batch, CHAIN_ARRIVALS, -1, 0);
    put_chain(batch, CHAIN_CLOSED, -1, 0);
    put_chain(batch, CHAIN_OUTSIDERS, -1, 0);
    for (size_t i = 0; i < PASSES_CHAINS; i++)
        put_chain(batch, passes_chains[i], -1, 0);
    passes_create_sets(batch);
    oversize_create_maps(batch);
    newcomers_create_set(batch);
    put_chain(batch, CHAIN_NEWCOMERS, -1, 0);
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
    chain_put_clearing(batch, NULL);
}

void rules_create(struct batch *batch, const struct ruleset_options *options,
                  const struct ruleset_contents *contents, struct ruleset_plan plan)
{
    const size_t uplinks = contents->uplink_count;

    put_defrag(batch, plan.defrag);
    queue_create_rules(batch, options, plan.queue);
    put_others(batch);
    put_inside(batch);
    put_unknown(batch);
    put_other_uplinks(batch); /* before the map: it knows nothing of them */
    if (plan.offload) {
        offload_create_rules(batch, HOOK_INBOUND, uplinks);
        offload_create_rules(batch, HOOK_OUTBOUND, uplinks);
    }
    passes_create_first_rules(batch, options);
    if (plan.sources)
        rules_create_closed(batch);
    passes_create_rules(batch, options, plan.offload ? uplinks : 0);
    put_loopback(batch);
    if (plan.sockets)
        rules_create_sockets(batch);
    if (plan.sources)
        put_source_checks(batch);
    newcomers_create_rules(batch, options->first_queue, contents->new_per_remote, plan);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        put_published(batch, CHAIN_INBOUND, p);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        put_published(batch, CHAIN_OWN_OUT, p);
    put_own_answers(batch);
    put_inbound_icmp(batch);
    newcomers_create_inside_rule(batch, options->first_queue, plan.queue);
    put_sources(batch);
    passes_create_direct_rule(batch);
    put_targets(batch);
    put_outbound_icmp(batch);
    put_inside_icmp(batch);
}

/*
 * The kernel gives a connection its source once: the first nat chain that says something decides
 * (nf_nat_inet_fn). This one comes before those of others and says that the source stays.
 *
 * The chain stays when the rule goes: removing a base chain drops the packets that wait in the
 * queues.
 */
void rules_guard_sources(struct batch *batch, bool on)
{
    const int32_t before_others = 50; /* srcnat is 100 */
    struct nftnl_expr *nat;
    struct rule rule;

    chain_put(batch, CHAIN_GUARD, "nat", NF_INET_POST_ROUTING, before_others);
    chain_put_clearing(batch, CHAIN_GUARD);
    if (!on || !rule_begin(&rule, batch, CHAIN_GUARD, "the source of a share stays as it is"))
        return;
    rule_load_meta(&rule, NFT_REG_1, NFT_META_OIF);
    rule_match_set(&rule, SET_INTERFACES);
    rule_match_field(&rule, source, SET_SOURCES);
    rule_add(&rule, "counter");
    nat = rule_add(&rule, "nat");
    if (nat != NULL) {
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_TYPE, NFT_NAT_SNAT);
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FAMILY, NFPROTO_IPV4);
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_ADDR_MIN, NFT_REG_1);
    }
    rule_end(&rule);
}
