/*
 * ruleset_rule.h - the expressions that rules consist of
 *
 * Internal to src/netfilter/ruleset*.c. Registers are NFT_REG_1 to NFT_REG_4 (16 bytes each) or
 * NFT_REG32_00 to _15, which are quarters of those. If memory runs out, that is noted in the batch.
 */
#ifndef PORTREEVE_RULESET_RULE_H
#define PORTREEVE_RULESET_RULE_H

#include "ruleset_internal.h"

#include <linux/ip.h>
#include <linux/udp.h>
#include <stddef.h>

#define CHAIN_INBOUND  "inbound"
#define CHAIN_OUTBOUND "outbound"
#define CHAIN_INSIDE   "inside"
#define CHAIN_ARRIVALS "arrivals"
#define CHAIN_OWN_OUT  "own_out"
#define CHAIN_OWN_IN   "own_in"
#define CHAIN_QUEUE    "to_queue"
#define CHAIN_BYPASS   "to_queue_bypass"

struct nftnl_rule;
struct nftnl_expr;

struct rule {
    struct batch *batch;
    struct nftnl_rule *nftnl;
};

/* Part of a packet. `base` is an enum nft_payload_bases, the other two are in bytes. */
struct field {
    uint32_t base, offset, length;
};

/*
 * Initialisers of a field: a member of the IPv4 header, or a port, which TCP and UDP have at the
 * same offset.
 */
#define FIELD_OF(base, header, member)                                                             \
    {                                                                                              \
        base, offsetof(struct header, member), sizeof(((struct header *)0)->member)                \
    }
#define FIELD_OF_IPV4(member) FIELD_OF(NFT_PAYLOAD_NETWORK_HEADER, iphdr, member)
#define FIELD_OF_PORT(member) FIELD_OF(NFT_PAYLOAD_TRANSPORT_HEADER, udphdr, member)

/*
 * Starts a new rule at the end of its chain; false without memory. rule_end adds it to the batch.
 */
bool rule_begin(struct rule *rule, struct batch *batch, const char *chain, const char *comment);
void rule_end(struct rule *rule);

/* Adds a new expression to the rule and returns it, or NULL without memory. */
struct nftnl_expr *rule_add(struct rule *rule, const char *name);

void rule_load_meta(struct rule *rule, uint32_t to, uint32_t key);
void rule_load(struct rule *rule, uint32_t to, const void *data, uint32_t length);
/*
 * Loads the index of the interface that the packet came in by, if the route to its source leads
 * back there, otherwise 0 (nft_fib4_eval). In prerouting.
 */
void rule_load_way_back(struct rule *rule, uint32_t to);
void rule_load_field(struct rule *rule, uint32_t to, struct field field);
void rule_mask(struct rule *rule, uint32_t in, const void *mask, uint32_t length);
/* The rule continues only if a socket of this host would get the packet. */
void rule_load_socket(struct rule *rule, uint32_t to, uint32_t key);
/* The rule continues only if the register is (NFT_CMP_EQ) or is not (NFT_CMP_NEQ) equal to this. */
void rule_compare(struct rule *rule, uint32_t in, uint32_t operation, const void *data,
                  uint32_t length);
/*
 * The rule continues only if the set contains the register's value. `to` is the register for the
 * value that a map has for it; 0 for a set.
 */
void rule_lookup(struct rule *rule, uint32_t in, const char *set, uint32_t id, uint32_t to);
/* The rule continues only if the set does not contain the register's value. */
void rule_lookup_none(struct rule *rule, uint32_t in, const char *set, uint32_t id);
/* Counts and accepts the packet: the end of a rule. */
void rule_accept(struct rule *rule);
/* Counts and drops the packet. */
void rule_drop(struct rule *rule);
/* Counts the packet, which continues in another chain and comes back from its end. */
void rule_jump(struct rule *rule, const char *chain);
/* Counts the packet, which continues in another chain and does not come back. */
void rule_goto(struct rule *rule, const char *chain);

#endif
