/*
 * large_pages.h - pages of 2 MiB for the translation table
 *
 * A lookup among a million sessions reads two cache lines somewhere in 150 MB. With pages of 4 KiB,
 * the 37,000 page table entries for this memory do not fit into the caches either, and reading them
 * is a third of what a lookup costs because of the table's size.
 */
#ifndef PORTREEVE_LARGE_PAGES_H
#define PORTREEVE_LARGE_PAGES_H

#include <stddef.h>

#define LARGE_PAGE ((size_t)2 << 20)

/*
 * Asks the kernel to replace the pages of this memory by large pages at once, as far as whole large
 * pages fit, and to keep the contents. The memory must have been written before: the kernel can
 * only collect pages that exist. Memory of a file must be mapped at an address with the same
 * distance from a multiple of LARGE_PAGE as the offset in the file. If it is not possible (Linux
 * before 6.1, no free large page), nothing changes: that costs time, not correctness, and needs no
 * message. For nat_each_array. A packet that needs a page which is just then copied waits for half
 * a millisecond, so it can be called when the workers are at work.
 */
void large_pages_below(void *start, size_t length);

#endif
