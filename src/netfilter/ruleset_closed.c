/*
 * ruleset_closed.c - packets from outside to a host of a share, of no session
 *
 * A neighbour outside that routes the private addresses to us can send to the hosts of a share
 * without a mapping, past `filtering` and `allow`. A packet of a session never has a private
 * destination at this place: it comes to an external address, and behind the rewriting it does not
 * pass these rules. So what is left here has no session. It may still be no outsider:
 *
 *   - The interface that it came in by has the address, or the host is behind it (a one-armed
 *     gateway, a bridge whose frames pass the ip hooks). There, whoever sends is a neighbour of the
 *     host, and needs no gateway to reach it.
 *   - The sender is inside, too, behind this interface: the route to it leads back there.
 *   - The share exempts the sender: what it exchanges with its hosts is not translated. Routers on
 *     the way to it send errors about this, from addresses that no configuration knows; they quote
 *     a packet to the exempt address.
 *
 * The name of the interface counts as much as its index: an interface that was created a moment
 * ago, also while no daemon runs, is closed.
 */
#include "ruleset_rule.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

static const struct field source = FIELD_OF_IPV4(saddr);
static const struct field destination = FIELD_OF_IPV4(daddr);
static const struct field icmp_type = {NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1};
/* In the packet that an ICMP error quotes, which begins after 8 bytes. */
static const struct field quoted_destination = {NFT_PAYLOAD_TRANSPORT_HEADER, 8 + 16, 4};

static const uint32_t nowhere = 0; /* what rule_load_way_back and _on load */

/* One lookup, so that a packet from inside to outside costs little more than this. */
static void put_closed(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_DIRECT, "to a host of a closed share"))
        return;
    rule_match_field(&rule, destination, SET_CLOSED);
    rule_jump(&rule, CHAIN_CLOSED);
    rule_end(&rule);
}

static void put_arrivals(struct batch *batch, uint32_t key, enum set_id interfaces)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_CLOSED, "by an external interface"))
        return;
    rule_load_meta(&rule, NFT_REG_1, key);
    rule_match_set(&rule, interfaces);
    rule_goto(&rule, CHAIN_OUTSIDERS);
    rule_end(&rule);
}

static void put_own_address(struct batch *batch)
{
    const uint32_t local = RTN_LOCAL;
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTSIDERS, "the interface has this address"))
        return;
    rule_load_type_there(&rule, NFT_REG_1);
    rule_compare(&rule, NFT_REG_1, NFT_CMP_EQ, &local, sizeof(local));
    rule_return(&rule);
    rule_end(&rule);
}

static void put_back_again(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTSIDERS, "to where it came from: one-armed"))
        return;
    rule_load_way_on(&rule, NFT_REG_1);
    rule_compare(&rule, NFT_REG_1, NFT_CMP_NEQ, &nowhere, sizeof(nowhere));
    rule_return(&rule);
    rule_end(&rule);
}

static void put_insiders(struct batch *batch)
{
    struct rule rule;

    if (rule_begin(&rule, batch, CHAIN_OUTSIDERS, "forged source: to a closed share")) {
        rule_match_field(&rule, source, SET_SOURCES);
        rule_load_way_back(&rule, NFT_REG_1);
        rule_compare(&rule, NFT_REG_1, NFT_CMP_EQ, &nowhere, sizeof(nowhere));
        rule_drop(&rule);
        rule_end(&rule);
    }
    if (rule_begin(&rule, batch, CHAIN_OUTSIDERS, "from inside, behind this interface")) {
        rule_match_field(&rule, source, SET_SOURCES);
        rule_return(&rule);
        rule_end(&rule);
    }
}

static void put_exempt(struct batch *batch)
{
    struct rule rule;

    if (rule_begin(&rule, batch, CHAIN_OUTSIDERS, "from an exempt address")) {
        rule_match_field(&rule, source, SET_EXEMPT);
        rule_return(&rule);
        rule_end(&rule);
    }
    if (rule_begin(&rule, batch, CHAIN_OUTSIDERS, "ICMP error about an exempt address")) {
        rule_match_protocol(&rule, PROTOCOL_ICMP);
        rule_match_field(&rule, icmp_type, SET_ICMP_ERRORS);
        rule_match_field(&rule, quoted_destination, SET_EXEMPT);
        rule_return(&rule);
        rule_end(&rule);
    }
}

static void put_outsiders(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTSIDERS, "from outside to a closed share, of no session"))
        return;
    rule_drop(&rule);
    rule_end(&rule);
}

void rules_create_closed(struct batch *batch)
{
    put_closed(batch);
    put_arrivals(batch, NFT_META_IIF, SET_INTERFACES);
    put_arrivals(batch, NFT_META_IIFNAME, SET_NAMES);
    put_own_address(batch);
    put_back_again(batch);
    put_insiders(batch);
    put_exempt(batch);
    put_outsiders(batch);
}
