/*
 * test_hash.c - SipHash beside one written from its definition, and the random numbers made of it
 */
#include "hash.h"
#include "support.h"

#include <string.h>

static uint64_t left(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

/* Aumasson and Bernstein, "SipHash: a fast short-input PRF", figure 2.1. */
static void sip_rounds(uint64_t v[4], int rounds)
{
    for (; rounds > 0; rounds--) {
        v[0] += v[1];
        v[1] = left(v[1], 13) ^ v[0];
        v[0] = left(v[0], 32);
        v[2] += v[3];
        v[3] = left(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = left(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = left(v[1], 17) ^ v[2];
        v[2] = left(v[2], 32);
    }
}

/*
 * SipHash-c-d: the input, padded with zeros up to its length in the last byte, as little-endian
 * 64-bit words.
 */
static uint64_t siphash(int c, int d, const uint64_t key[2], const uint8_t *data, size_t length)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};

    for (size_t word = 0; word <= length / 8; word++) {
        uint64_t m = 0;

        for (size_t i = 0; i < 8; i++) {
            size_t at = word * 8 + i;
            uint64_t byte = at < length ? data[at] : 0;

            if (word == length / 8 && i == 7)
                byte = length % 256;
            m |= byte << (8 * i);
        }
        v[3] ^= m;
        sip_rounds(v, c);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    sip_rounds(v, d);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static const struct hash_key counting_key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

/* The paper's appendix A, so that the twin itself is anchored. */
START_TEST(the_twin_gives_the_value_of_the_siphash_paper)
{
    uint8_t data[15];

    for (uint8_t i = 0; i < 15; i++)
        data[i] = i;
    ck_assert_uint_eq(siphash(2, 4, counting_key.words, data, 15), 0xa129ca6149be45e5);
}
END_TEST

/* Of the vectors that other SipHash-1-3 implementations are tested with: key 00..0f, no input. */
START_TEST(siphash13_of_nothing_is_the_known_value)
{
    ck_assert_uint_eq(hash_bytes(&counting_key, "", 0), 0xabac0158050fc4dc);
}
END_TEST

START_TEST(every_length_hashes_as_the_twin)
{
    struct chance chance = chance_new();
    uint8_t data[300];

    for (size_t length = 0; length < sizeof(data); length++) {
        struct hash_key key = {{chance_next(&chance), chance_next(&chance)}};

        chance_fill(&chance, data, length);
        seeded(&chance, hash_bytes(&key, data, length) == siphash(1, 3, key.words, data, length));
    }
}
END_TEST

START_TEST(every_alignment_hashes_alike)
{
    uint8_t data[80];

    memset(data, 0x5a, sizeof(data));
    for (size_t offset = 1; offset < 9; offset++)
        ck_assert_uint_eq(hash_bytes(&counting_key, data + offset, 38),
                          hash_bytes(&counting_key, data, 38));
}
END_TEST

START_TEST(a_random_number_is_below_its_bound)
{
    static const uint32_t bounds[] = {1, 2, 3, 7, 64, 1000, 65535, 65536, 0x80000000, UINT32_MAX};
    struct random random = {counting_key, 0};

    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        for (int round = 0; round < 10000; round++)
            ck_assert_uint_lt(random_below(&random, bounds[i]), bounds[i]);
    }
}
END_TEST

/* 64 cells with 1000 draws each: a standard deviation is 31, and six of them are never seen. */
START_TEST(random_numbers_are_roughly_uniform)
{
    struct random random = {counting_key, 0};
    uint32_t cells[64] = {0};

    for (int i = 0; i < 64000; i++)
        cells[random_below(&random, 64)]++;
    for (int i = 0; i < 64; i++) {
        ck_assert_uint_gt(cells[i], 1000 - 190);
        ck_assert_uint_lt(cells[i], 1000 + 190);
    }
}
END_TEST

START_TEST(both_ends_of_a_range_are_drawn)
{
    struct random random = {counting_key, 0};
    bool first = false, last = false;

    for (int i = 0; i < 20000; i++) {
        uint32_t number = random_below(&random, 1000);

        first |= number == 0;
        last |= number == 999;
    }
    ck_assert(first && last);
}
END_TEST

START_TEST(the_stream_depends_on_the_key_alone)
{
    struct random one = {counting_key, 0}, same = {counting_key, 0}, other = {{{1, 2}}, 0};
    int equal = 0;

    for (int i = 0; i < 1000; i++) {
        uint32_t number = random_below(&one, 65536);

        ck_assert_uint_eq(number, random_below(&same, 65536));
        equal += number == random_below(&other, 65536);
    }
    ck_assert_int_lt(equal, 5);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_twin_gives_the_value_of_the_siphash_paper,
        siphash13_of_nothing_is_the_known_value,
        every_length_hashes_as_the_twin,
        every_alignment_hashes_alike,
        a_random_number_is_below_its_bound,
        random_numbers_are_roughly_uniform,
        both_ends_of_a_range_are_drawn,
        the_stream_depends_on_the_key_alone,
    };

    return RUN_TESTS("hash", tests);
}
