/*
 * test_checksum.c - the Internet checksum beside a word-by-word one
 */
#include "checksum.h"
#include "support.h"

#include <string.h>

/* A sum or checksum as the two bytes that lie in the packet. */
static uint16_t on_the_wire(uint16_t held)
{
    uint8_t bytes[2];

    memcpy(bytes, &held, 2);
    return get16(bytes);
}

static uint16_t held(uint16_t on_wire)
{
    uint8_t bytes[2];
    uint16_t value;

    put16(bytes, on_wire);
    memcpy(&value, bytes, 2);
    return value;
}

START_TEST(the_example_of_rfc1071_sums_to_ddf2)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    ck_assert_uint_eq(on_the_wire(checksum_fold(checksum_add(0, data, sizeof(data)))), 0xddf2);
}
END_TEST

START_TEST(every_length_sums_as_the_naive_one)
{
    struct chance chance = chance_new();
    static uint8_t data[2001];

    for (size_t length = 0; length <= 2000; length++) {
        chance_fill(&chance, data, length);
        seeded(&chance, on_the_wire(checksum_fold(checksum_add(0, data, length))) ==
                            naive_sum(data, length));
    }
}
END_TEST

START_TEST(every_alignment_sums_as_the_naive_one)
{
    struct chance chance = chance_new();
    static uint8_t data[80];

    chance_fill(&chance, data, sizeof(data));
    for (size_t offset = 0; offset < 8; offset++) {
        for (size_t length = 0; length < 64; length++)
            seeded(&chance, on_the_wire(checksum_fold(checksum_add(0, data + offset, length))) ==
                                naive_sum(data + offset, length));
    }
}
END_TEST

START_TEST(a_sum_may_be_split_anywhere_even)
{
    struct chance chance = chance_new();
    static uint8_t data[2000];

    for (int round = 0; round < 3000; round++) {
        size_t length = chance_below(&chance, 2001), at = 0;
        uint32_t sum = 0;

        chance_fill(&chance, data, length);
        while (at < length) {
            size_t part = chance_below(&chance, 200) * 2;

            if (part > length - at)
                part = length - at;
            sum = checksum_add(sum, data + at, part);
            at += part;
        }
        seeded(&chance, on_the_wire(checksum_fold(sum)) == naive_sum(data, length));
    }
}
END_TEST

START_TEST(a_long_sum_of_ones_does_not_overflow)
{
    static uint8_t data[65536];
    uint32_t sum = 0;

    memset(data, 0xff, sizeof(data));
    for (int i = 0; i < 1000; i++)
        sum = checksum_add(sum, data, sizeof(data));
    ck_assert_uint_eq(checksum_fold(sum), 0xffff);
    ck_assert_uint_eq(checksum_fold(UINT32_MAX), 0xffff);
}
END_TEST

START_TEST(zeros_sum_to_zero_and_ones_to_all_ones)
{
    static const uint8_t zeros[64], ones[2] = {0xff, 0xff};

    ck_assert_uint_eq(checksum_fold(checksum_add(0, zeros, sizeof(zeros))), 0);
    ck_assert_uint_eq(checksum_fold(checksum_add(0, ones, sizeof(ones))), 0xffff);
    ck_assert_uint_eq(checksum_fold(checksum_add(0, zeros, 0)), 0);
}
END_TEST

/*
 * RFC 1624 section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285; equation 3 gives 0x0000, the first one
 * 0xFFFF.
 */
START_TEST(the_example_of_rfc1624_updates_to_zero)
{
    static const uint8_t before[2] = {0x55, 0x55}, after[2] = {0x32, 0x85};

    ck_assert_uint_eq(on_the_wire(checksum_update(held(0xdd2f), before, after, 2)), 0x0000);
}
END_TEST

static uint16_t checksum_over(const uint8_t *data, size_t length)
{
    return (uint16_t)~naive_sum(data, length);
}

START_TEST(an_update_equals_a_new_checksum)
{
    struct chance chance = chance_new();

    for (int round = 0; round < 200000; round++) {
        uint8_t data[40], changed[16];
        size_t length = 2 + 2 * (size_t)chance_below(&chance, 8),
               at = 2 + 2 * (size_t)chance_below(&chance, 10);
        uint16_t checksum;

        chance_fill(&chance, data, sizeof(data));
        chance_fill(&chance, changed, sizeof(changed));
        if (chance_one_in(&chance, 4))
            memset(changed, chance_one_in(&chance, 2) ? 0xff : 0, length);
        if (chance_one_in(&chance, 4))
            memset(data + at, chance_one_in(&chance, 2) ? 0xff : 0, length);
        data[0] = 1; /* no packet is all zeros */
        checksum =
            checksum_update(held(checksum_over(data, sizeof(data))), data + at, changed, length);
        memcpy(data + at, changed, length);
        seeded(&chance, on_the_wire(checksum) == checksum_over(data, sizeof(data)));
    }
}
END_TEST

/*
 * Each checksum with the words where one's complement has two zeros: the update is the new checksum
 * exactly.
 */
START_TEST(an_update_never_picks_the_wrong_zero)
{
    static const uint16_t corners[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0xfffe, 0xffff};
    size_t count = sizeof(corners) / sizeof(corners[0]);

    for (uint32_t rest = 0; rest <= 0xffff; rest++) {
        for (size_t i = 0; i < count * count; i++) {
            uint8_t data[8] = {0x00, 0x45}, after[2]; /* an IP header is never all zeros */
            uint16_t updated;

            put16(data + 2, corners[i % count]);
            put16(data + 4, rest);
            put16(after, corners[i / count]);
            updated = checksum_update(held(checksum_over(data, 8)), data + 2, after, 2);
            memcpy(data + 2, after, 2);
            if (on_the_wire(updated) != checksum_over(data, 8))
                ck_abort_msg("rest %x, %x to %x", rest, corners[i % count], corners[i / count]);
        }
    }
}
END_TEST

START_TEST(an_update_to_the_same_bytes_changes_nothing)
{
    static const uint8_t word[4] = {0x12, 0x34, 0xff, 0xff};

    for (uint32_t checksum = 0; checksum < 0xffff; checksum++)
        ck_assert_uint_eq(checksum_update((uint16_t)checksum, word, word, 4), checksum);
}
END_TEST

START_TEST(the_pseudo_header_sums_addresses_protocol_and_length)
{
    struct chance chance = chance_new();

    for (int round = 0; round < 10000; round++) {
        uint8_t ip[20], pseudo[12];
        uint8_t protocol = (uint8_t)chance_next(&chance);
        uint16_t length = (uint16_t)chance_next(&chance);

        chance_fill(&chance, ip, sizeof(ip));
        memcpy(pseudo, ip + 12, 8);
        pseudo[8] = 0;
        pseudo[9] = protocol;
        put16(pseudo + 10, length);
        seeded(&chance, on_the_wire(checksum_fold(checksum_pseudo_ipv4(ip, protocol, length))) ==
                            naive_sum(pseudo, sizeof(pseudo)));
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_example_of_rfc1071_sums_to_ddf2,
        every_length_sums_as_the_naive_one,
        every_alignment_sums_as_the_naive_one,
        a_sum_may_be_split_anywhere_even,
        a_long_sum_of_ones_does_not_overflow,
        zeros_sum_to_zero_and_ones_to_all_ones,
        the_example_of_rfc1624_updates_to_zero,
        an_update_equals_a_new_checksum,
        an_update_never_picks_the_wrong_zero,
        an_update_to_the_same_bytes_changes_nothing,
        the_pseudo_header_sums_addresses_protocol_and_length,
    };

    return RUN_TESTS("checksum", tests);
}
