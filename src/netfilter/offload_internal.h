/*
 * offload_internal.h - the maps of offloaded sessions in the format of nf_tables
 *
 * ruleset_offload.c creates the maps and the rules that use them, offload_maps.c fills the maps.
 * Internal to src/netfilter.
 */
#ifndef PORTREEVE_OFFLOAD_INTERNAL_H
#define PORTREEVE_OFFLOAD_INTERNAL_H

#include "portreeve/packet.h"
#include "ruleset_internal.h"

/*
 * Registers have 32 bits. Each field of a concatenation starts in a new one, as nft expects it, so
 * that nft's listings are readable.
 */
struct offload_port {
    uint16_t number; /* network byte order */
    uint8_t zero[2];
};

/* What a packet of one direction carries, in network byte order. */
struct offload_key {
    uint32_t source, destination;
    struct offload_port source_port, destination_port;
    uint8_t protocol;
    uint8_t uplink; /* that packets to the outside leave by; 0 for packets from there. In the same
                       register as the protocol: nft cannot show a key of six fields */
    uint8_t zero[2];
};

/* What the packet gets instead of its destination (inbound) or its source (outbound). */
struct offload_value {
    uint32_t address;
    struct offload_port port;
};

_Static_assert(sizeof(struct offload_key) == 20 && sizeof(struct offload_value) == 8,
               "whole registers");

/* Of the key, as nft numbers a concatenation of types: six bits per type. */
#define OFFLOAD_KEY_TYPE                                                                           \
    ((uint32_t)NFT_ADDRESS << 24 | NFT_ADDRESS << 18 | NFT_PORT << 12 | NFT_PORT << 6 |            \
     NFT_PROTOCOL)

/* The name of the map that is used at this hook. */
const char *offload_map_name(enum packet_hook hook);

/*
 * First creates the maps, with room for `size` elements each; then, when the chains exist, the
 * rules that use one of the maps.
 */
void offload_create_maps(struct batch *batch, uint32_t size);
void offload_create_rules(struct batch *batch, enum packet_hook hook, size_t uplinks);
/* The same for answers to clients inside, in this chain: whatever interface they leave by. */
void offload_create_answers(struct batch *batch, const char *chain, size_t uplinks);

/*
 * The rule continues only if the packet, or its answers, are of an offloaded session by this
 * uplink. Uses NFT_REG_1, NFT_REG_2 and NFT_REG_4.
 */
struct rule;
void offload_match_answer(struct rule *rule, bool reversed, const struct protocol *protocol,
                          uint8_t uplink);

/*
 * The same for datagrams that are longer than a queue carries (oversize.h): their map at this hook,
 * and one rule for each map in the chain, before what is queued there.
 */
const char *oversize_map_name(enum packet_hook hook);
void oversize_create_maps(struct batch *batch);
void oversize_create_rules(struct batch *batch, const char *chain);

/* For a listing of rules: adds the counters that a struct ruleset_hits has. */
int offload_count_hits(const struct nlmsghdr *rule, void *hits);

#endif
