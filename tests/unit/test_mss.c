/*
 * The MSS option of TCP's SYN, wherever it stands among the options.
 */
#include "support.h"

#include "mss.h"

#include <string.h>

/* A SYN with these options (padded to words), on its way in. */
static void make_syn(struct sample *sample, struct packet_view *view, const uint8_t *options,
                     size_t length)
{
    size_t padded = (length + 3) / 4 * 4;
    uint8_t *tcp;

    make_tcp(sample, REMOTE ":5000", "10.0.0.5:80", TCP_SYN);
    memset(sample->bytes + 40, 0, padded);
    memcpy(sample->bytes + 40, options, length);
    sample->packet.length = 40 + padded;
    put16(sample->bytes + 2, (uint32_t)sample->packet.length);
    tcp = sample->bytes + 20;
    tcp[12] = (uint8_t)((20 + padded) / 4 << 4);
    fix_checksums(sample->bytes);
    ck_assert_int_eq(packet_parse(&sample->packet, view), DROP_NONE);
}

/* The value at this offset among the options after clamping to 1400; the checksum must be right. */
static uint16_t clamped(const uint8_t *options, size_t length, size_t offset)
{
    struct packet_view view;
    struct sample sample;

    make_syn(&sample, &view, options, length);
    mss_clamp(&sample.packet, &view, 1400);
    ck_assert(l4_checksum_is_right(sample.bytes));
    return get16(sample.bytes + 40 + offset);
}

START_TEST(an_mss_above_the_limit_is_lowered_to_it)
{
    const uint8_t options[] = {2, 4, 1460 >> 8, 1460 & 255};

    ck_assert_uint_eq(clamped(options, sizeof(options), 2), 1400);
}
END_TEST

START_TEST(an_mss_below_the_limit_stays)
{
    const uint8_t options[] = {2, 4, 1300 >> 8, 1300 & 255};

    ck_assert_uint_eq(clamped(options, sizeof(options), 2), 1300);
}
END_TEST

START_TEST(an_mss_at_an_odd_offset_is_found_and_summed_right)
{
    const uint8_t options[] = {1, 2, 4, 0xff, 0xff, 1, 1, 1};

    ck_assert_uint_eq(clamped(options, sizeof(options), 3), 1400);
}
END_TEST

START_TEST(an_mss_at_the_very_end_is_found)
{
    const uint8_t even[] = {4, 2, 1, 1, 2, 4, 0xff, 0xff}, odd[] = {3, 3, 7, 2, 4, 0xff, 0xff, 0};

    ck_assert_uint_eq(clamped(even, sizeof(even), 6), 1400);
    ck_assert_uint_eq(clamped(odd, sizeof(odd), 5), 1400);
}
END_TEST

START_TEST(options_that_cannot_be_read_are_left_alone)
{
    const uint8_t cut[] = {1, 1, 1, 2}, zero[] = {8, 0, 2, 4, 0xff, 0xff, 0, 0},
                  wide[] = {2, 5, 0xff, 0xff, 0xff, 0, 0, 0}, beyond[] = {8, 40, 2, 4},
                  after_end[] = {0, 2, 4, 0xff, 0xff, 0, 0, 0};

    ck_assert_uint_eq(clamped(cut, sizeof(cut), 2), get16(cut + 2));
    ck_assert_uint_eq(clamped(zero, sizeof(zero), 4), 0xffff);
    ck_assert_uint_eq(clamped(wide, sizeof(wide), 2), 0xffff);
    ck_assert_uint_eq(clamped(beyond, sizeof(beyond), 2), get16(beyond + 2));
    ck_assert_uint_eq(clamped(after_end, sizeof(after_end), 3), 0xffff);
}
END_TEST

START_TEST(packets_without_syn_are_left_alone)
{
    const uint8_t options[] = {2, 4, 0xff, 0xff};
    struct packet_view view;
    struct sample sample;

    make_syn(&sample, &view, options, sizeof(options));
    sample.bytes[33] = TCP_ACK;
    fix_checksums(sample.bytes);
    ck_assert_int_eq(packet_parse(&sample.packet, &view), DROP_NONE);
    mss_clamp(&sample.packet, &view, 1400);
    ck_assert_uint_eq(get16(sample.bytes + 42), 0xffff);
}
END_TEST

/*
 * Whatever the options are, nothing but the value and the checksum changes, and the checksum stays
 * right.
 */
START_TEST(random_options_never_break_a_packet)
{
    struct chance chance = chance_new();

    for (int i = 0; i < 20000; i++) {
        uint8_t options[40];
        struct sample sample, before;
        struct packet_view view;
        size_t changed = 0, length = 4 * (size_t)chance_below(&chance, 11);

        chance_fill(&chance, options, sizeof(options));
        for (size_t at = 0; at < sizeof(options); at++) {
            if (chance_one_in(&chance, 3))
                options[at] = (uint8_t)chance_below(&chance, 5);
        }
        make_syn(&sample, &view, options, length);
        copy_sample(&before, &sample);
        mss_clamp(&sample.packet, &view, 1400);
        seeded(&chance, l4_checksum_is_right(sample.bytes));
        for (size_t at = 0; at < sample.packet.length; at++)
            changed += sample.bytes[at] != before.bytes[at];
        seeded(&chance, changed <= 4);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_mss_above_the_limit_is_lowered_to_it,
        an_mss_below_the_limit_stays,
        an_mss_at_an_odd_offset_is_found_and_summed_right,
        an_mss_at_the_very_end_is_found,
        options_that_cannot_be_read_are_left_alone,
        packets_without_syn_are_left_alone,
        random_options_never_break_a_packet,
    };

    return RUN_TESTS("mss", tests);
}
