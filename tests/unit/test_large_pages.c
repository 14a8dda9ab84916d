/*
 * test_large_pages.c - large pages change what memory costs, and nothing of what it holds
 */
#include "portreeve/large_pages.h"
#include "support.h"

#include <stdlib.h>

static uint8_t expected(size_t at)
{
    return (uint8_t)(at * 31 >> 3 ^ at >> 12);
}

static uint8_t *filled(size_t length)
{
    uint8_t *memory = malloc(length);

    ck_assert_ptr_nonnull(memory);
    for (size_t i = 0; i < length; i++)
        memory[i] = expected(i);
    return memory;
}

START_TEST(what_is_in_memory_stays_when_large_pages_are_put_below_it)
{
    const size_t length = 3 * LARGE_PAGE + 4711;
    uint8_t *memory = filled(length);

    large_pages_below(memory + 11, length - 22);
    for (size_t i = 0; i < length; i++)
        ck_assert_uint_eq(memory[i], expected(i));
    free(memory);
}
END_TEST

START_TEST(memory_that_no_large_page_fits_in_is_left_alone)
{
    uint8_t *memory = filled(LARGE_PAGE);

    large_pages_below(memory + 1, LARGE_PAGE - 2);
    large_pages_below(memory, 0);
    for (size_t i = 0; i < LARGE_PAGE; i++)
        ck_assert_uint_eq(memory[i], expected(i));
    free(memory);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_is_in_memory_stays_when_large_pages_are_put_below_it,
        memory_that_no_large_page_fits_in_is_left_alone,
    };

    return RUN_TESTS("large pages", tests);
}
