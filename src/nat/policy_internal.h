/*
 * policy_internal.h - what a policy is made of: for policy.c (filling it) and policy_lookup.c
 * (asking it)
 */
#ifndef PORTREEVE_POLICY_INTERNAL_H
#define PORTREEVE_POLICY_INTERNAL_H

#include "policy_seen.h"
#include "portreeve/forward_use.h"
#include "portreeve/policy.h"

#define PORT_COUNT 65536u

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
        *listen)[PORT_COUNT]; /* [PROTOCOL_PORTS_COUNT]: the forward at a port, or POLICY_NONE */
    struct pool (*pools)[PROTOCOL_COUNT];
    size_t pool_count;
    struct pool published[PROTOCOL_COUNT];
    struct source_entry *sources;
    size_t source_count;
    struct target_table targets[PROTOCOL_PORTS_COUNT];
    struct rate_bucket *buckets; /* by the forward's index */
    struct forward_use *uses;    /* by the forward's index */
};

struct policy {
    struct timeouts timeouts;
    struct limits limits;
    struct share *shares;
    size_t share_count, share_capacity;
    struct forward *forwards;
    size_t forward_count, forward_capacity;
    struct promise *promises;
    size_t promise_count, promise_capacity;
    struct policy_seen seen;                    /* of the forwards */
    struct pool excluded[PROTOCOL_PORTS_COUNT]; /* ports that the gateway's own sockets hold */
    struct pool kept[PROTOCOL_PORTS_COUNT];     /* ports that such a socket and a mapping hold */
    bool sealed;
    struct policy_tables tables;
};

/*
 * Build the tables from the shares and forwards. False without memory; the caller frees what is
 * there.
 */
bool policy_tables_build(struct policy *policy);
void policy_tables_free(struct policy_tables *tables);

#endif
