/*
 * offload_internal.h - the maps of offloaded sessions, as nf_tables sees them
 *
 * ruleset_offload.c makes the maps and the rules that ask them, offload_maps.c fills the maps.
 * Internal to src/netfilter.
 */
#ifndef PORTREEVE_OFFLOAD_INTERNAL_H
#define PORTREEVE_OFFLOAD_INTERNAL_H

#include "portreeve/packet.h"
#include "ruleset_internal.h"

/*
 * Registers are of 32 bits; nft takes a concatenation's fields one by one from there, which makes
 * listings readable.
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
    uint8_t zero[3];
};

/* What it gets instead of its destination (inbound) or its source (outbound). */
struct offload_value {
    uint32_t address;
    struct offload_port port;
};

_Static_assert(sizeof(struct offload_key) == 20 && sizeof(struct offload_value) == 8,
               "whole registers");

/* The name of the map that is asked at this hook. */
const char *offload_map_name(enum packet_hook hook);

/*
 * Creates the maps, for `size` elements each; then the rules that ask one of them, once the chains
 * exist.
 */
void offload_create_maps(struct batch *batch, uint32_t size);
void offload_create_rules(struct batch *batch, enum packet_hook hook);

/* For a listing of rules: adds what those of offload have counted to a struct ruleset_hits. */
int offload_count_hits(const struct nlmsghdr *rule, void *hits);

#endif
