/*
 * index.h - the one hash index: sessions by their keys, mappings and hosts by theirs
 *
 * Theory of operation
 *
 * A line is one cache line of fifteen entries. An entry is a node (a number whose meaning the owner
 * knows) and, in the bits that nodes do not need, a tag of its key's hash. So a lookup reads one
 * line, and then only the nodes with the same tag: usually the right one and no other. Where a line
 * is full, a key is put into the next one with room, and each line that it passed counts it. A
 * lookup continues to the next line only if this count is not zero, and a removal leaves no trace.
 *
 * Invariants
 *   - No two entries have the same key. Where several things have one key, one of them is in the
 *     index and the others are chained to it. Equal keys would fill line after line, and a sender
 *     from one port to many could cause that.
 *   - There is room for all nodes, at a load of at most 97 %. So adding never fails and never
 *     rehashes.
 *
 * Rejected: chains through the elements. Each step of a chain is a cache line of another element,
 * and the links of four keys alone took 16 bytes per session.
 */
#ifndef PORTREEVE_INDEX_H
#define PORTREEVE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_LINE_ENTRIES 15

struct index_line {
    _Alignas(64) uint32_t entry[INDEX_LINE_ENTRIES];
    /* keys that hashed to this line or one before it, and are in one after it */
    uint32_t passed;
};

_Static_assert(sizeof(struct index_line) == 64, "a line is a cache line");

struct index {
    struct index_line *line;
    uint32_t lines;
    unsigned node_bits;
};

/* Allocates an index of up to `entries` entries with nodes below `nodes`. False without memory. */
bool index_init(struct index *index, uint32_t entries, uint32_t nodes);
void index_fini(struct index *index);

/* Bytes of the index. */
size_t index_memory(const struct index *index);

void index_add(struct index *index, uint64_t hash, uint32_t node);

/* The entry must be there. */
void index_remove(struct index *index, uint64_t hash, uint32_t node);
void index_replace(struct index *index, uint64_t hash, uint32_t node, uint32_t successor);

/* A walk over the nodes whose keys may have this hash. */
struct index_search {
    uint32_t line;
    uint32_t tag;
    uint32_t matches; /* of the line: the entries with this tag that have not been given yet, a bit
                         each */
};

struct index_search index_search(const struct index *index, uint64_t hash);

/* The next node, or INDEX_NONE (wheel.h). */
uint32_t index_next(const struct index *index, struct index_search *search);

/* Hints that this hash will be searched soon. */
void index_prefetch(const struct index *index, uint64_t hash);

#endif
