/*
 * large_pages.h - pages of 2 MiB for the translation table
 *
 * A lookup among a million sessions reads two lines somewhere in 150 MB. With pages of 4 KiB, what
 * tells where those lines are (37,000 page table entries) doesn't fit the caches either, and is a
 * third of what a lookup pays for the table's size.
 */
#ifndef PORTREEVE_LARGE_PAGES_H
#define PORTREEVE_LARGE_PAGES_H

#include <stddef.h>

#define LARGE_PAGE ((size_t)2 << 20)

/*
 * Has the kernel put large pages below as much of this memory as whole ones fit in, now, contents
 * and all. It should have been written to before: what was not is not there to be collected. Memory
 * that is a file's must be mapped at an address that is as far from a multiple of LARGE_PAGE as the
 * file's offset is. Where it can't be done (Linux before 6.1, no free large page), all stays as it
 * is: it costs time, not correctness, and needs no message. For nat_each_array: a table that is
 * complete, and that nobody else uses yet.
 */
void large_pages_below(void *start, size_t length);

#endif
