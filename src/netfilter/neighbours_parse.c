/*
 * neighbours_parse.c - what a listed rule, chain or flowtable of another program says
 *
 * A rule is a list of expressions. What is loaded into a register is remembered until it is
 * compared; two loads without a comparison in between leave only the second, which is how nft and
 * iptables-nft write the matches that are looked for.
 */
#include "neighbours_parse.h"

#include "netlink.h"
#include "nft_read.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

/* What the rule has loaded last. */
enum loaded { LOADED_OTHER, LOADED_OIFNAME, LOADED_OIF, LOADED_NFPROTO, LOADED_SOURCE };

struct reading {
    const struct neighbour_scope *scope;
    struct neighbour_rule *rule;
    enum loaded loaded;
    uint32_t mask; /* of LOADED_SOURCE, host byte order */
};

static uint32_t first_word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void take_load(struct reading *reading, const struct nlattr **attributes)
{
    reading->loaded = LOADED_OTHER;
    switch (nft_read_u32(attributes[NFTA_META_KEY], UINT32_MAX)) {
    case NFT_META_OIFNAME:
        reading->loaded = LOADED_OIFNAME;
        break;
    case NFT_META_OIF:
        reading->loaded = LOADED_OIF;
        break;
    case NFT_META_NFPROTO:
        reading->loaded = LOADED_NFPROTO;
        break;
    default:
        break;
    }
}

/* A prefix of 8, 16 or 24 bits is loaded as so many bytes. */
static void take_payload(struct reading *reading, const struct nlattr **attributes)
{
    const uint32_t source_offset = 12;
    uint32_t length = nft_read_u32(attributes[NFTA_PAYLOAD_LEN], 0);
    bool is_source =
        nft_read_u32(attributes[NFTA_PAYLOAD_BASE], UINT32_MAX) == NFT_PAYLOAD_NETWORK_HEADER &&
        nft_read_u32(attributes[NFTA_PAYLOAD_OFFSET], 0) == source_offset && length >= 1 &&
        length <= 4;

    reading->loaded = is_source ? LOADED_SOURCE : LOADED_OTHER;
    reading->mask = is_source ? UINT32_MAX << (32 - 8 * length) : 0;
}

static void take_mask(struct reading *reading, const struct nlattr **attributes)
{
    uint8_t bytes[4];
    size_t length;

    if (nft_read_value(attributes[NFTA_BITWISE_MASK], bytes, sizeof(bytes), &length))
        reading->mask &= first_word(bytes);
    else
        reading->loaded = LOADED_OTHER;
}

/* True if a source that we translate is in the network, or the network in it. */
static bool meets_sources(const struct neighbour_scope *scope, uint32_t network, uint32_t mask)
{
    const uint32_t ipv4_bits = 96; /* in front of the bits of an IPv4 address */

    for (size_t i = 0; i < scope->source_count; i++) {
        uint32_t bits = scope->sources[i].length - ipv4_bits;
        uint32_t own = bits == 0 ? 0 : UINT32_MAX << (32 - bits);

        if (((address_to_ipv4(&scope->sources[i].address) ^ network) & mask & own) == 0)
            return true;
    }
    return false;
}

/* A name that is compared in part stands for all that begin so ("eth*"). */
static bool matches_interface(const struct neighbour_scope *scope, const uint8_t *bytes,
                              size_t length)
{
    char name[IF_NAMESIZE] = {0};

    memcpy(name, scope->interface, strnlen(scope->interface, sizeof(name) - 1));
    return length <= sizeof(name) && memcmp(name, bytes, length) == 0;
}

static bool matches_index(const struct neighbour_scope *scope, const uint8_t *bytes)
{
    uint32_t index;

    memcpy(&index, bytes, sizeof(index));
    return index == scope->interface_index;
}

static void take_comparison(struct reading *reading, const struct nlattr **attributes)
{
    uint8_t bytes[IF_NAMESIZE];
    uint32_t operation = nft_read_u32(attributes[NFTA_CMP_OP], UINT32_MAX);
    bool equal = operation == NFT_CMP_EQ, matches;
    size_t length;

    if ((!equal && operation != NFT_CMP_NEQ) ||
        !nft_read_value(attributes[NFTA_CMP_DATA], bytes, sizeof(bytes), &length))
        return;
    switch (reading->loaded) {
    case LOADED_OIFNAME:
        matches = matches_interface(reading->scope, bytes, length);
        break;
    case LOADED_OIF:
        matches = matches_index(reading->scope, bytes);
        break;
    case LOADED_NFPROTO:
        matches = bytes[0] == NFPROTO_IPV4;
        break;
    case LOADED_SOURCE: /* "not from there" may still mean most of our hosts */
        matches = !equal || meets_sources(reading->scope, first_word(bytes), reading->mask);
        equal = true;
        break;
    default:
        return;
    }
    if (matches != equal)
        reading->rule->excludes = true;
}

static void take_verdict(struct reading *reading, const struct nlattr **attributes)
{
    const struct nlattr *data[NETLINK_ATTRIBUTES], *verdict[NETLINK_ATTRIBUTES];
    int32_t code;

    netlink_read_nested(attributes[NFTA_IMMEDIATE_DATA], data);
    netlink_read_nested(data[NFTA_DATA_VERDICT], verdict);
    code = (int32_t)nft_read_u32(verdict[NFTA_VERDICT_CODE], 0);
    if (code == NFT_JUMP || code == NFT_GOTO)
        (void)nft_copy_name(reading->rule->target, sizeof(reading->rule->target),
                            verdict[NFTA_VERDICT_CHAIN]);
}

static bool is_source_target(const struct nlattr **attributes)
{
    return nft_is_named(attributes[NFTA_TARGET_NAME], "MASQUERADE") ||
           nft_is_named(attributes[NFTA_TARGET_NAME], "SNAT") ||
           nft_is_named(attributes[NFTA_TARGET_NAME], "NETMAP");
}

static void take_expression(struct reading *reading, const struct nlattr *name,
                            const struct nlattr **attributes)
{
    if (nft_is_named(name, "meta"))
        take_load(reading, attributes);
    else if (nft_is_named(name, "payload"))
        take_payload(reading, attributes);
    else if (nft_is_named(name, "bitwise"))
        take_mask(reading, attributes);
    else if (nft_is_named(name, "cmp"))
        take_comparison(reading, attributes);
    else if (nft_is_named(name, "immediate"))
        take_verdict(reading, attributes);
    else if (nft_is_named(name, "lookup"))
        reading->rule->has_map |= attributes[NFTA_LOOKUP_DREG] != NULL;
    else if (nft_is_named(name, "masq"))
        reading->rule->changes_source = true;
    else if (nft_is_named(name, "nat"))
        reading->rule->changes_source |=
            nft_read_u32(attributes[NFTA_NAT_TYPE], UINT32_MAX) == NFT_NAT_SNAT;
    else if (nft_is_named(name, "target"))
        reading->rule->changes_source |= is_source_target(attributes);
}

static int take_element(const struct nlattr *element, void *context)
{
    const struct nlattr *attributes[NETLINK_ATTRIBUTES], *data[NETLINK_ATTRIBUTES];

    netlink_read_nested(element, attributes);
    netlink_read_nested(attributes[NFTA_EXPR_DATA], data);
    take_expression(context, attributes[NFTA_EXPR_NAME], data);
    return MNL_CB_OK;
}

bool neighbours_parse_rule(const struct nlmsghdr *message, const struct neighbour_scope *scope,
                           struct neighbour_rule *rule)
{
    struct reading reading = {.scope = scope, .rule = rule};
    const struct nlattr *attributes[NETLINK_ATTRIBUTES];

    *rule = (struct neighbour_rule){0};
    if (!netlink_read_message(message, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, &rule->family,
                              attributes) ||
        !nft_copy_name(rule->table, sizeof(rule->table), attributes[NFTA_RULE_TABLE]) ||
        !nft_copy_name(rule->chain, sizeof(rule->chain), attributes[NFTA_RULE_CHAIN]))
        return false;
    rule->excludes = rule->family != NFPROTO_IPV4 && rule->family != NFPROTO_INET;
    if (attributes[NFTA_RULE_EXPRESSIONS] != NULL)
        (void)mnl_attr_parse_nested(attributes[NFTA_RULE_EXPRESSIONS], take_element, &reading);
    return true;
}

bool neighbours_parse_chain(const struct nlmsghdr *message, struct neighbour_chain *chain)
{
    const struct nlattr *attributes[NETLINK_ATTRIBUTES], *hook[NETLINK_ATTRIBUTES];

    *chain = (struct neighbour_chain){0};
    if (!netlink_read_message(message, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, &chain->family,
                              attributes) ||
        !nft_copy_name(chain->table, sizeof(chain->table), attributes[NFTA_CHAIN_TABLE]) ||
        !nft_copy_name(chain->chain, sizeof(chain->chain), attributes[NFTA_CHAIN_NAME]))
        return false;
    netlink_read_nested(attributes[NFTA_CHAIN_HOOK], hook);
    chain->is_source_nat =
        (chain->family == NFPROTO_IPV4 || chain->family == NFPROTO_INET) &&
        nft_is_named(attributes[NFTA_CHAIN_TYPE], "nat") &&
        nft_read_u32(hook[NFTA_HOOK_HOOKNUM], UINT32_MAX) == NF_INET_POST_ROUTING;
    return true;
}

static int take_device(const struct nlattr *attribute, void *context)
{
    bool *any = context;

    (void)attribute;
    *any = true;
    return MNL_CB_OK;
}

bool neighbours_parse_flowtable(const struct nlmsghdr *message, struct neighbour *flowtable)
{
    const struct nlattr *attributes[NETLINK_ATTRIBUTES], *hook[NETLINK_ATTRIBUTES];
    bool any = false;

    *flowtable = (struct neighbour){.kind = NEIGHBOUR_FLOWTABLE};
    if (!netlink_read_message(message, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWFLOWTABLE,
                              &flowtable->family, attributes) ||
        !nft_copy_name(flowtable->table, sizeof(flowtable->table),
                       attributes[NFTA_FLOWTABLE_TABLE]) ||
        !nft_copy_name(flowtable->name, sizeof(flowtable->name), attributes[NFTA_FLOWTABLE_NAME]) ||
        flowtable->family == NFPROTO_IPV6)
        return false;
    netlink_read_nested(attributes[NFTA_FLOWTABLE_HOOK], hook);
    if (hook[NFTA_FLOWTABLE_HOOK_DEVS] != NULL)
        (void)mnl_attr_parse_nested(hook[NFTA_FLOWTABLE_HOOK_DEVS], take_device, &any);
    return any;
}
