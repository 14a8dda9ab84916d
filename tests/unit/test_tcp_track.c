/*
 * test_tcp_track.c - which sequence numbers a connection has shown, and which RSTs are believed for
 * that (RFC 7857 section 2.2, RFC 5961 section 3); the options of a TCP header
 */
#include "support.h"
#include "tcp.h"

#include <stdio.h>
#include <string.h>

enum {
    SYN = TCP_SYN,
    SYN_ACK = TCP_SYN | TCP_ACK,
    ACK = TCP_ACK,
};

static void say(struct tcp_track *track, enum role from, uint8_t flags, uint32_t sequence,
                uint32_t acknowledgement, uint16_t window)
{
    const struct tcp_segment segment = {
        .sequence = sequence, .acknowledgement = acknowledgement, .window = window, .flags = flags};

    tcp_observe(track, &segment, from);
}

/*
 * Three packets: the initiator begins at `one`, the responder at `other`, with windows of 1000 and
 * 2000.
 */
static struct tcp_track shaken(uint32_t one, uint32_t other)
{
    struct tcp_track track = {0};

    say(&track, ROLE_INITIATOR, SYN, one, 0, 1000);
    say(&track, ROLE_RESPONDER, SYN_ACK, other, one + 1, 2000);
    say(&track, ROLE_INITIATOR, ACK, one + 1, other + 1, 1000);
    return track;
}

static bool believed(const struct tcp_track *track, enum role from, uint32_t sequence)
{
    const struct tcp_segment reset = {.sequence = sequence, .flags = TCP_RST};

    return tcp_reset_is_plausible(track, STATE_ESTABLISHED, &reset, from);
}

/* Exactly the `size` sequence numbers from `first` on are believed. */
static void assert_window(const struct tcp_track *track, enum role from, uint32_t first,
                          uint32_t size)
{
    ck_assert(believed(track, from, first) && believed(track, from, first + size - 1));
    ck_assert(!believed(track, from, first - 1) && !believed(track, from, first + size));
    ck_assert(!believed(track, from, first + UINT32_C(0x80000000)));
}

START_TEST(rfc7857_2_2_each_side_is_judged_by_what_the_other_has_acknowledged)
{
    struct tcp_track track = shaken(5000, 900000);

    assert_window(&track, ROLE_INITIATOR, 5001, 2000);
    assert_window(&track, ROLE_RESPONDER, 900001, 1000);
}
END_TEST

START_TEST(rfc9293_3_4_sequence_numbers_wrap_anywhere)
{
    for (uint32_t before = 0; before < 3000; before += 7) {
        struct tcp_track track = shaken(0 - before, UINT32_MAX - before);

        assert_window(&track, ROLE_INITIATOR, 1 - before, 2000);
        assert_window(&track, ROLE_RESPONDER, 0 - before, 1000);
        say(&track, ROLE_RESPONDER, ACK, 0 - before, 1501 - before, 500);
        assert_window(&track, ROLE_INITIATOR, 1501 - before, 500);
    }
}
END_TEST

START_TEST(rfc7857_2_2_random_resets_are_almost_never_believed)
{
    struct tcp_track track = shaken(5000, 900000);
    struct chance chance = chance_new();
    unsigned passed = 0;

    say(&track, ROLE_RESPONDER, ACK, 900001, 5001, 65535);
    for (int i = 0; i < 1000000; i++)
        passed += believed(&track, ROLE_INITIATOR, (uint32_t)chance_next(&chance));
    seeded(&chance, passed < 60); /* 15 of a million, on average */
}
END_TEST

START_TEST(rfc7323_2_2_a_window_is_scaled_but_never_that_of_a_syn)
{
    struct tcp_track track = {0};
    struct tcp_segment segment = {.sequence = 5000, .window = 100, .flags = SYN, .scale = 3};

    tcp_observe(&track, &segment, ROLE_INITIATOR);
    segment = (struct tcp_segment){
        .sequence = 9000, .acknowledgement = 5001, .window = 60000, .flags = SYN_ACK, .scale = 7};
    tcp_observe(&track, &segment, ROLE_RESPONDER);
    assert_window(&track, ROLE_INITIATOR, 5001, 60000);
    say(&track, ROLE_INITIATOR, ACK, 5001, 9001, 100);
    assert_window(&track, ROLE_RESPONDER, 9001, 800);
    say(&track, ROLE_RESPONDER, ACK, 9001, 5001, 500);
    assert_window(&track, ROLE_INITIATOR, 5001, 64000);
}
END_TEST

/* A zero window believes the next number alone (RFC 9293 section 3.10.7.4). */
START_TEST(a_closed_window_believes_one_number)
{
    struct tcp_track track = shaken(5000, 900000);

    say(&track, ROLE_RESPONDER, ACK, 900001, 6001, 0);
    assert_window(&track, ROLE_INITIATOR, 6001, 1);
}
END_TEST

START_TEST(old_and_repeated_and_overlapping_segments_do_not_take_back_what_was_said)
{
    struct tcp_track track = shaken(5000, 900000);

    say(&track, ROLE_RESPONDER, ACK, 900001, 7001, 300);
    say(&track, ROLE_RESPONDER, ACK, 900001, 6001, 60000); /* overtaken */
    assert_window(&track, ROLE_INITIATOR, 7001, 300);
    say(&track, ROLE_RESPONDER, SYN_ACK, 900000, 5001, 2000); /* a late copy */
    assert_window(&track, ROLE_INITIATOR, 7001, 300);
    say(&track, ROLE_RESPONDER, ACK, 899000, 7001, 400); /* repeats data, with a newer window */
    assert_window(&track, ROLE_INITIATOR, 7001, 400);
    say(&track, ROLE_INITIATOR, TCP_PSH, 5001, 0, 9); /* acknowledges nothing */
    assert_window(&track, ROLE_RESPONDER, 900001, 1000);
    say(&track, ROLE_RESPONDER, TCP_RST | ACK, 900001, 8001, 9);
    assert_window(&track, ROLE_INITIATOR, 7001, 400);
}
END_TEST

START_TEST(rfc5382_req2_both_sides_of_a_simultaneous_open_are_known)
{
    struct tcp_track track = {0};

    say(&track, ROLE_INITIATOR, SYN, 5000, 0, 1000);
    say(&track, ROLE_RESPONDER, SYN, 900000, 0, 2000);
    ck_assert(believed(&track, ROLE_INITIATOR, 5001) && believed(&track, ROLE_RESPONDER, 900001));
    ck_assert(!believed(&track, ROLE_INITIATOR, 5002) && !believed(&track, ROLE_RESPONDER, 900000));
    say(&track, ROLE_INITIATOR, SYN_ACK, 5000, 900001, 1000);
    say(&track, ROLE_RESPONDER, SYN_ACK, 900000, 5001, 2000);
    assert_window(&track, ROLE_INITIATOR, 5001, 2000);
    assert_window(&track, ROLE_RESPONDER, 900001, 1000);
}
END_TEST

START_TEST(rfc9293_3_5_2_a_refusal_must_acknowledge_the_syn)
{
    struct chance chance = chance_new();
    struct tcp_track track = {0};
    struct tcp_segment refusal = {.flags = TCP_RST};

    say(&track, ROLE_INITIATOR, SYN, UINT32_MAX, 0, 1000);
    ck_assert(!tcp_reset_is_plausible(&track, STATE_OPENING, &refusal,
                                      ROLE_RESPONDER)); /* 0, but no ACK */
    refusal.flags = TCP_RST | TCP_ACK;
    ck_assert(tcp_reset_is_plausible(&track, STATE_OPENING, &refusal, ROLE_RESPONDER));
    for (int i = 0; i < 100000; i++) {
        refusal.acknowledgement = 1 + chance_below(&chance, UINT32_MAX);
        seeded(&chance, !tcp_reset_is_plausible(&track, STATE_OPENING, &refusal, ROLE_RESPONDER));
    }
    refusal.sequence = 0; /* the initiator gives up by itself */
    ck_assert(tcp_reset_is_plausible(&track, STATE_OPENING, &refusal, ROLE_INITIATOR));
}
END_TEST

/* Options. */

/* Of a header with these options (a multiple of 4 bytes) the data of one, or NULL. */
static const uint8_t *option_of(const uint8_t *options, size_t length, uint8_t kind, uint8_t size)
{
    static uint8_t tcp[60];

    ck_assert(length <= 40 && length % 4 == 0);
    memset(tcp, 0xee, sizeof(tcp));
    tcp[12] = (uint8_t)((20 + length) / 4 << 4);
    memcpy(tcp + 20, options, length);
    return tcp_option(tcp, kind, size);
}
#define OPTION(kind, size, ...)                                                                    \
    option_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), kind, size)

START_TEST(an_option_is_found_wherever_it_stands)
{
    ck_assert_uint_eq(*OPTION(3, 3, 3, 3, 7, 0), 7);
    ck_assert_uint_eq(*OPTION(3, 3, 1, 3, 3, 7), 7);
    ck_assert_uint_eq(*OPTION(3, 3, 2, 4, 5, 180, 1, 3, 3, 8), 8);
    ck_assert_uint_eq(*OPTION(3, 3, 3, 3, 7, 3, 3, 9, 1, 1), 7); /* the first one counts */
    ck_assert_ptr_null(OPTION(3, 3, 1, 1, 1, 1));
    ck_assert_ptr_null(option_of((const uint8_t *)"", 0, 3, 3));
}
END_TEST

START_TEST(what_cannot_be_read_hides_what_is_behind_it)
{
    ck_assert_ptr_null(OPTION(3, 3, 0, 3, 3, 7));             /* the end of the list */
    ck_assert_ptr_null(OPTION(3, 3, 8, 0, 1, 1, 1, 3, 3, 7)); /* a length of 0 */
    ck_assert_ptr_null(OPTION(3, 3, 8, 1, 1, 1, 1, 3, 3, 7)); /* of 1 */
    ck_assert_ptr_null(OPTION(3, 3, 8, 9, 1, 1, 1, 3, 3, 7)); /* beyond the header */
    ck_assert_ptr_null(OPTION(3, 3, 1, 1, 3, 3));             /* cut off */
    ck_assert_ptr_null(OPTION(3, 3, 1, 1, 1, 3));
    ck_assert_ptr_null(OPTION(3, 3, 3, 4, 7, 7)); /* of another size */
}
END_TEST

/* Where the option's data is, found anew byte by byte; -1. */
static int naive_option(const uint8_t *options, int length, uint8_t kind, uint8_t size)
{
    int at = 0;

    while (at < length) {
        int step = options[at] == 1 ? 1 : at + 1 < length ? options[at + 1] : 0;

        if (options[at] == 0)
            return -1;
        if (options[at] != 1 && (step < 2 || at + step > length))
            return -1;
        if (options[at] == kind && kind != 1)
            return step == size ? at + 2 : -1;
        at += step;
    }
    return -1;
}

START_TEST(random_options_are_read_as_the_naive_twin_reads_them)
{
    static const uint8_t usual[] = {0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 8, 10, 40, 255};
    struct chance chance = chance_new();
    int found = 0;

    for (int round = 0; round < 200000; round++) {
        int length = 4 * (int)chance_below(&chance, 11), at;
        uint8_t tcp[60];

        for (size_t i = 20; i < sizeof(tcp); i++)
            tcp[i] = usual[chance_below(&chance, sizeof(usual))];
        tcp[12] = (uint8_t)((20 + length) / 4 << 4);
        at = naive_option(tcp + 20, length, 3, 3);
        seeded(&chance, tcp_option(tcp, 3, 3) == (at < 0 ? NULL : tcp + 20 + at));
        found += at >= 0;
    }
    seeded(&chance, found > 10000);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc7857_2_2_each_side_is_judged_by_what_the_other_has_acknowledged,
        rfc9293_3_4_sequence_numbers_wrap_anywhere,
        rfc7857_2_2_random_resets_are_almost_never_believed,
        rfc7323_2_2_a_window_is_scaled_but_never_that_of_a_syn,
        a_closed_window_believes_one_number,
        old_and_repeated_and_overlapping_segments_do_not_take_back_what_was_said,
        rfc5382_req2_both_sides_of_a_simultaneous_open_are_known,
        rfc9293_3_5_2_a_refusal_must_acknowledge_the_syn,
        an_option_is_found_wherever_it_stands,
        what_cannot_be_read_hides_what_is_behind_it,
        random_options_are_read_as_the_naive_twin_reads_them,
    };

    return RUN_TESTS("tcp track", tests);
}
