/*
 * index.h - the one hash index: sessions by their keys, mappings and hosts by theirs
 *
 * Theory of operation
 *
 * A line is one cache line of fifteen entries. An entry is a node (a number that says what is
 * meant; the owner tells) and, in the bits that nodes leave free, a tag of its key's hash. So a
 * lookup reads one line, and then only what has the same tag: in the ordinary case what is sought,
 * and nothing else. Where a line is full, a key stands in the next that has room, and each line
 * that it passed counts it: a lookup goes on only from a line that somebody passed, and a removal
 * leaves no trace.
 *
 * Invariants
 *   - No two entries have the same key. Who has many things of one key indexes one of them, and
 *     chains the others to it: equal keys would fill line after line, and whoever can send from one
 *     port to many would choose them.
 *   - There is room for every node at once, at a load of at most 97 %; so adding never fails and
 *     never rehashes.
 *
 * Rejected: chains through the elements. Each step of a chain is a cache line of a stranger, and
 * the links of four keys alone took 16 bytes a session.
 */
#ifndef PORTREEVE_INDEX_H
#define PORTREEVE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_LINE_ENTRIES 15

struct index_line {
    _Alignas(64) uint32_t entry[INDEX_LINE_ENTRIES];
    /* keys that hashed to this line or one before it, and stand in one behind it */
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
