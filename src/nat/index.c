/*
 * index.c - an open-addressing index with a cache line for each bucket
 */
#include "index.h"
#include "wheel.h"

#include <stdlib.h>
#include <string.h>

#define EMPTY UINT32_MAX /* no tag has all bits set */

bool index_init(struct index *index, uint32_t entries, uint32_t nodes)
{
    uint64_t room = (uint64_t)entries * 100 / 97;

    *index = (struct index){.lines = (uint32_t)(room / INDEX_LINE_ENTRIES) + 1};
    while (nodes >> index->node_bits != 0)
        index->node_bits++;
    index->line = aligned_alloc(sizeof(struct index_line), index_memory(index));
    if (index->line == NULL)
        return false;
    for (uint32_t i = 0; i < index->lines; i++) {
        memset(index->line[i].entry, 0xff, sizeof(index->line[i].entry));
        index->line[i].passed = 0;
    }
    return true;
}

void index_fini(struct index *index)
{
    free(index->line);
}

size_t index_memory(const struct index *index)
{
    return index->lines * sizeof(struct index_line);
}

/* The line comes from the upper half of the hash, the tag from the lower. */
static uint32_t home_of(const struct index *index, uint64_t hash)
{
    return (uint32_t)((hash >> 32) * index->lines >> 32);
}

/* As many bits as nodes leave, but not all of them set, as EMPTY has. */
static uint32_t tag_of(const struct index *index, uint64_t hash)
{
    uint32_t mask = UINT32_MAX >> index->node_bits, tag = (uint32_t)hash & mask;

    return tag == mask ? 0 : tag;
}

static uint32_t entry_of(const struct index *index, uint64_t hash, uint32_t node)
{
    return tag_of(index, hash) << index->node_bits | node;
}

static uint32_t line_after(const struct index *index, uint32_t line)
{
    return line + 1 < index->lines ? line + 1 : 0;
}

/* Where in the line this entry is, or INDEX_LINE_ENTRIES. */
static uint32_t position(const struct index_line *line, uint32_t entry)
{
    uint32_t at = 0;

    while (at < INDEX_LINE_ENTRIES && line->entry[at] != entry)
        at++;
    return at;
}

void index_add(struct index *index, uint64_t hash, uint32_t node)
{
    uint32_t line = home_of(index, hash), at;

    while ((at = position(&index->line[line], EMPTY)) == INDEX_LINE_ENTRIES) {
        index->line[line].passed++;
        line = line_after(index, line);
    }
    index->line[line].entry[at] = entry_of(index, hash, node);
}

void index_remove(struct index *index, uint64_t hash, uint32_t node)
{
    uint32_t line = home_of(index, hash), entry = entry_of(index, hash, node), at;

    while ((at = position(&index->line[line], entry)) == INDEX_LINE_ENTRIES) {
        index->line[line].passed--;
        line = line_after(index, line);
    }
    index->line[line].entry[at] = EMPTY;
}

void index_replace(struct index *index, uint64_t hash, uint32_t node, uint32_t successor)
{
    uint32_t line = home_of(index, hash), entry = entry_of(index, hash, node), at;

    while ((at = position(&index->line[line], entry)) == INDEX_LINE_ENTRIES)
        line = line_after(index, line);
    index->line[line].entry[at] = entry_of(index, hash, successor);
}

/*
 * All fifteen are compared: a loop that ended at the first match would be mispredicted each time.
 */
static uint32_t matches_of(const struct index *index, uint32_t line, uint32_t tag)
{
    const uint32_t *entry = index->line[line].entry;
    uint32_t matches = 0;

    for (unsigned at = 0; at < INDEX_LINE_ENTRIES; at++)
        matches |= (uint32_t)(entry[at] >> index->node_bits == tag) << at;
    return matches;
}

struct index_search index_search(const struct index *index, uint64_t hash)
{
    struct index_search search = {.line = home_of(index, hash), .tag = tag_of(index, hash)};

    search.matches = matches_of(index, search.line, search.tag);
    return search;
}

uint32_t index_next(const struct index *index, struct index_search *search)
{
    uint32_t entry;

    while (search->matches == 0) {
        if (index->line[search->line].passed == 0)
            return INDEX_NONE;
        search->line = line_after(index, search->line);
        search->matches = matches_of(index, search->line, search->tag);
    }
    entry = index->line[search->line].entry[__builtin_ctz(search->matches)];
    search->matches &= search->matches - 1;
    return entry & ((UINT32_C(1) << index->node_bits) - 1);
}

void index_prefetch(const struct index *index, uint64_t hash)
{
    __builtin_prefetch(&index->line[home_of(index, hash)]);
}
