/*
 * ruleset_sockets.c - rules that give the gateway's own connections their packets, also on a port
 * that a mapping or a forward has
 */
#include "ruleset_rule.h"

#include <linux/netfilter/nf_tables.h>

static const struct field destination_port = FIELD_OF_PORT(dest);
static const struct field icmp_type = {NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1};
/* In the packet that an ICMP error quotes, which begins after 8 bytes and has no IP options. */
static const struct field quoted_version = {NFT_PAYLOAD_TRANSPORT_HEADER, 8, 1};
static const struct field quoted_protocol = {NFT_PAYLOAD_TRANSPORT_HEADER, 8 + 9, 1};
static const struct field quoted_source_port = {NFT_PAYLOAD_TRANSPORT_HEADER, 8 + 20, 2};

/* The port is published, and a connected socket has it; see the head of ruleset.h. */
static void match_connected(struct rule *rule, struct field port, enum protocol_index protocol)
{
    enum set_id bound = (enum set_id)(SET_BOUND + protocol);
    const uint8_t connected = 0;

    rule_match_field(rule, port, (enum set_id)(SET_PUBLISHED + protocol));
    rule_lookup_none(rule, NFT_REG_1, set_name(bound), (uint32_t)bound + 1);
    rule_load_socket(rule, NFT_REG_1, NFT_SOCKET_WILDCARD);
    rule_compare(rule, NFT_REG_1, NFT_CMP_EQ, &connected, sizeof(connected));
}

/* A socket in time-wait does not count (nft_socket_eval): mappings come before it. */
static void put_packets(struct batch *batch, enum protocol_index protocol)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "to a connection of the gateway"))
        return;
    rule_match_protocol(&rule, protocol_table[protocol].number);
    match_connected(&rule, destination_port, protocol);
    rule_accept(&rule);
    rule_end(&rule);
}

/*
 * For an ICMP error, the socket expression looks for the socket that has sent the quoted packet
 * (nf_sk_lookup_slow_v4).
 */
static void put_errors(struct batch *batch, enum protocol_index protocol)
{
    const uint8_t version = 0x45, number = protocol_table[protocol].number;
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INBOUND, "ICMP error about a connection of the gateway"))
        return;
    rule_match_protocol(&rule, PROTOCOL_ICMP);
    rule_match_field(&rule, icmp_type, SET_ICMP_ERRORS);
    rule_load_field(&rule, NFT_REG_1, quoted_version); /* IPv4, and a header of 20 bytes */
    rule_compare(&rule, NFT_REG_1, NFT_CMP_EQ, &version, sizeof(version));
    rule_load_field(&rule, NFT_REG_1, quoted_protocol);
    rule_compare(&rule, NFT_REG_1, NFT_CMP_EQ, &number, sizeof(number));
    match_connected(&rule, quoted_source_port, protocol);
    rule_accept(&rule);
    rule_end(&rule);
}

void rules_create_sockets(struct batch *batch)
{
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        put_packets(batch, p);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        put_errors(batch, p);
}
