/*
 * ruleset_elements.h - the elements of a set: what the kernel has in it, and what has to change
 *
 * Elements that stay are not touched. If they were removed and added again in one transaction, a
 * packet could meet neither: a lookup that began before the transaction takes effect only sees the
 * old ones, and those are removed before it ends (nf_tables_commit). Newer kernels repeat such a
 * lookup when the rules have changed meanwhile, Linux 6.1 does not.
 *
 * Internal to src/netfilter/ruleset_sets.c.
 */
#ifndef PORTREEVE_RULESET_ELEMENTS_H
#define PORTREEVE_RULESET_ELEMENTS_H

#include "ruleset_internal.h"

struct set_kind {
    const char *name;
    enum nft_type type;
    uint32_t width; /* of a key, in bytes */
    bool ranges;
    bool host_order; /* of the bytes of a key; names have it, too */
    /* the largest number of elements, if it is known: the kernel then uses a faster hash */
    uint32_t size;
};

struct range {
    uint32_t first, last; /* both included; in a plain set they are equal */
};

/* Adds elements to a set; existing ones are fine in a plain set. Sorted, without overlap. */
void elements_put(struct batch *batch, const struct set_kind *kind, const struct range *ranges,
                  size_t count);

/*
 * What makes a set contain exactly these ranges, which may overlap, in any order; they are sorted
 * and merged. `socket` reads what the kernel has; NULL: the set is new. Returns 0, or -ENOMEM and a
 * sentence.
 */
int elements_change(struct batch *batch, struct table_socket *socket, const struct set_kind *kind,
                    struct range *ranges, size_t count, struct error *error);

/* The same for a set of interface names; empty ones are left out. */
int elements_change_names(struct batch *batch, struct table_socket *socket,
                          const struct set_kind *kind, const struct interface *interfaces,
                          size_t count, struct error *error);

#endif
