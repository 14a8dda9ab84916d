/*
 * hash.c - SipHash-1-3 and the numbers made with it
 */
#include "hash.h"

#include <string.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t length)
{
    const uint8_t *byte = data;
    uint64_t last = (uint64_t)length << 56, word;
    struct sip s = {
        .v0 = key->words[0] ^ 0x736f6d6570736575,
        .v1 = key->words[1] ^ 0x646f72616e646f6d,
        .v2 = key->words[0] ^ 0x6c7967656e657261,
        .v3 = key->words[1] ^ 0x7465646279746573,
    };

    for (; length >= 8; length -= 8, byte += 8) {
        memcpy(&word, byte, 8);
        s.v3 ^= word;
        sip_round(&s);
        s.v0 ^= word;
    }
    word = 0;
    memcpy(&word, byte, length);
    last |= word;
    s.v3 ^= last;
    sip_round(&s);
    s.v0 ^= last;

    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint32_t random_below(struct random *random, uint32_t bound)
{
    uint64_t value = hash_bytes(&random->key, &random->counter, sizeof(random->counter));

    random->counter++;
    /*
     * Scales instead of dividing; the bias is below bound / 2^32, too little for anyone to measure
     * in ports.
     */
    return (uint32_t)(((value & 0xffffffff) * bound) >> 32);
}
