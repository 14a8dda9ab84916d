/*
 * fuzz_neighbours.c - any netlink message as another program's rule, chain or flowtable
 *
 * The first byte chooses what it claims to be, the second one its family.
 */
#include "../../src/netfilter/firewall_parse.h"
#include "../../src/netfilter/neighbours_parse.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool is_text(const char *name)
{
    return memchr(name, '\0', NEIGHBOUR_NAME_MAX) != NULL;
}

static void parse(const struct nlmsghdr *message)
{
    const struct prefix sources[] = {{address_from_ipv4(0x0a000000), 96 + 8},
                                     {address_from_ipv4(0), 96}};
    const struct neighbour_scope scope = {.interface = "wan0",
                                          .interface_index = 2,
                                          .sources = sources,
                                          .source_count = message->nlmsg_len % 3};
    struct neighbour_rule rule;
    struct neighbour_chain chain;
    struct neighbour flowtable;
    int found = 0;

    found += neighbours_parse_rule(message, &scope, &rule);
    must(is_text(rule.table) && is_text(rule.chain) && is_text(rule.target));
    found += neighbours_parse_chain(message, &chain);
    must(is_text(chain.table) && is_text(chain.chain));
    found += neighbours_parse_flowtable(message, &flowtable);
    must(is_text(flowtable.table) && is_text(flowtable.name));
    must(found <= 1); /* a message is of one type */
}

/* The same as rules and chains that a packet meets at the forward hook. */
static void judge(const struct nlmsghdr *message)
{
    const struct firewall_packet packet = {.in = "wan0",
                                           .out = "lan0",
                                           .in_index = 2,
                                           .out_index = 3,
                                           .protocol =
                                               message->nlmsg_len % 2 ? PROTOCOL_TCP : PROTOCOL_UDP,
                                           .from = {address_from_ipv4(0xc6336407), 0},
                                           .to = {address_from_ipv4(0x0a000007), 443},
                                           .is_answer = message->nlmsg_len % 3 == 0};
    struct firewall_rule rule;
    struct firewall_chain chain;
    int found = 0;

    found += firewall_parse_rule(message, &packet, &rule);
    must(is_text(rule.table) && is_text(rule.chain) && is_text(rule.target));
    must(rule.effect <= FIREWALL_ANYTHING);
    found += firewall_parse_chain(message, &chain);
    must(is_text(chain.table) && is_text(chain.chain));
    must(found <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t types[] = {NFT_MSG_NEWRULE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWFLOWTABLE};
    struct nfgenmsg general = {.nfgen_family = size > 1 ? data[1] : 0};
    struct nlmsghdr *message;
    size_t body;

    if (size < 2 || size > MESSAGE_MAX)
        return 0;
    body = size - 2;
    /* No byte more than a message has, which the kernel pads to 4: ASan looks. */
    message = calloc(1, (sizeof(*message) + sizeof(general) + body + 3) / 4 * 4);
    must(message != NULL);
    *message = (struct nlmsghdr){
        .nlmsg_len = (uint32_t)(sizeof(*message) + sizeof(general) + body),
        .nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | types[data[0] % sizeof(types)])};
    memcpy((char *)message + sizeof(*message), &general, sizeof(general));
    memcpy((char *)message + sizeof(*message) + sizeof(general), data + 2, body);
    parse(message);
    judge(message);
    free(message);
    return 0;
}
