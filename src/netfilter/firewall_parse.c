/*
 * firewall_parse.c - what a listed rule of another program does to one packet
 *
 * A rule is a list of expressions. What is loaded into a register is remembered until it is
 * compared, with the bytes that the packet has there, if they are known. Two loads without a
 * comparison in between leave only the second: then what follows is compared with that one, and a
 * comparison of another length is not believed.
 */
#include "firewall_parse.h"

#include "netlink.h"
#include "nft_read.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#define VALUE_MAX 16

struct reading {
    const struct firewall_packet *packet;
    struct firewall_rule *rule;
    uint8_t value[VALUE_MAX]; /* loaded last */
    size_t length;            /* of it; 0: it is not known */
};

static void load(struct reading *reading, const void *value, size_t length)
{
    reading->length = length <= VALUE_MAX ? length : 0;
    memcpy(reading->value, value, reading->length);
}

/* nft compares names with all of their 16 bytes, zeros at the end included. */
static void load_name(struct reading *reading, const char name[IF_NAMESIZE])
{
    char padded[IF_NAMESIZE] = {0};

    memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
    load(reading, padded, sizeof(padded));
}

static void take_meta(struct reading *reading, const struct nlattr **attributes)
{
    const struct firewall_packet *packet = reading->packet;
    const uint8_t ipv4 = NFPROTO_IPV4;
    const uint16_t ethertype = htons(0x0800);

    reading->length = 0;
    switch (nft_read_u32(attributes[NFTA_META_KEY], UINT32_MAX)) {
    case NFT_META_IIFNAME:
        load_name(reading, packet->in);
        break;
    case NFT_META_OIFNAME:
        load_name(reading, packet->out);
        break;
    case NFT_META_IIF:
        load(reading, &packet->in_index, sizeof(packet->in_index));
        break;
    case NFT_META_OIF:
        load(reading, &packet->out_index, sizeof(packet->out_index));
        break;
    case NFT_META_NFPROTO:
        load(reading, &ipv4, sizeof(ipv4));
        break;
    case NFT_META_PROTOCOL:
        load(reading, &ethertype, sizeof(ethertype));
        break;
    case NFT_META_L4PROTO:
        load(reading, &packet->protocol, sizeof(packet->protocol));
        break;
    default:
        break;
    }
}

enum { AT_PROTOCOL = 9, AT_SOURCE = 12, IP_END = 20, PORTS_END = 4 };

/* Of an IP header, what the packet says: its protocol and addresses. */
static void load_ip(struct reading *reading, uint32_t offset, uint32_t length)
{
    uint8_t header[IP_END] = {[AT_PROTOCOL] = reading->packet->protocol};
    const uint32_t addresses[2] = {htonl(address_to_ipv4(&reading->packet->from.address)),
                                   htonl(address_to_ipv4(&reading->packet->to.address))};

    memcpy(header + AT_SOURCE, addresses, sizeof(addresses));
    if ((offset == AT_PROTOCOL && length == 1) ||
        (offset >= AT_SOURCE && offset < IP_END && length <= IP_END - offset))
        load(reading, header + offset, length);
}

static void load_ports(struct reading *reading, uint32_t offset, uint32_t length)
{
    const uint16_t ports[2] = {htons(reading->packet->from.port), htons(reading->packet->to.port)};
    uint8_t header[PORTS_END];
    bool known = (offset >= 2 || ports[0] != 0) && (offset + length <= 2 || ports[1] != 0);

    memcpy(header, ports, sizeof(header));
    if (known && offset < PORTS_END && length <= PORTS_END - offset)
        load(reading, header + offset, length);
}

static void take_payload(struct reading *reading, const struct nlattr **attributes)
{
    uint32_t offset = nft_read_u32(attributes[NFTA_PAYLOAD_OFFSET], UINT32_MAX),
             length = nft_read_u32(attributes[NFTA_PAYLOAD_LEN], 0);

    reading->length = 0;
    if (offset >= IP_END || length == 0 || length > IP_END)
        return;
    switch (nft_read_u32(attributes[NFTA_PAYLOAD_BASE], UINT32_MAX)) {
    case NFT_PAYLOAD_NETWORK_HEADER:
        load_ip(reading, offset, length);
        break;
    case NFT_PAYLOAD_TRANSPORT_HEADER:
        load_ports(reading, offset, length);
        break;
    default:
        break;
    }
}

static void take_ct(struct reading *reading, const struct nlattr **attributes)
{
    uint32_t state = reading->packet->is_answer ? NF_CT_STATE_BIT(IP_CT_ESTABLISHED)
                                                : NF_CT_STATE_BIT(IP_CT_NEW);
    const uint8_t direction = reading->packet->is_answer ? 1 : 0;

    reading->length = 0;
    if (attributes[NFTA_CT_DREG] == NULL)
        return; /* it sets something */
    switch (nft_read_u32(attributes[NFTA_CT_KEY], UINT32_MAX)) {
    case NFT_CT_STATE:
        load(reading, &state, sizeof(state));
        break;
    case NFT_CT_DIRECTION:
        load(reading, &direction, sizeof(direction));
        break;
    default:
        break;
    }
}

/* value = (value & mask) ^ xor */
static void take_bitwise(struct reading *reading, const struct nlattr **attributes)
{
    uint8_t mask[VALUE_MAX], xor[VALUE_MAX];
    size_t mask_length, xor_length;

    if (!nft_read_value(attributes[NFTA_BITWISE_MASK], mask, sizeof(mask), &mask_length) ||
        !nft_read_value(attributes[NFTA_BITWISE_XOR], xor, sizeof(xor), &xor_length) ||
        mask_length != reading->length || xor_length != reading->length) {
        reading->length = 0;
        return;
    }
    for (size_t i = 0; i < reading->length; i++)
        reading->value[i] = (uint8_t)((reading->value[i] & mask[i]) ^ xor[i]);
}

static bool holds(uint32_t operation, int order)
{
    switch (operation) {
    case NFT_CMP_EQ:
        return order == 0;
    case NFT_CMP_NEQ:
        return order != 0;
    case NFT_CMP_LT:
        return order < 0;
    case NFT_CMP_LTE:
        return order <= 0;
    case NFT_CMP_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

static void settle(struct reading *reading, bool matches)
{
    if (!matches)
        reading->rule->excludes = true;
}

/* A name that is compared in part stands for all that begin so ("eth*"). */
static void take_comparison(struct reading *reading, const struct nlattr **attributes)
{
    uint32_t operation = nft_read_u32(attributes[NFTA_CMP_OP], UINT32_MAX);
    uint8_t bytes[VALUE_MAX];
    size_t length;
    bool is_name = reading->length == IF_NAMESIZE;

    if (operation > NFT_CMP_GTE || reading->length == 0 ||
        !nft_read_value(attributes[NFTA_CMP_DATA], bytes, sizeof(bytes), &length) ||
        length > reading->length || (length < reading->length && !is_name)) {
        reading->rule->is_unsure = true;
        return;
    }
    settle(reading, holds(operation, memcmp(reading->value, bytes, length)));
}

static void take_range(struct reading *reading, const struct nlattr **attributes)
{
    uint32_t operation = nft_read_u32(attributes[NFTA_RANGE_OP], UINT32_MAX);
    uint8_t from[VALUE_MAX], to[VALUE_MAX];
    size_t from_length, to_length;
    bool inside;

    if (operation > NFT_RANGE_NEQ || reading->length == 0 ||
        !nft_read_value(attributes[NFTA_RANGE_FROM_DATA], from, sizeof(from), &from_length) ||
        !nft_read_value(attributes[NFTA_RANGE_TO_DATA], to, sizeof(to), &to_length) ||
        from_length != reading->length || to_length != reading->length) {
        reading->rule->is_unsure = true;
        return;
    }
    inside = memcmp(reading->value, from, reading->length) >= 0 &&
             memcmp(reading->value, to, reading->length) <= 0;
    settle(reading, inside == (operation == NFT_RANGE_EQ));
}

static enum firewall_effect effect_of(int32_t code)
{
    switch (code) {
    case NF_DROP:
        return FIREWALL_DROP;
    case NF_ACCEPT:
        return FIREWALL_ACCEPT;
    case NFT_CONTINUE:
        return FIREWALL_NOTHING;
    case NFT_RETURN:
        return FIREWALL_RETURN;
    case NFT_JUMP:
        return FIREWALL_JUMP;
    case NFT_GOTO:
        return FIREWALL_GOTO;
    default:
        return FIREWALL_ANYTHING;
    }
}

static void take_immediate(struct reading *reading, const struct nlattr **attributes)
{
    const struct nlattr *data[NETLINK_ATTRIBUTES], *verdict[NETLINK_ATTRIBUTES];

    netlink_read_nested(attributes[NFTA_IMMEDIATE_DATA], data);
    if (data[NFTA_DATA_VERDICT] == NULL) {
        reading->length = 0; /* a value for a statement */
        return;
    }
    netlink_read_nested(data[NFTA_DATA_VERDICT], verdict);
    reading->rule->effect = effect_of((int32_t)nft_read_u32(verdict[NFTA_VERDICT_CODE], NF_QUEUE));
    (void)nft_copy_name(reading->rule->target, sizeof(reading->rule->target),
                        verdict[NFTA_VERDICT_CHAIN]);
}

static void take_lookup(struct reading *reading, const struct nlattr **attributes)
{
    reading->rule->is_unsure = true;
    if (attributes[NFTA_LOOKUP_DREG] != NULL)
        reading->rule->effect = FIREWALL_ANYTHING;
    reading->length = 0;
}

static void take_target(struct reading *reading, const struct nlattr **attributes)
{
    static const char *const harmless[] = {"LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS",
                                           "CT",  "DSCP",  "TOS",  "CLASSIFY", "TRACE"};
    const struct nlattr *name = attributes[NFTA_TARGET_NAME];

    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        if (nft_is_named(name, harmless[i]))
            return;
    }
    reading->rule->effect = nft_is_named(name, "REJECT") ? FIREWALL_DROP : FIREWALL_ANYTHING;
}

/* Those that neither match nor decide. */
static bool is_harmless(const struct nlattr *name)
{
    static const char *const harmless[] = {"counter", "log",   "notrack", "flow_offload",
                                           "dynset",  "last",  "objref",  "byteorder",
                                           "dup",     "exthdr"};

    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        if (nft_is_named(name, harmless[i]))
            return true;
    }
    return false;
}

static void take_expression(struct reading *reading, const struct nlattr *name,
                            const struct nlattr **attributes)
{
    static const struct {
        const char *name;
        void (*take)(struct reading *reading, const struct nlattr **attributes);
    } known[] = {
        {"meta", take_meta},           {"payload", take_payload}, {"ct", take_ct},
        {"bitwise", take_bitwise},     {"cmp", take_comparison},  {"range", take_range},
        {"immediate", take_immediate}, {"lookup", take_lookup},   {"target", take_target},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (nft_is_named(name, known[i].name)) {
            known[i].take(reading, attributes);
            return;
        }
    }
    if (nft_is_named(name, "reject")) {
        reading->rule->effect = FIREWALL_DROP;
    } else if (nft_is_named(name, "match") &&
               nft_is_named(attributes[NFTA_MATCH_NAME], "comment")) {
        return;
    } else if (is_harmless(name)) {
        reading->length = 0;
    } else {
        reading->rule->is_unsure = true;
        reading->length = 0;
    }
}

static int take_element(const struct nlattr *element, void *context)
{
    const struct nlattr *attributes[NETLINK_ATTRIBUTES], *data[NETLINK_ATTRIBUTES];

    netlink_read_nested(element, attributes);
    netlink_read_nested(attributes[NFTA_EXPR_DATA], data);
    take_expression(context, attributes[NFTA_EXPR_NAME], data);
    return MNL_CB_OK;
}

static uint64_t read_handle(const struct nlattr *attribute)
{
    uint64_t handle = 0;

    if (attribute != NULL && mnl_attr_get_payload_len(attribute) == sizeof(handle))
        memcpy(&handle, mnl_attr_get_payload(attribute), sizeof(handle));
    return be64toh(handle);
}

bool firewall_parse_rule(const struct nlmsghdr *message, const struct firewall_packet *packet,
                         struct firewall_rule *rule)
{
    struct reading reading = {.packet = packet, .rule = rule};
    const struct nlattr *attributes[NETLINK_ATTRIBUTES];

    *rule = (struct firewall_rule){.effect = FIREWALL_NOTHING};
    if (!netlink_read_message(message, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, &rule->family,
                              attributes) ||
        !nft_copy_name(rule->table, sizeof(rule->table), attributes[NFTA_RULE_TABLE]) ||
        !nft_copy_name(rule->chain, sizeof(rule->chain), attributes[NFTA_RULE_CHAIN]))
        return false;
    rule->handle = read_handle(attributes[NFTA_RULE_HANDLE]);
    if (attributes[NFTA_RULE_EXPRESSIONS] != NULL)
        (void)mnl_attr_parse_nested(attributes[NFTA_RULE_EXPRESSIONS], take_element, &reading);
    return true;
}

bool firewall_parse_chain(const struct nlmsghdr *message, struct firewall_chain *chain)
{
    const struct nlattr *attributes[NETLINK_ATTRIBUTES], *hook[NETLINK_ATTRIBUTES];

    *chain = (struct firewall_chain){0};
    if (!netlink_read_message(message, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, &chain->family,
                              attributes) ||
        !nft_copy_name(chain->table, sizeof(chain->table), attributes[NFTA_CHAIN_TABLE]) ||
        !nft_copy_name(chain->chain, sizeof(chain->chain), attributes[NFTA_CHAIN_NAME]))
        return false;
    netlink_read_nested(attributes[NFTA_CHAIN_HOOK], hook);
    chain->is_base = (chain->family == NFPROTO_IPV4 || chain->family == NFPROTO_INET) &&
                     attributes[NFTA_CHAIN_HOOK] != NULL &&
                     nft_is_named(attributes[NFTA_CHAIN_TYPE], "filter") &&
                     nft_read_u32(hook[NFTA_HOOK_HOOKNUM], UINT32_MAX) == NF_INET_FORWARD;
    chain->drops = nft_read_u32(attributes[NFTA_CHAIN_POLICY], NF_ACCEPT) == NF_DROP;
    return true;
}
