/*
 * ruleset_offload.c - the maps of offloaded sessions, and the rules that look them up
 *
 * One lookup with the whole tuple gives address and port together. Packets that the daemon must see
 * do not match and continue with the next rules: packets with IP options; SYN, FIN and RST; UDP
 * without a checksum (nft_payload would give it a wrong one); and packets to the outside that may
 * be fragmented (they need a new IP id). Fragments never get here, because the kernel has
 * reassembled them.
 *
 * Registers: the key is in 32_00 (NFT_REG_1) to 32_04, values to compare are in NFT_REG_3, the
 * result of the lookup is in NFT_REG_4 (address, then port).
 *
 * Rejected: `last`, the time of an element's last packet, next to its counter. The nft of Debian 12
 * crashes when it lists such a table.
 */
#include "offload_internal.h"
#include "ruleset_flowtables.h"
#include "ruleset_rule.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stddef.h>
#include <string.h>

#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>

#define VALUE_TYPE (NFT_ADDRESS << 6 | NFT_PORT)

/* Version 4, and a header of 5 words: no options. */
#define PLAIN_HEADER 0x45

static const char *const comments[] = {
    [HOOK_INBOUND] = "offloaded sessions: a new destination",
    [HOOK_OUTBOUND] = "offloaded sessions: a new source",
};

const char *offload_map_name(enum packet_hook hook)
{
    return hook == HOOK_INBOUND ? "offload_in" : "offload_out";
}

static uint32_t map_id(enum packet_hook hook)
{
    return ID_OFFLOAD_MAPS + (uint32_t)hook;
}

#define OVERSIZE_MAX        1024 /* elements; a batch has QUEUE_BATCH at most */
#define OVERSIZE_TIMEOUT_MS 1000

const char *oversize_map_name(enum packet_hook hook)
{
    return hook == HOOK_INBOUND ? "oversize_in" : "oversize_out";
}

static void add_expression(struct batch *batch, struct nftnl_set *set, const char *name)
{
    struct nftnl_expr *expression = nftnl_expr_alloc(name);

    if (expression != NULL)
        nftnl_set_add_expr(set, expression);
    else
        batch->failed = true;
}

static struct nftnl_set *begin_map(const char *name, uint32_t id, uint32_t flags, uint32_t size)
{
    struct nftnl_set *set = set_begin(name);

    if (set == NULL)
        return NULL;
    nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_IPV4);
    nftnl_set_set_u32(set, NFTNL_SET_ID, id);
    nftnl_set_set_u32(set, NFTNL_SET_FLAGS, NFT_SET_MAP | flags);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, OFFLOAD_KEY_TYPE);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, sizeof(struct offload_key));
    nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, VALUE_TYPE);
    nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN, sizeof(struct offload_value));
    nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, size);
    return set;
}

static void end_map(struct batch *batch, struct nftnl_set *set)
{
    nftnl_set_nlmsg_build_payload(batch_message(batch, NFT_MSG_NEWSET, NLM_F_CREATE), set);
    nftnl_set_free(set);
}

/* A hash table of this size never has to grow. */
static void create_map(struct batch *batch, enum packet_hook hook, uint32_t size)
{
    struct nftnl_set *set = begin_map(offload_map_name(hook), map_id(hook), NFT_SET_EXPR, size);

    if (set == NULL) {
        batch->failed = true;
        return;
    }
    add_expression(batch, set, "counter"); /* in each element */
    end_map(batch, set);
}

void oversize_create_maps(struct batch *batch)
{
    for (int hook = 0; hook < 2; hook++) {
        struct nftnl_set *set =
            begin_map(oversize_map_name((enum packet_hook)hook), ID_OVERSIZE_MAPS + (uint32_t)hook,
                      NFT_SET_TIMEOUT, OVERSIZE_MAX);

        if (set == NULL) {
            batch->failed = true;
            return;
        }
        nftnl_set_set_u64(set, NFTNL_SET_TIMEOUT, OVERSIZE_TIMEOUT_MS);
        end_map(batch, set);
    }
}

void offload_create_maps(struct batch *batch, uint32_t size)
{
    create_map(batch, HOOK_INBOUND, size);
    create_map(batch, HOOK_OUTBOUND, size);
}

/* Packets that the daemon must see do not match. */
static void match_plain(struct rule *rule, enum packet_hook hook, const struct protocol *protocol)
{
    const struct field version = {NFT_PAYLOAD_NETWORK_HEADER, 0, 1},
                       fragments = {NFT_PAYLOAD_NETWORK_HEADER, offsetof(struct iphdr, frag_off),
                                    1},
                       tcp_flags = {NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1},
                       checksum = {NFT_PAYLOAD_TRANSPORT_HEADER, protocol->checksum_offset, 2};
    static const uint8_t plain = PLAIN_HEADER, dont_fragment = 0x40,
                         syn_fin_rst = TCP_SYN | TCP_FIN | TCP_RST;
    static const uint16_t none = 0;

    rule_match_protocol(rule, protocol->number);
    rule_match_bytes(rule, version, NULL, NFT_CMP_EQ, &plain);
    if (hook == HOOK_OUTBOUND)
        rule_match_bytes(rule, fragments, &dont_fragment, NFT_CMP_NEQ, &none);
    if (protocol->number == PROTOCOL_TCP)
        rule_match_bytes(rule, tcp_flags, &syn_fin_rst, NFT_CMP_EQ, &none);
    if (protocol->may_lack_checksum)
        rule_match_bytes(rule, checksum, NULL, NFT_CMP_NEQ, &none);
}

/*
 * Writes a register into the packet and updates the checksum at offset `checksum` of the same
 * header.
 */
static void write_field(struct rule *rule, uint32_t from, struct field field, uint32_t checksum,
                        uint32_t flags)
{
    struct nftnl_expr *payload = rule_add(rule, "payload");

    if (payload == NULL)
        return;
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_SREG, from);
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_BASE, field.base);
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_OFFSET, field.offset);
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_LEN, field.length);
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, checksum);
    nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_FLAGS, flags);
}

/*
 * A session's packets that leave by another uplink than its own do not match: there its address is
 * wrong, and the daemon decides what happens. The register of the key (struct offload_key) gets the
 * uplink beside the protocol.
 *
 * Rejected: one rule, and a map from the interface to its uplink. The nft of Debian 12 crashes when
 * it lists a key of which a part comes from a map.
 */
static void match_uplink(struct rule *rule, uint8_t uplink)
{
    rule_load_meta(rule, NFT_REG_3, NFT_META_OIF);
    rule_lookup(rule, NFT_REG_3, set_name(SET_UPLINK + uplink), SET_UPLINK + 1u + uplink, 0);
}

static void load_key(struct rule *rule, bool reversed, const struct protocol *protocol,
                     uint8_t uplink)
{
    const uint8_t last[4] = {protocol->number, uplink};

    rule_load_tuple(rule, reversed);
    if (uplink > 0)
        rule_load(rule, NFT_REG32_04, last, sizeof(last));
}

void offload_match_answer(struct rule *rule, bool reversed, const struct protocol *protocol,
                          uint8_t uplink)
{
    rule_match_protocol(rule, protocol->number);
    load_key(rule, reversed, protocol, uplink);
    rule_lookup(rule, NFT_REG_1, offload_map_name(HOOK_OUTBOUND), map_id(HOOK_OUTBOUND), NFT_REG_4);
}

/* Looks up what is in the key's registers, and gives the packet what the map has for it. */
static void put_rewriting(struct rule *rule, enum packet_hook hook, const struct protocol *protocol,
                          const char *map, uint32_t id)
{
    static const struct field source = FIELD_OF_IPV4(saddr), destination = FIELD_OF_IPV4(daddr),
                              source_port = FIELD_OF_PORT(source),
                              destination_port = FIELD_OF_PORT(dest);
    const struct field address = hook == HOOK_INBOUND ? destination : source;
    const struct field port = hook == HOOK_INBOUND ? destination_port : source_port;
    const uint32_t ip_checksum = offsetof(struct iphdr, check);
    const uint32_t l4_checksum = protocol->checksum_offset;

    rule_lookup(rule, NFT_REG_1, map, id, NFT_REG_4);
    write_field(rule, NFT_REG32_12, address, ip_checksum, NFT_PAYLOAD_L4CSUM_PSEUDOHDR);
    write_field(rule, NFT_REG32_13, port, l4_checksum, 0);
    rule_accept(rule);
}

/* `by_uplink`: only for packets that leave by it. */
static void put_rule(struct batch *batch, const char *chain, enum packet_hook hook,
                     const struct protocol *protocol, bool by_uplink, uint8_t uplink)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, chain, comments[hook]))
        return;
    match_plain(&rule, hook, protocol);
    if (by_uplink)
        match_uplink(&rule, uplink);
    load_key(&rule, false, protocol, uplink);
    put_rewriting(&rule, hook, protocol, offload_map_name(hook), map_id(hook));
    rule_end(&rule);
}

void offload_create_rules(struct batch *batch, enum packet_hook hook, size_t uplinks)
{
    const char *chain = hook == HOOK_INBOUND ? CHAIN_INBOUND : CHAIN_OUTBOUND;
    bool by_uplink = hook == HOOK_OUTBOUND && uplinks > 1;

    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        for (uint8_t uplink = 0; uplink < (by_uplink ? uplinks : 1); uplink++)
            put_rule(batch, chain, hook, &protocol_table[p], by_uplink, uplink);
    }
}

/*
 * Both rules are passed at either hook: no packet carries a tuple of the other hook's map there.
 * The conditions are those of is_for_the_kernel() in the core, so that no packet which the daemon
 * sends here comes back to the queue.
 */
void oversize_create_rules(struct batch *batch, const char *chain)
{
    const struct protocol *udp = protocol_of(PROTOCOL_UDP);
    const struct field length = FIELD_OF_IPV4(tot_len);
    const uint16_t carried = htons(PACKET_CARRIED_MAX);

    for (int hook = 0; hook < 2; hook++) {
        struct rule rule;

        if (!rule_begin(&rule, batch, chain, "longer than a queue carries, and decided about"))
            return;
        rule_match_bytes(&rule, length, NULL, NFT_CMP_GT, &carried);
        match_plain(&rule, HOOK_INBOUND, udp); /* at both hooks: they may be fragmented */
        load_key(&rule, false, udp, 0);
        put_rewriting(&rule, (enum packet_hook)hook, udp, oversize_map_name((enum packet_hook)hook),
                      ID_OVERSIZE_MAPS + (uint32_t)hook);
        rule_end(&rule);
    }
}

void offload_create_answers(struct batch *batch, const char *chain, size_t uplinks)
{
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        for (uint8_t uplink = 0; uplink < uplinks; uplink++)
            put_rule(batch, chain, HOOK_OUTBOUND, &protocol_table[p], false, uplink);
    }
}

/* What one rule has counted, what it looks up, and what it does. */
struct rule_hits {
    const char *first; /* the first set or map that it looks up */
    const char *map;   /* the last one */
    bool asks_routes;
    bool drops;
    bool rewrites; /* writes into the packet */
    uint64_t packets, bytes;
};

static int read_expression(struct nftnl_expr *expression, void *context)
{
    const char *name = nftnl_expr_get_str(expression, NFTNL_EXPR_NAME);
    struct rule_hits *hits = context;

    if (strcmp(name, "lookup") == 0) {
        hits->map = nftnl_expr_get_str(expression, NFTNL_EXPR_LOOKUP_SET);
        if (hits->first == NULL)
            hits->first = hits->map;
    } else if (strcmp(name, "fib") == 0) {
        hits->asks_routes = true;
    } else if (strcmp(name, "immediate") == 0) {
        hits->drops = nftnl_expr_is_set(expression, NFTNL_EXPR_IMM_VERDICT) &&
                      nftnl_expr_get_u32(expression, NFTNL_EXPR_IMM_VERDICT) == NF_DROP;
    } else if (strcmp(name, "payload") == 0 &&
               nftnl_expr_is_set(expression, NFTNL_EXPR_PAYLOAD_SREG)) {
        hits->rewrites = true;
    } else if (strcmp(name, "counter") == 0) {
        hits->packets = nftnl_expr_get_u64(expression, NFTNL_EXPR_CTR_PACKETS);
        hits->bytes = nftnl_expr_get_u64(expression, NFTNL_EXPR_CTR_BYTES);
    }
    return 0;
}

int offload_count_hits(const struct nlmsghdr *message, void *context)
{
    struct nftnl_rule *rule = nftnl_rule_alloc();
    struct ruleset_hits *sum = context;
    struct rule_hits hits = {0};
    const char *chain;

    if (rule == NULL)
        return MNL_CB_OK;
    if (nftnl_rule_nlmsg_parse(message, rule) == 0)
        nftnl_expr_foreach(rule, read_expression, &hits);
    chain = nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN);
    if (hits.first != NULL && strcmp(hits.first, set_name(SET_NAMES)) == 0)
        sum->dropped += hits.packets;
    if (hits.drops && hits.asks_routes)
        sum->forged += hits.packets;
    else if (hits.drops && chain != NULL && strcmp(chain, CHAIN_OUTSIDERS) == 0)
        sum->refused += hits.packets;
    if (hits.drops && chain != NULL && strcmp(chain, CHAIN_NEWCOMERS) == 0)
        sum->limited += hits.packets;
    if (chain != NULL && strcmp(chain, CHAIN_NO_HELPER) == 0)
        sum->closed += hits.packets;
    for (int hook = 0; hits.map != NULL && hits.rewrites && hook < 2; hook++) {
        if (strcmp(hits.map, offload_map_name((enum packet_hook)hook)) == 0) {
            sum->packets[hook] += hits.packets;
            sum->bytes[hook] += hits.bytes;
        }
    }
    nftnl_rule_free(rule);
    return MNL_CB_OK;
}
