/*
 * seal.h - a check value in each session and lease, so that a damaged file yields none that never
 * existed
 *
 * It is over what makes a session the one that it is, and never changes while it lives: its tuples,
 * protocol, direction, id and when it was made. So it is written when a session is opened, and when
 * its roles change, and no packet has to update it. What packets do change (state, times, counters)
 * is checked for what it may be (adopt.c): damage there ends a session too early or too late.
 *
 * Each word is mixed in by steps that can be undone, so that two values that differ in one word
 * give two different sums of 64 bits. Of the sum, 16 bits are stored: of 65536 damaged slots, one
 * passes. It is no protection against somebody who may write the file.
 *
 * Rejected: a sum of all of the slot. Each packet would have to compute it.
 */
#ifndef PORTREEVE_SEAL_H
#define PORTREEVE_SEAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SEAL_FACTOR UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */

static inline uint64_t seal_word(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * SEAL_FACTOR;
    return sum ^ sum >> 32;
}

/* `words` of eight bytes each. */
static inline uint64_t seal_words(uint64_t sum, const void *bytes, size_t words)
{
    uint64_t word;

    for (size_t i = 0; i < words; i++) {
        memcpy(&word, (const uint8_t *)bytes + i * sizeof(word), sizeof(word));
        sum = seal_word(sum, word);
    }
    return sum;
}

static inline uint16_t seal_end(uint64_t sum)
{
    return (uint16_t)(sum * SEAL_FACTOR >> 48);
}

#endif
