/*
 * ruleset_flowtables.c - rules that keep what is translated out of other programs' flowtables
 *
 * Connection tracking sees private addresses, because we translate in front of it and behind it. A
 * flowtable (`flow add`) takes a connection over with these addresses, and from then on its packets
 * go from the ingress hook of one interface straight to the other interface
 * (nf_flow_offload_ip_hook). So a connection must not get into one. It does not if it has a helper
 * (nft_flow_offload_eval), so each one that is ours gets a helper that does nothing
 * (conntrack_helper.h). Connections of others may still use the flowtable.
 *
 * A connection gets its helper with its first packet, before that is confirmed at the end of
 * postrouting (nft_ct_helper_obj_eval), and a flowtable takes only confirmed ones. This chain is
 * the last one before ours that translate, so a helper that another program has chosen is there
 * already, and stays.
 */
#include "ruleset_flowtables.h"

#include "conntrack_helper.h"
#include "ruleset_chain.h"
#include "ruleset_passes.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>

#include <libnftnl/expr.h>
#include <libnftnl/object.h>

static const int32_t before_translation = 299; /* chain outbound has 300 */

static const struct object {
    const char *name;
    uint8_t protocol;
} objects[] = {{"no_flowtable_tcp", PROTOCOL_TCP}, {"no_flowtable_udp", PROTOCOL_UDP}};

#define OBJECTS (sizeof(objects) / sizeof(objects[0]))

static const struct field source = FIELD_OF_IPV4(saddr), destination = FIELD_OF_IPV4(daddr);

static void put_object(struct batch *batch, const struct object *object, bool create)
{
    struct nftnl_obj *message = nftnl_obj_alloc();

    if (message == NULL) {
        batch->failed = true;
        return;
    }
    nftnl_obj_set_str(message, NFTNL_OBJ_TABLE, RULESET_TABLE);
    nftnl_obj_set_str(message, NFTNL_OBJ_NAME, object->name);
    nftnl_obj_set_u32(message, NFTNL_OBJ_FAMILY, NFPROTO_IPV4);
    nftnl_obj_set_u32(message, NFTNL_OBJ_TYPE, NFT_OBJECT_CT_HELPER);
    if (create) {
        nftnl_obj_set_str(message, NFTNL_OBJ_CT_HELPER_NAME, CONNTRACK_HELPER);
        nftnl_obj_set_u16(message, NFTNL_OBJ_CT_HELPER_L3PROTO, NFPROTO_IPV4);
        nftnl_obj_set_u8(message, NFTNL_OBJ_CT_HELPER_L4PROTO, object->protocol);
    }
    nftnl_obj_nlmsg_build_payload(
        batch_message(batch, create ? NFT_MSG_NEWOBJ : NFT_MSG_DELOBJ, create ? NLM_F_CREATE : 0),
        message);
    nftnl_obj_free(message);
}

/* An object ignores connections of another protocol, and those that are confirmed. */
static void put_helper(struct batch *batch, const struct object *object)
{
    struct nftnl_expr *reference;
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_SET_HELPER,
                    "no flowtable takes a connection with a helper"))
        return;
    reference = rule_add(&rule, "objref");
    if (reference != NULL) {
        nftnl_expr_set_u32(reference, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_CT_HELPER);
        nftnl_expr_set_str(reference, NFTNL_EXPR_OBJREF_IMM_NAME, object->name);
    }
    rule_end(&rule);
}

/* Nearly all packets are of confirmed connections: this rule alone is what they cost. */
static void put_confirmed(struct batch *batch)
{
    const uint32_t confirmed = IPS_CONFIRMED, none = 0;
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_NO_FLOWTABLE, "not the first packet of a connection"))
        return;
    rule_load_ct(&rule, NFT_REG_1, NFT_CT_STATUS);
    rule_mask(&rule, NFT_REG_1, &confirmed, sizeof(confirmed));
    rule_compare(&rule, NFT_REG_1, NFT_CMP_NEQ, &none, sizeof(none));
    rule_accept(&rule);
    rule_end(&rule);
}

/* To the outside, or from there (before Linux 5.7 postrouting does not know that). */
static void put_outside(struct batch *batch, bool outbound, enum set_id hosts, const char *next)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_NO_FLOWTABLE, outbound ? "to the outside" : "from outside"))
        return;
    rule_load_meta(&rule, NFT_REG_1, outbound ? NFT_META_OIF : NFT_META_IIF);
    rule_match_set(&rule, SET_INTERFACES);
    rule_match_field(&rule, outbound ? source : destination, hosts);
    rule_goto(&rule, next);
    rule_end(&rule);
}

static void put_drop(struct batch *batch, const struct object *object)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_NO_HELPER, "a flowtable would take the connection over"))
        return;
    rule_match_protocol(&rule, object->protocol);
    rule_drop(&rule);
    rule_end(&rule);
}

void flowtables_create_rules(struct batch *batch, bool closed)
{
    const char *next = closed ? CHAIN_NO_HELPER : CHAIN_SET_HELPER;

    chain_put(batch, CHAIN_NO_FLOWTABLE, "filter", NF_INET_POST_ROUTING, before_translation);
    chain_put(batch, next, NULL, -1, 0);
    chain_put_clearing(batch, CHAIN_NO_FLOWTABLE);
    chain_put_clearing(batch, next);
    for (size_t i = 0; i < OBJECTS; i++) {
        if (closed) {
            put_drop(batch, &objects[i]);
        } else {
            put_object(batch, &objects[i], true);
            put_helper(batch, &objects[i]);
        }
    }
    put_confirmed(batch);
    put_outside(batch, true, SET_SOURCES, next);
    put_outside(batch, true, SET_TARGETS, next);
    put_outside(batch, false, SET_SOURCES, next);
    put_outside(batch, false, SET_TARGETS, next);
    passes_match_clients(batch, CHAIN_NO_FLOWTABLE, next);
}

void flowtables_remove_rules(struct batch *batch, bool closed)
{
    const char *next = closed ? CHAIN_NO_HELPER : CHAIN_SET_HELPER;

    chain_put_clearing(batch, CHAIN_NO_FLOWTABLE);
    chain_put_clearing(batch, next);
    for (size_t i = 0; i < OBJECTS && !closed; i++)
        put_object(batch, &objects[i], false);
    chain_put_removal(batch, CHAIN_NO_FLOWTABLE);
    chain_put_removal(batch, next);
}
