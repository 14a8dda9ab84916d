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

#define CHAIN_INBOUND   "inbound"
#define CHAIN_OUTBOUND  "outbound"
#define CHAIN_INSIDE    "inside"
#define CHAIN_ARRIVALS  "arrivals"
#define CHAIN_CLOSED    "to_closed"
#define CHAIN_OUTSIDERS "outsiders"
#define CHAIN_OWN_OUT   "own_out"
#define CHAIN_OWN_IN    "own_in"
#define CHAIN_GUARD     "guard"
#define CHAIN_QUEUE     "to_queue"
#define CHAIN_BYPASS    "to_queue_bypass"
#define CHAIN_NEWCOMERS "newcomers"
/* ruleset_passes.c */
#define CHAIN_DIRECT        "direct"
#define CHAIN_REWRITTEN     "rewritten"
#define CHAIN_REWRITTEN_WAN "rewritten_outside"
#define CHAIN_TRANSIT       "transit"
#define CHAIN_TO_TARGET     "to_target"
#define CHAIN_ANSWERS       "answers"

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
/* An enum nft_ct_keys. The kernel tracks connections as long as such a rule exists. */
void rule_load_ct(struct rule *rule, uint32_t to, uint32_t key);
void rule_load(struct rule *rule, uint32_t to, const void *data, uint32_t length);
/*
 * Loads the index of the interface that the packet came in by, if the route to its source leads
 * back there, otherwise 0 (nft_fib4_eval). In prerouting.
 */
void rule_load_way_back(struct rule *rule, uint32_t to);
/* The same for the route to its destination: it would leave by the interface that it came in by. */
void rule_load_way_on(struct rule *rule, uint32_t to);
/* Loads the type of its destination (RTN_LOCAL and so on), by the addresses of that interface. */
void rule_load_type_there(struct rule *rule, uint32_t to);
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
/* The rule continues only if the packet is of this protocol, or if the set contains the register.
 */
void rule_match_protocol(struct rule *rule, uint8_t protocol);
void rule_match_set(struct rule *rule, enum set_id set);
/* The rule continues only if the set contains this field of the packet. Uses NFT_REG_1. */
void rule_match_field(struct rule *rule, struct field field, enum set_id set);
/*
 * The rule continues only if the field, under the mask (NULL: all of it), is or is not equal to the
 * data. Uses NFT_REG_3.
 */
void rule_match_bytes(struct rule *rule, struct field field, const void *mask, uint32_t operation,
                      const void *data);
/* The same for the flags of a TCP header, and that it is one. */
void rule_match_tcp_flags(struct rule *rule, uint8_t mask, uint32_t operation, uint8_t flags);

/*
 * Counts the packet and sends it to the queues: the end of a rule. With `bypass` it passes when no
 * program has bound the queue; otherwise it is dropped then.
 */
void rule_queue(struct rule *rule, bool bypass);
/* The chains that rule_queue sends packets to. */
void queue_create_rules(struct batch *batch, const struct ruleset_options *options,
                        enum queue_method method);

/* Counts the packet and sends it to one of `count` queues: the end of a rule. */
struct queue_numbers {
    uint16_t first, count;
};
void rule_queue_to(struct rule *rule, enum queue_method method, struct queue_numbers numbers,
                   bool bypass);

/* Counts and accepts the packet: the end of a rule. */
void rule_accept(struct rule *rule);
/* Counts and drops the packet. */
void rule_drop(struct rule *rule);
/* Counts the packet, which goes back to the rule behind the last jump. */
void rule_return(struct rule *rule);
/* Counts the packet, which continues in another chain and does not come back, or does. */
void rule_goto(struct rule *rule, const char *chain);
void rule_jump(struct rule *rule, const char *chain);

/*
 * A packet's tuple in NFT_REG32_00 to _04, as a struct offload_key; `reversed` as its answers have
 * it.
 */
void rule_load_tuple(struct rule *rule, bool reversed);

/* The rules of closed shares, behind those that recognize rewritten packets (ruleset_closed.c). */
void rules_create_closed(struct batch *batch);

/*
 * Newcomers: first packets of TCP connections (ruleset_newcomers.c). Those from outside: the rule
 * of the chain of inbound packets, and the rules and the set of their own chain. Those of shares: a
 * rule of the chain of outbound packets, in front of that for all they send.
 */
void newcomers_create_inside_rule(struct batch *batch, uint16_t first_queue,
                                  enum queue_method method);
void newcomers_create_set(struct batch *batch);
void newcomers_create_rules(struct batch *batch, uint16_t first_queue, uint32_t most_per_second,
                            struct ruleset_plan plan);
/* The rules of their chain anew, with another limit. */
void newcomers_change_limit(struct batch *batch, uint16_t first_queue, uint32_t most_per_second,
                            struct ruleset_plan plan);

/* The rules of connected sockets, for the chain of inbound packets (ruleset_sockets.c). */
void rules_create_sockets(struct batch *batch);

#endif
