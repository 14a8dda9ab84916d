/*
 * large_pages.c - pages of 2 MiB for the translation table
 */
#include "portreeve/large_pages.h"

#include <stdint.h>

#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* since Linux 6.1, and glibc 2.37 */
#endif

void large_pages_below(void *start, size_t length)
{
    size_t before = -(uintptr_t)start & (LARGE_PAGE - 1);

    if (length >= before + LARGE_PAGE)
        madvise((uint8_t *)start + before, (length - before) & ~(LARGE_PAGE - 1), MADV_COLLAPSE);
}
