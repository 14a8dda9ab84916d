/*
 * ruleset.h - the daemon's nf_tables rules: table `ip portreeve`, installed, updated and removed
 * atomically
 *
 * Chains
 *
 *   inbound   prerouting, priority raw (-300), policy accept
 *             - not to an external address                                -> direct
 *             - a tuple of the map offload_in: offloaded sessions         -> new destination,
 * accept
 *             - arrives by the loopback interface                         -> accept
 *             - TCP or UDP, to a published port that is no bound one, and a connected socket of
 *               the gateway has it; an ICMP error about such a connection -> accept
 *             - by an external interface, from the source of a share or from the address of a
 *               forward's target                                          -> arrivals, and back
 *             - TCP or UDP, to a published port                           -> queue
 *             - ICMP 0, 3, 11, 12, 14                                     -> queue, bypass
 *               (bypass: without the daemon they reach the gateway itself, as they would without
 *               these rules)
 *   outbound  postrouting, priority 300, policy accept
 *             - does not leave by an external interface, by its index     -> inside
 *             - a tuple of the map offload_out: offloaded sessions        -> new source, accept
 *               (with several uplinks, a rule for each: its number is part of the key)
 *             - a tuple of the set transit                                -> queue
 *             - from the source of a share (every protocol: what cannot be translated must not
 *               leave with a private source)                              -> queue
 *             - from the address of a forward's target, a tuple of the set direct
 *                                                                         -> accept
 *             - TCP, UDP or ICMP from the address of a forward's target   -> queue
 *             - ICMP 3, 11, 12                                            -> queue
 *   inside    without a hook: packets from outbound
 *             - leaves by an interface with an external one's name, from the source of a share: the
 *               interface is new, and its index is not known yet          -> drop
 *             - leaves by another uplink, from the source of a share, to an address in none
 *                                                                         -> queue
 *             - from the address of a forward's target, to a client inside
 *                 - a tuple of the map offload_out                        -> new source, accept
 *                 - a tuple of the set answers                            -> queue
 *             - a tuple of the set transit                                -> queue
 *             - ICMP 3, 11, 12: errors of the kernel about hairpins       -> queue, bypass
 *   arrivals  without a hook: packets from inbound
 *             - TCP or UDP, to a published port, and the route to the source leads elsewhere: it is
 *               forged                                                    -> drop
 *   direct    without a hook: packets from inbound
 *             - the hairpin mark is set: the daemon has just rewritten it  -> its tuple, or that of
 *               its answers, into the sets transit and answers; accept
 *             - to a host of a closed share                               -> to_closed, and back
 *             - directly to the address of a forward's target, UDP or a SYN, and from outside or
 *               with the tuple of a session                               -> queue, bypass
 *             What the sets are for, and the other chains without a hook: ruleset_passes.c
 *   to_closed without a hook: packets from direct
 *             - arrives by an external interface, known by its index or by its name -> outsiders
 *   outsiders without a hook: packets from to_closed. Those of sessions never get here. Back to
 *             direct, if it is no outsider (see ruleset_closed.c); everything else  -> drop
 *   guard     nat chain, postrouting, priority 50, only after ruleset_guard_sources
 *             - leaves by an external interface, from the source of a share: its source stays, and
 *               no nat chain of another program decides about it
 *   no_flowtable  postrouting, priority 299, only after ruleset_set_flowtables
 *             - the first packet of a connection, from the source of a share or the address of a
 *               forward's target to the outside, or from there, or from a client inside by a
 *               forward: the connection gets a helper, and no flowtable takes it over; where
 *               there is no helper                                        -> drop
 *   own_out   output, priority -300: the gateway's own packets to a published port -> queue, bypass
 *   own_in    input, priority 300: from a forward's target to an external address -> queue, bypass;
 *             a tuple of the set transit                                -> queue
 *             These two chains let the gateway reach its own forwards. It is a remote host like any
 *             other, but its packets never pass prerouting.
 *   to_queue, to_queue_bypass    without a hook: what the rules above queue
 *             - UDP of more than 65531 bytes, a tuple of the map oversize_in or oversize_out
 *               (oversize.h)              -> new destination, or new source; accept
 *             - UDP                       -> the queues from queue_first_udp(first_queue) on
 *             - all other packets       -> the queues from first_queue on
 *   defrag    without a hook, and no rule jumps to it: as long as its rule exists, the kernel
 *             reassembles IPv4 fragments. No packet passes it, so it costs nothing.
 *
 * Addresses, prefixes and ports are in sets of the table. An update only changes their elements,
 * and of those only what is not as it shall be (ruleset_elements.h), so packets that wait in the
 * queues are not lost. (The kernel drops them when a base chain is
 * removed, also when it is installed again: net/netfilter/nf_queue.c, nf_queue_nf_hook_drop.) The
 * sets are external, external_interfaces, external_names, uplink_0 and so on, sources, targets,
 * other_uplinks, closed, exempt, tcp_ports, udp_ports, tcp_bound and udp_bound; protocols,
 * icmp_inbound and icmp_errors never change. offload_maps.h fills the maps.
 *
 * Connected sockets. The `socket` expression (net/netfilter/nft_socket.c) finds the socket that
 * would get the packet. Its key `wildcard` (Linux 5.10) tells sockets without a local address from
 * those that have one, which are the connected ones and those that are bound to one address. The
 * latter would take the packets of forwards and mappings too, so their ports are the bound ones.
 * The rule comes after the lookup of offloaded sessions, which are not slowed down.
 *
 * Queues: the native `queue` expression if the kernel has it, otherwise the xt target NFQUEUE
 * (revision 3) through nft_compat. Several queues are balanced over [first_queue, first_queue +
 * queue_count), and for UDP over as many numbers from queue_first_udp(first_queue) on.
 */
#ifndef PORTREEVE_RULESET_H
#define PORTREEVE_RULESET_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"
#include "portreeve/interface.h"

/*
 * The table belongs to our netlink socket where the kernel allows it: then other programs can
 * neither change nor remove it, and `nft flush ruleset` passes it by (NFT_TABLE_F_OWNER, Linux
 * 5.12). What becomes of it when the last copy of the socket is closed is chosen here.
 */
enum ruleset_life {
    RULESET_SHARED,           /* no owner: it stays, and everyone may change it */
    RULESET_ENDS_WITH_SOCKET, /* the kernel removes it */
    RULESET_OUTLIVES_SOCKET,  /* it stays, and the next start owns it (NFT_TABLE_F_PERSIST, 6.9) */
};

/* So many external interfaces, at most. */
#define RULESET_UPLINKS_MAX 8

struct ruleset_options {
    enum ruleset_life life; /* what the kernel cannot do becomes RULESET_SHARED */
    uint16_t first_queue, queue_count;
    uint32_t hairpin_mark;
    struct {
        uint32_t transitory, established, udp; /* TCP, TCP, UDP */
    } answers;                 /* how long a session may wait for its next packet, seconds */
    uint32_t offload_sessions; /* room in the maps of offloaded sessions; 0: no offload */
};

struct address_range {
    struct address first, last; /* both included; first <= last */
};

/*
 * What the sets contain. IPv4 only. Arrays may be empty. Ranges are sorted and do not overlap;
 * prefixes may overlap.
 */
struct ruleset_contents {
    const struct address *external; /* external addresses */
    size_t external_count;
    /*
     * The external interfaces: their indexes tell which packets leave by one, whatever it is called
     * now. Their names close the time between the creation of an interface and the update that says
     * its index. An index of 0 and an empty name are left out. The place of an uplink in the list
     * is its number (struct offload_flow).
     */
    const struct interface *interfaces;
    size_t interface_count;
    size_t uplink_count; /* how many of the first ones are uplinks; the same in every update */
    const struct prefix *sources; /* the sources of all shares */
    size_t source_count;
    const struct address *targets; /* addresses that forwards lead to; duplicates are allowed */
    size_t target_count;
    /* indexes of interfaces that lead outside and are not external */
    const uint32_t *other_uplinks;
    size_t other_uplink_count;
    /*
     * Hosts of shares: what comes from outside for them and belongs to no session is dropped,
     * unless the sender is exempt.
     */
    const struct address_range *closed;
    size_t closed_count;
    const struct prefix *exempt;
    size_t exempt_count;
    /*
     * TCP connections that one outside address may begin per second; 0: no limit. A kernel without
     * nft_limit has none.
     */
    uint32_t new_per_remote;
    struct {
        const struct port_range *ranges;
        size_t count;
    } published[PROTOCOL_PORTS_COUNT], /* ports of forwards and pools */
        bound[PROTOCOL_PORTS_COUNT];   /* with a socket that is bound to one address, but not
                                          connected */
};

struct ruleset;

/*
 * Opens a netlink socket in the caller's network namespace. If `descriptor` is not negative, it is
 * the socket of an earlier run (ruleset_descriptor): that is taken over, and closed on failure.
 * Returns 0, or -errno and a sentence, as all functions here that take an error.
 */
int ruleset_open(struct ruleset **ruleset, int descriptor, struct error *error);
void ruleset_close(struct ruleset *ruleset); /* closes the socket. NULL is fine */

/* The socket that the table belongs to; a copy of it keeps the table. */
int ruleset_descriptor(const struct ruleset *ruleset);

/*
 * In one batch: installs everything, in the chains and sets that an earlier run has left, so that
 * no packet passes in between. If those are different ones, it removes them first. On failure
 * nothing has changed. -EPERM, without a lack of privilege: the table belongs to another socket.
 */
int ruleset_install(struct ruleset *ruleset, const struct ruleset_options *options,
                    const struct ruleset_contents *contents, struct error *error);

/* In one batch: changes the contents of the sets. On failure nothing has changed. */
int ruleset_update(struct ruleset *ruleset, const struct ruleset_contents *contents,
                   struct error *error);

/*
 * After install: a descriptor to poll for reading if other programs can change the table, otherwise
 * -1. When it is readable, ruleset_was_changed says whether one of them has: then install it again.
 */
int ruleset_watch_descriptor(const struct ruleset *ruleset);
bool ruleset_was_changed(struct ruleset *ruleset);

/* After install: "owned", "owned, persistent" or "watched". */
const char *ruleset_protection(const struct ruleset *ruleset);

/*
 * After install: whether nat rules of other programs are kept off what leaves by an external
 * interface from the source of a share, by a rule of ours that comes before them. It costs
 * connection tracking, which such a rule has switched on already. Later installs keep it.
 */
int ruleset_guard_sources(struct ruleset *ruleset, bool on, struct error *error);

/* What becomes of connections that are translated, beside other programs' flowtables. */
enum ruleset_flowtables {
    FLOWTABLES_IGNORED,
    FLOWTABLES_AVOIDED, /* they are kept out of them */
    FLOWTABLES_CLOSED,  /* there are none: their first packets are dropped, and counted */
};

/*
 * After install: sets it (ruleset_flowtables.c). It costs connection tracking, which a flowtable
 * has switched on already. Later installs keep it, also if an earlier run has left it. What is said
 * of AVOIDED and CLOSED is not true of connections that are older: see tracked.h. AVOIDED needs a
 * kernel with CONFIG_NF_CT_NETLINK_HELPER, and CAP_NET_ADMIN in the initial user namespace. The
 * change to IGNORED may cost the packets that wait in the queues at that moment; it returns 1 as
 * long as the kernel still uses the helper: call it again a moment later. Somebody else may use it,
 * so not for ever.
 */
int ruleset_set_flowtables(struct ruleset *ruleset, enum ruleset_flowtables wanted,
                           struct error *error);
enum ruleset_flowtables ruleset_get_flowtables(const struct ruleset *ruleset);

/* Removes the table. Returns 0 also if there is none. */
int ruleset_remove(struct ruleset *ruleset, struct error *error);

/*
 * After install: "queue" (native) or "NFQUEUE" (xt target), and the defragmentation expression or
 * "none".
 */
const char *ruleset_queue_expression(const struct ruleset *ruleset);
const char *ruleset_defrag_expression(const struct ruleset *ruleset);

/*
 * After install: whether connected sockets of the gateway are asked first. An older kernel cannot.
 */
bool ruleset_asks_sockets(const struct ruleset *ruleset);

/*
 * After install: whether packets from outside that forge an inside source are dropped by the rules,
 * and those of no session to a closed share. A kernel without nft_fib cannot tell them from those
 * of a one-armed gateway's inside.
 */
bool ruleset_checks_sources(const struct ruleset *ruleset);

/*
 * After install: whether there are maps of offloaded sessions. An older kernel cannot create them;
 * then every packet is queued.
 */
bool ruleset_has_offload(const struct ruleset *ruleset);

/*
 * Packets and bytes that the kernel has rewritten since the rules were installed, by enum
 * packet_hook.
 */
struct ruleset_hits {
    uint64_t packets[2], bytes[2];
    uint64_t refused; /* packets from outside to a closed share, of no session */
    uint64_t forged;  /* packets from an inside address that is reached another way */
    uint64_t dropped; /* packets to an external interface that was not known yet */
    uint64_t closed;  /* packets of connections beside a flowtable (FLOWTABLES_CLOSED) */
    uint64_t limited; /* first packets over ruleset_contents.new_per_remote */
};

int ruleset_read_hits(struct ruleset *ruleset, struct ruleset_hits *hits);

#endif
