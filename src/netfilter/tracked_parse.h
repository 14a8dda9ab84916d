/*
 * tracked_parse.h - what a listed connection of connection tracking says
 *
 * Pure: bytes of a netlink message in, a description out. Every length is checked. Internal to
 * src/netfilter, the unit tests and the fuzzer.
 */
#ifndef PORTREEVE_TRACKED_PARSE_H
#define PORTREEVE_TRACKED_PARSE_H

#include "portreeve/tracked.h"

#include <libmnl/libmnl.h>
#include <stdbool.h>

struct tracked {
    uint8_t protocol;
    /* host byte order, of the first packet and of its answers */
    uint32_t source, destination, answer_source, answer_destination;
    bool has_helper;
    /* in the message, to name the connection; zone may be NULL */
    const struct nlattr *tuple, *id, *zone;
};

/* IPCTNL_MSG_CT_NEW of IPv4. False if the message is not one, or lacks something. */
bool tracked_parse(const struct nlmsghdr *message, struct tracked *tracked);

/* True if tracked_forget deletes it. */
bool tracked_is_in_scope(const struct tracked *tracked, const struct tracked_scope *scope);

#endif
