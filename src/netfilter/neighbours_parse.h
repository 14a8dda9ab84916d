/*
 * neighbours_parse.h - what a listed rule, chain or flowtable of another program says
 *
 * Pure: bytes of a netlink message in, a description out. Every length is checked, because what is
 * in the attributes is another program's. Internal to src/netfilter and the fuzzer.
 */
#ifndef PORTREEVE_NEIGHBOURS_PARSE_H
#define PORTREEVE_NEIGHBOURS_PARSE_H

#include "portreeve/neighbours.h"

#include <libmnl/libmnl.h>

struct neighbour_rule {
    uint8_t family;
    char table[NEIGHBOUR_NAME_MAX], chain[NEIGHBOUR_NAME_MAX];
    bool excludes; /* its matches exclude our packets: the rest says nothing */
    bool changes_source;
    bool has_map;                    /* of verdicts: it may lead to any chain of its table */
    char target[NEIGHBOUR_NAME_MAX]; /* the chain that it jumps or goes to; empty: none */
};

struct neighbour_chain {
    uint8_t family;
    char table[NEIGHBOUR_NAME_MAX], chain[NEIGHBOUR_NAME_MAX];
    bool is_source_nat; /* a nat chain at the postrouting hook */
};

/* NFT_MSG_NEWRULE, NFT_MSG_NEWCHAIN. False if the message is not one, or has no names. */
bool neighbours_parse_rule(const struct nlmsghdr *message, const struct neighbour_scope *scope,
                           struct neighbour_rule *rule);
bool neighbours_parse_chain(const struct nlmsghdr *message, struct neighbour_chain *chain);

/*
 * NFT_MSG_NEWFLOWTABLE. False if the message is not one, if it is of IPv6 only, or if it has no
 * interface.
 */
bool neighbours_parse_flowtable(const struct nlmsghdr *message, struct neighbour *flowtable);

#endif
