/*
 * policy_internal.h - what a policy is made of: for policy.c (filling it) and policy_lookup.c
 * (asking it)
 */
#ifndef PORTREEVE_POLICY_INTERNAL_H
#define PORTREEVE_POLICY_INTERNAL_H

#include "portreeve/policy.h"

#define PORT_COUNT 65536u

/* Tables that exist once per protocol are indexed by this. */
enum policy_protocol {
    POLICY_TCP,
    POLICY_UDP,
    POLICY_ICMP,
    POLICY_PROTOCOLS,
};

/* How many protocols forwards know: TCP and UDP, the first two. */
#define FORWARD_PROTOCOL_COUNT 2

#define INDEX_NONE UINT32_MAX

/* One source prefix of one share. Sorted by address, then length; see policy_lookup.c. */
struct source_entry {
    struct prefix prefix;
    uint16_t share;
    uint32_t enclosing; /* index of the nearest prefix that contains this one, or INDEX_NONE */
};

/*
 * What one forward delivers to, for one protocol. Sorted by address, then first port; see
 * policy_lookup.c.
 */
struct target_entry {
    struct address address;
    struct port_range ports;
    uint16_t forward;
    uint32_t longer; /* index of the nearest entry before it that ends later, same address, or
                        INDEX_NONE */
};

struct target_table {
    struct target_entry *entries;
    size_t count;
};

/* Everything policy_seal builds. */
struct policy_tables {
    uint16_t (
        *listen)[PORT_COUNT]; /* [FORWARD_PROTOCOL_COUNT]: the forward at a port, or POLICY_NONE */
    struct pool (*pools)[POLICY_PROTOCOLS];
    size_t pool_count;
    struct pool published[POLICY_PROTOCOLS];
    struct source_entry *sources;
    size_t source_count;
    struct target_table targets[FORWARD_PROTOCOL_COUNT];
};

struct policy {
    struct timeouts timeouts;
    struct limits limits;
    struct share *shares;
    size_t share_count, share_capacity;
    struct forward *forwards;
    size_t forward_count, forward_capacity;
    struct pool excluded[FORWARD_PROTOCOL_COUNT]; /* ports that the gateway's own sockets hold */
    bool sealed;
    struct policy_tables tables;
};

/* The index of a protocol in tables, or POLICY_PROTOCOLS when it is not translated. */
enum policy_protocol policy_protocol(uint8_t protocol);

/* The bit of enum forward_protocols. */
static inline uint8_t policy_forward_bit(enum policy_protocol protocol)
{
    return protocol == POLICY_TCP ? FORWARD_TCP : FORWARD_UDP;
}

/*
 * Build the tables from the shares and forwards. False without memory; the caller frees what is
 * there.
 */
bool policy_tables_build(struct policy *policy);
void policy_tables_free(struct policy_tables *tables);

#endif
