/*
 * ruleset_rule.c - the expressions that rules consist of
 */
#include "ruleset_rule.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>

static void put_comment(struct rule *rule, const char *comment)
{
    struct nftnl_udata_buf *data = nftnl_udata_buf_alloc(NFTNL_UDATA_COMMENT_MAXLEN);

    if (data == NULL) {
        rule->batch->failed = true;
        return;
    }
    nftnl_udata_put_strz(data, NFTNL_UDATA_RULE_COMMENT, comment);
    if (nftnl_rule_set_data(rule->nftnl, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(data),
                            nftnl_udata_buf_len(data)) < 0)
        rule->batch->failed = true;
    nftnl_udata_buf_free(data);
}

bool rule_begin(struct rule *rule, struct batch *batch, const char *chain, const char *comment)
{
    *rule = (struct rule){.batch = batch, .nftnl = nftnl_rule_alloc()};
    if (rule->nftnl == NULL) {
        batch->failed = true;
        return false;
    }
    nftnl_rule_set_u32(rule->nftnl, NFTNL_RULE_FAMILY, NFPROTO_IPV4);
    if (nftnl_rule_set_str(rule->nftnl, NFTNL_RULE_TABLE, RULESET_TABLE) < 0 ||
        nftnl_rule_set_str(rule->nftnl, NFTNL_RULE_CHAIN, chain) < 0)
        batch->failed = true;
    put_comment(rule, comment);
    return true;
}

void rule_end(struct rule *rule)
{
    nftnl_rule_nlmsg_build_payload(
        batch_message(rule->batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), rule->nftnl);
    nftnl_rule_free(rule->nftnl);
}

struct nftnl_expr *rule_add(struct rule *rule, const char *name)
{
    struct nftnl_expr *expression = nftnl_expr_alloc(name);

    if (expression != NULL)
        nftnl_rule_add_expr(rule->nftnl, expression);
    else
        rule->batch->failed = true;
    return expression;
}

void rule_load_meta(struct rule *rule, uint32_t to, uint32_t key)
{
    struct nftnl_expr *meta = rule_add(rule, "meta");

    if (meta == NULL)
        return;
    nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(meta, NFTNL_EXPR_META_DREG, to);
}

void rule_load_ct(struct rule *rule, uint32_t to, uint32_t key)
{
    struct nftnl_expr *ct = rule_add(rule, "ct");

    if (ct == NULL)
        return;
    nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_KEY, key);
    nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_DREG, to);
}

void rule_load(struct rule *rule, uint32_t to, const void *data, uint32_t length)
{
    struct nftnl_expr *immediate = rule_add(rule, "immediate");

    if (immediate == NULL)
        return;
    nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, to);
    nftnl_expr_set(immediate, NFTNL_EXPR_IMM_DATA, data, length);
}

/* The address is the source or the destination; as seen from the interface of arrival. */
static void load_fib(struct rule *rule, uint32_t to, uint32_t result, uint32_t address)
{
    struct nftnl_expr *fib = rule_add(rule, "fib");

    if (fib == NULL)
        return;
    nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_DREG, to);
    nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_RESULT, result);
    nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_FLAGS, address | NFTA_FIB_F_IIF);
}

void rule_load_way_back(struct rule *rule, uint32_t to)
{
    load_fib(rule, to, NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR);
}

void rule_load_way_on(struct rule *rule, uint32_t to)
{
    load_fib(rule, to, NFT_FIB_RESULT_OIF, NFTA_FIB_F_DADDR);
}

void rule_load_type_there(struct rule *rule, uint32_t to)
{
    load_fib(rule, to, NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR);
}

void rule_load_field(struct rule *rule, uint32_t to, struct field field)
{
    struct nftnl_expr *payload = rule_add(rule, "payload");

    if (payload == NULL)
        return;
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_DREG, to);
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_BASE, field.base);
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_OFFSET, field.offset);
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_LEN, field.length);
}

void rule_mask(struct rule *rule, uint32_t in, const void *mask, uint32_t length)
{
    const uint32_t none = 0;
    struct nftnl_expr *bitwise = rule_add(rule, "bitwise");

    if (bitwise == NULL)
        return;
    nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_SREG, in);
    nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_DREG, in);
    nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_LEN, length);
    nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_MASK, mask, length);
    nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_XOR, &none, length);
}

void rule_load_socket(struct rule *rule, uint32_t to, uint32_t key)
{
    struct nftnl_expr *socket = rule_add(rule, "socket");

    if (socket == NULL)
        return;
    nftnl_expr_set_u32(socket, NFTNL_EXPR_SOCKET_KEY, key);
    nftnl_expr_set_u32(socket, NFTNL_EXPR_SOCKET_DREG, to);
}

void rule_compare(struct rule *rule, uint32_t in, uint32_t operation, const void *data,
                  uint32_t length)
{
    struct nftnl_expr *cmp = rule_add(rule, "cmp");

    if (cmp == NULL)
        return;
    nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_SREG, in);
    nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_OP, operation);
    nftnl_expr_set(cmp, NFTNL_EXPR_CMP_DATA, data, length);
}

static struct nftnl_expr *add_lookup(struct rule *rule, uint32_t in, const char *set, uint32_t id)
{
    struct nftnl_expr *lookup = rule_add(rule, "lookup");

    if (lookup == NULL)
        return NULL;
    nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, in);
    nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SET_ID, id);
    if (nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, set) < 0)
        rule->batch->failed = true;
    return lookup;
}

void rule_lookup(struct rule *rule, uint32_t in, const char *set, uint32_t id, uint32_t to)
{
    struct nftnl_expr *lookup = add_lookup(rule, in, set, id);

    if (lookup != NULL && to != 0)
        nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_DREG, to);
}

void rule_lookup_none(struct rule *rule, uint32_t in, const char *set, uint32_t id)
{
    struct nftnl_expr *lookup = add_lookup(rule, in, set, id);

    if (lookup != NULL)
        nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

void rule_match_protocol(struct rule *rule, uint8_t protocol)
{
    rule_load_meta(rule, NFT_REG_1, NFT_META_L4PROTO);
    rule_compare(rule, NFT_REG_1, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

void rule_match_set(struct rule *rule, enum set_id set)
{
    rule_lookup(rule, NFT_REG_1, set_name(set), (uint32_t)set + 1, 0);
}

void rule_match_field(struct rule *rule, struct field field, enum set_id set)
{
    rule_load_field(rule, NFT_REG_1, field);
    rule_match_set(rule, set);
}

void rule_match_bytes(struct rule *rule, struct field field, const void *mask, uint32_t operation,
                      const void *data)
{
    rule_load_field(rule, NFT_REG_3, field);
    if (mask != NULL)
        rule_mask(rule, NFT_REG_3, mask, field.length);
    rule_compare(rule, NFT_REG_3, operation, data, field.length);
}

void rule_match_tcp_flags(struct rule *rule, uint8_t mask, uint32_t operation, uint8_t flags)
{
    const struct field field = {NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1};

    rule_match_protocol(rule, PROTOCOL_TCP);
    rule_match_bytes(rule, field, &mask, operation, &flags);
}

/* One load per field: the kernel is faster for up to four bytes (nft_payload_fast_eval). */
void rule_load_tuple(struct rule *rule, bool reversed)
{
    static const struct field fields[] = {FIELD_OF_IPV4(saddr), FIELD_OF_IPV4(daddr),
                                          FIELD_OF_PORT(source), FIELD_OF_PORT(dest)};

    for (uint32_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        rule_load_field(rule, NFT_REG32_00 + i, fields[reversed ? i ^ 1 : i]);
    rule_load_meta(rule, NFT_REG32_04, NFT_META_L4PROTO);
}

static struct nftnl_expr *end_with(struct rule *rule, uint32_t verdict)
{
    struct nftnl_expr *immediate;

    rule_add(rule, "counter");
    immediate = rule_add(rule, "immediate");
    if (immediate == NULL)
        return NULL;
    nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_VERDICT, verdict);
    return immediate;
}

void rule_accept(struct rule *rule)
{
    end_with(rule, NF_ACCEPT);
}

void rule_return(struct rule *rule)
{
    end_with(rule, (uint32_t)NFT_RETURN);
}

void rule_drop(struct rule *rule)
{
    end_with(rule, NF_DROP);
}

static void end_in_chain(struct rule *rule, int32_t verdict, const char *chain)
{
    struct nftnl_expr *immediate = end_with(rule, (uint32_t)verdict);

    if (immediate != NULL && nftnl_expr_set_str(immediate, NFTNL_EXPR_IMM_CHAIN, chain) < 0)
        rule->batch->failed = true;
}

void rule_goto(struct rule *rule, const char *chain)
{
    end_in_chain(rule, NFT_GOTO, chain);
}

void rule_jump(struct rule *rule, const char *chain)
{
    end_in_chain(rule, NFT_JUMP, chain);
}

void rule_queue(struct rule *rule, bool bypass)
{
    rule_goto(rule, bypass ? CHAIN_BYPASS : CHAIN_QUEUE);
}
