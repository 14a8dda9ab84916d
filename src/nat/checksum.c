/*
 * checksum.c - one's complement sums (RFC 1071, RFC 1624)
 */
#include "checksum.h"

#include <string.h>

uint32_t checksum_add(uint32_t sum, const void *data, size_t length)
{
    const uint8_t *byte = data;
    uint64_t wide = sum, lane[4] = {0};
    uint32_t word;

    /*
     * Bulk: four sums that do not wait for each other. 2^32 words would be needed to overflow one.
     */
    for (; length >= 32; length -= 32, byte += 32) {
        uint32_t words[8];

        memcpy(words, byte, sizeof(words));
        for (int i = 0; i < 4; i++)
            lane[i] += (uint64_t)words[i] + words[i + 4];
    }
    for (int i = 0; i < 4; i++)
        wide += (lane[i] & 0xffffffff) + (lane[i] >> 32);
    for (; length >= 4; length -= 4, byte += 4) {
        memcpy(&word, byte, 4);
        wide += word;
    }
    if (length > 0) {
        word = 0; /* the missing bytes count as zeros, whatever the byte order */
        memcpy(&word, byte, length);
        wide += word;
    }
    wide = (wide & 0xffffffff) + (wide >> 32);
    wide = (wide & 0xffffffff) + (wide >> 32);
    /* Leave room at the top, so that callers can add more. */
    return (uint32_t)((wide & 0xffff) + (wide >> 16));
}

uint16_t checksum_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

uint16_t checksum_update(uint16_t checksum, const void *before, const void *after, size_t length)
{
    uint32_t sum = (uint16_t)~checksum;
    uint32_t old = checksum_add(0, before, length);

    sum += (uint16_t)~checksum_fold(old);
    sum += checksum_fold(checksum_add(0, after, length));
    return (uint16_t)~checksum_fold(sum);
}

uint32_t checksum_pseudo_ipv4(const uint8_t *ip, uint8_t protocol, uint16_t l4_length)
{
    const uint8_t rest[4] = {0, protocol, (uint8_t)(l4_length >> 8), (uint8_t)l4_length};

    return checksum_add(checksum_add(0, ip + 12, 8), rest, sizeof(rest));
}
