/*
 * neighbours.h - what other programs' nf_tables rules do that is in our way
 *
 * Two things are looked for, in every table but our own:
 *   - flowtables: the packets of the connections that they have taken over pass none of our hooks
 *     (net/netfilter/nf_flow_table_ip.c). Their interfaces are those that packets arrive by; these
 *     may leave by any other, so every flowtable of IPv4 counts that has an interface;
 *   - rules that give packets to the outside another source (masquerade, snat) before our hook
 * does, by nft or by iptables-nft, in chains that a nat hook in postrouting leads to.
 *
 * A rule counts unless its own matches exclude our packets: an interface by name or index, a source
 * prefix, a family. What cannot be told (a set, a verdict map, an xt match) does not exclude them.
 * Rules of iptables-legacy are not in nf_tables and are not found.
 */
#ifndef PORTREEVE_NEIGHBOURS_H
#define PORTREEVE_NEIGHBOURS_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

#include <net/if.h>

enum neighbour_kind {
    NEIGHBOUR_FLOWTABLE,
    NEIGHBOUR_SOURCE_NAT,
};

#define NEIGHBOUR_NAME_MAX 64

/* Names are cut to what fits; they are another program's, so print them with care. */
struct neighbour {
    enum neighbour_kind kind;
    uint8_t family; /* NFPROTO_ */
    char table[NEIGHBOUR_NAME_MAX];
    char name[NEIGHBOUR_NAME_MAX]; /* of the flowtable, or of the chain */
};

/* What is ours. */
struct neighbour_scope {
    const char *interface; /* the external one */
    uint32_t interface_index;
    const struct prefix *sources; /* whose packets we translate; IPv4 */
    size_t source_count;
};

/* As nft writes the family of its table: ip, inet or netdev. */
const char *neighbour_family(const struct neighbour *neighbour);

typedef void neighbour_found(void *context, const struct neighbour *neighbour);

struct neighbours;

/* Opens a socket in the caller's network namespace. Returns 0, or -errno and a sentence. */
int neighbours_open(struct neighbours **neighbours, struct error *error);
void neighbours_close(struct neighbours *neighbours); /* NULL is fine */

/* A descriptor to poll for reading: when it is readable, ask what has changed. NULL: -1. */
int neighbours_descriptor(const struct neighbours *neighbours);

/*
 * True if other rules or chains, or flowtables, may have changed since the last call, or if that is
 * unknown; also the first time. It costs one system call. A large transaction may hide the news of
 * a flowtable behind those of elements, so look at flowtables now and then, too.
 */
bool neighbours_changed(struct neighbours *neighbours);
bool neighbours_flowtables_changed(struct neighbours *neighbours);

/* Reports each flowtable. Returns 0, or -errno and a sentence. */
int neighbours_read_flowtables(struct neighbours *neighbours, neighbour_found *found, void *context,
                               struct error *error);

/*
 * Reports each chain with a rule that changes sources, once. Returns 0, or -errno and a sentence.
 * It lists all rules of the host.
 */
int neighbours_read(struct neighbours *neighbours, const struct neighbour_scope *scope,
                    neighbour_found *found, void *context, struct error *error);

#endif
