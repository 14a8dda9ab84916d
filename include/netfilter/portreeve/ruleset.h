/*
 * ruleset.h - the daemon's nf_tables rules: table `ip portreeve`, installed, updated and removed
 * atomically
 *
 * Chains
 *
 *   inbound   prerouting, priority raw (-300), policy accept
 *             - to another than an external address                       -> accept
 *             - a tuple of the map offload_in: established sessions       -> a new destination,
 * accept
 *             - comes by the loopback interface                           -> accept
 *             - TCP or UDP, to a published port                           -> queue
 *             - ICMP 0, 3, 11, 12, 14                                     -> queue, bypass
 *               (bypass: without the daemon they reach the gateway itself, as they would without
 *               these rules)
 *   outbound  postrouting, priority 300, policy accept
 *             - leaves by another interface than the external one         -> inside
 *             - a tuple of the map offload_out                            -> a new source, accept
 *             - the hairpin mark is set                                   -> queue
 *             - from a shared source (every protocol: what cannot be translated must not leave with
 *               a private source)                                         -> queue
 *             - TCP, UDP or ICMP from the address of a forward's target   -> queue
 *             - ICMP 3, 11, 12                                            -> queue
 *   inside    by outbound
 *             - the hairpin mark is set                                   -> queue
 *             - TCP, UDP or ICMP from the address of a forward's target   -> queue
 *             - ICMP 3, 11, 12: the kernel's own about hairpins           -> queue, bypass
 *   own_out   output, priority -300: the gateway's own packets to a published port -> queue, bypass
 *   own_in    input, priority 300: from a forward's target to an external address -> queue, bypass
 *             The two together let the gateway reach its own forwards: it is a remote like any
 *             other, only that its packets never pass prerouting.
 *   defrag    without a hook, and never jumped to: a rule whose expression, by being there,
 * switches IPv4 defragmentation on, at no cost to any packet
 *
 * Addresses, prefixes and ports are in sets of the table, so that an update exchanges their
 * elements and leaves chains alone: packets that wait in the queues survive it (removing a base
 * chain would drop them, and so does installing again: net/netfilter/nf_queue.c,
 * nf_queue_nf_hook_drop). Sets: external, sources, targets, tcp_ports, udp_ports; and fixed ones,
 * protocols, icmp_inbound, icmp_errors. The maps are offload_maps.h's.
 *
 * Queues: the native `queue` expression where the kernel has it, else the xt target NFQUEUE
 * (revision 3) through nft_compat. More than one queue: balanced over [first_queue, first_queue +
 * queue_count).
 */
#ifndef PORTREEVE_RULESET_H
#define PORTREEVE_RULESET_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

#include <net/if.h>

struct ruleset_options {
    char external[IF_NAMESIZE];
    uint16_t first_queue, queue_count;
    uint32_t hairpin_mark;
    uint32_t offload_sessions; /* room in the maps of sessions that the kernel rewrites by itself;
                                  0: none */
};

/*
 * What the sets hold. IPv4 only. Arrays may be empty; ranges sorted and disjoint; prefixes may
 * overlap.
 */
struct ruleset_contents {
    const struct address *external; /* external addresses */
    size_t external_count;
    const struct prefix *sources; /* shared sources */
    size_t source_count;
    const struct address *targets; /* addresses that forwards deliver to; duplicates allowed */
    size_t target_count;
    struct {
        const struct port_range *ranges;
        size_t count;
    } published[PROTOCOL_PORTS_COUNT]; /* ports of forwards and pools */
};

struct ruleset;

/* A netlink socket in the caller's network namespace. */
int ruleset_open(struct ruleset **ruleset, struct error *error);
void ruleset_close(struct ruleset *ruleset); /* closes the socket; rules stay. NULL is fine */

/*
 * One batch: removes what an earlier run left, then installs everything. On failure nothing has
 * changed.
 */
int ruleset_install(struct ruleset *ruleset, const struct ruleset_options *options,
                    const struct ruleset_contents *contents, struct error *error);

/* One batch: the sets' new contents. On failure nothing has changed. */
int ruleset_update(struct ruleset *ruleset, const struct ruleset_contents *contents,
                   struct error *error);

/*
 * True when every rule that was installed is still there: other tools flush whole rulesets. Costs
 * one question while nobody changes nf_tables (its generation id tells), and a listing of our rules
 * after somebody did. When it cannot be told, true.
 */
bool ruleset_is_intact(struct ruleset *ruleset);

/* Removes the table. 0 also when it is not there. */
int ruleset_remove(struct ruleset *ruleset, struct error *error);

/*
 * After install: "queue" (native) or "NFQUEUE" (xt target), and the defragmentation expression or
 * "none".
 */
const char *ruleset_queue_expression(const struct ruleset *ruleset);
const char *ruleset_defrag_expression(const struct ruleset *ruleset);

/*
 * After install: whether there are maps of offloaded sessions. An older kernel cannot do it: then
 * everything is queued.
 */
bool ruleset_has_offload(const struct ruleset *ruleset);

/*
 * Packets and bytes that the kernel has rewritten by itself since the rules were installed, by enum
 * packet_hook.
 */
struct ruleset_hits {
    uint64_t packets[2], bytes[2];
};

int ruleset_read_hits(struct ruleset *ruleset, struct ruleset_hits *hits);

#endif
