/*
 * firewall_parse.h - what a listed rule of another program does to one packet
 *
 * Pure: bytes of a netlink message and a packet in, a description out. Internal to src/netfilter.
 */
#ifndef PORTREEVE_FIREWALL_PARSE_H
#define PORTREEVE_FIREWALL_PARSE_H

#include "portreeve/firewall.h"

#include <libmnl/libmnl.h>

enum firewall_effect {
    FIREWALL_NOTHING,
    FIREWALL_ACCEPT,
    FIREWALL_DROP,
    FIREWALL_RETURN,
    FIREWALL_JUMP,
    FIREWALL_GOTO,
    FIREWALL_ANYTHING, /* a map decides, or something that we do not know */
};

struct firewall_rule {
    uint8_t family;
    char table[FIREWALL_NAME_MAX], chain[FIREWALL_NAME_MAX];
    uint64_t handle;
    bool excludes;  /* it does not match */
    bool is_unsure; /* it may match */
    enum firewall_effect effect;
    char target[FIREWALL_NAME_MAX]; /* of a jump or goto */
};

struct firewall_chain {
    uint8_t family;
    char table[FIREWALL_NAME_MAX], chain[FIREWALL_NAME_MAX];
    bool is_base; /* of type filter, at the forward hook */
    bool drops;   /* its policy */
};

/* NFT_MSG_NEWRULE, NFT_MSG_NEWCHAIN. False if the message is not one, or has no names. */
bool firewall_parse_rule(const struct nlmsghdr *message, const struct firewall_packet *packet,
                         struct firewall_rule *rule);
bool firewall_parse_chain(const struct nlmsghdr *message, struct firewall_chain *chain);

#endif
