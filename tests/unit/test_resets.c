/*
 * test_resets.c - RSTs on their way through the translator: which ones end a connection, and that
 * the others change nothing
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define INTERNAL "10.0.0.5:4000"
#define SERVER   REMOTE ":443"

static struct gateway gateway;
static char external[32];

static void start(void)
{
    gateway_start(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT));
}

/* With the numbers of make_tcp each side expects 1001 and has a window of 65535. */
static void start_connected(void)
{
    start();
    snprintf(external, sizeof(external), "%s", tcp_connect(&gateway, INTERNAL, SERVER));
    ck_assert_int_eq(tcp_in(&gateway, SERVER, external, TCP_ACK), DROP_NONE);
}

static struct session_view session(void)
{
    struct session_view view;

    ck_assert(find_view(&gateway, INTERNAL, SERVER, &view));
    return view;
}

static void numbered(struct sample *sample, const char *from, const char *to, uint8_t flags,
                     uint32_t sequence, uint32_t acknowledgement)
{
    make_tcp(sample, from, to, flags);
    put32(sample->bytes + 24, sequence);
    put32(sample->bytes + 28, acknowledgement);
    fix_checksums(sample->bytes);
}

static void from_server(uint8_t flags, uint32_t sequence, uint32_t acknowledgement)
{
    struct sample sample;

    numbered(&sample, SERVER, external, flags, sequence, acknowledgement);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_REWRITTEN);
    ck_assert_str_eq(destination_of(&sample), INTERNAL);
    ck_assert_uint_eq(get32(sample.bytes + 24), sequence);
}

static void from_host(uint8_t flags, uint32_t sequence, uint32_t acknowledgement)
{
    struct sample sample;

    numbered(&sample, INTERNAL, SERVER, flags, sequence, acknowledgement);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), external);
}

START_TEST(rfc7857_2_2_a_flood_of_forged_resets_changes_neither_state_nor_timer)
{
    struct chance chance = chance_new();

    start_connected();
    gateway_wait(&gateway, 1000);
    for (uint32_t i = 0; i < 3000; i++) {
        from_server(TCP_RST, 1001 + 65535 + chance_below(&chance, UINT32_MAX - 65535), 0);
        from_host(TCP_RST | TCP_ACK, 1001 + 65535 + chance_below(&chance, UINT32_MAX - 65535),
                  1001);
    }
    seeded(&chance, session().state == STATE_ESTABLISHED && session().idle_ms == 1000);
    ck_assert_uint_eq(session().expires_in_ms, 7440000 - 1000);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_2_2_an_rst_within_the_window_is_kept_four_minutes)
{
    for (int side = 0; side < 2; side++) {
        start_connected();
        gateway_wait(&gateway, 1000);
        if (side == 0)
            from_server(TCP_RST, 1001 + 65534, 0);
        else
            from_host(TCP_RST, 1001, 0);
        ck_assert_int_eq(session().state, STATE_RESET);
        ck_assert_uint_eq(session().expires_in_ms, 240000);
        gateway_stop(&gateway);
    }
}
END_TEST

/*
 * It would say what the host expects next; then an RST with that very number would end the
 * connection.
 */
START_TEST(rfc5961_4_a_forged_syn_opens_no_door_for_a_forged_rst)
{
    static const uint8_t flags[] = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_SYN | TCP_PSH};

    for (size_t i = 0; i < sizeof(flags); i++) {
        start_connected();
        from_server(flags[i], 700000000, 1001);
        from_server(TCP_RST, 700000001, 0);
        ck_assert_int_eq(session().state, STATE_ESTABLISHED);
        gateway_stop(&gateway);
    }
}
END_TEST

START_TEST(rfc5961_4_a_forged_syn_does_not_make_a_true_rst_implausible)
{
    start_connected();
    from_server(TCP_SYN, 700000000, 1001);
    from_server(TCP_RST, 1001, 0);
    ck_assert_int_eq(session().state, STATE_RESET);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_refusal_ends_an_opening_connection_and_a_forged_one_does_not)
{
    start();
    snprintf(external, sizeof(external), "%s", tcp_out(&gateway, INTERNAL, SERVER, TCP_SYN));
    from_server(TCP_RST | TCP_ACK, 0, 1002);
    from_server(TCP_RST, 1001, 0);
    ck_assert_int_eq(session().state, STATE_OPENING);
    from_server(TCP_RST | TCP_ACK, 0, 1001);
    ck_assert_int_eq(session().state, STATE_CLOSED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_client_that_begins_anew_is_refused_by_its_new_number)
{
    start();
    snprintf(external, sizeof(external), "%s", tcp_out(&gateway, INTERNAL, SERVER, TCP_SYN));
    from_host(TCP_SYN, 88000, 0);
    from_server(TCP_RST | TCP_ACK, 0, 88001);
    ck_assert_int_eq(session().state, STATE_CLOSED);
    from_host(TCP_SYN, 99000, 0);
    ck_assert_int_eq(session().state, STATE_OPENING);
    from_server(TCP_RST | TCP_ACK, 0, 88001); /* of the last time */
    ck_assert_int_eq(session().state, STATE_OPENING);
    from_server(TCP_SYN | TCP_ACK, 5000, 99001);
    from_host(TCP_ACK, 99001, 5001);
    from_server(TCP_RST, 1001, 0);
    ck_assert_int_eq(session().state, STATE_ESTABLISHED);
    gateway_stop(&gateway);
}
END_TEST

/* A SYN with a window scale option, from the host. */
static void syn_with_scale(uint8_t shift)
{
    static const uint8_t header_length = 24;
    struct sample sample;

    make_tcp(&sample, INTERNAL, SERVER, TCP_SYN);
    put16(sample.bytes + 2, 20 + header_length);
    sample.packet.length = 20 + header_length;
    sample.bytes[32] = header_length / 4 << 4;
    memcpy(sample.bytes + 40, (const uint8_t[]){1, 3, 3, shift}, 4);
    fix_checksums(sample.bytes);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    snprintf(external, sizeof(external), "%s", source_of(&sample));
}

START_TEST(rfc7323_2_3_windows_are_scaled_by_at_most_14)
{
    static const uint8_t offered[] = {0, 7, 14, 15, 255}, used[] = {0, 7, 14, 14, 14};

    for (size_t i = 0; i < sizeof(offered); i++) {
        uint32_t window = UINT32_C(65535) << used[i];

        start();
        syn_with_scale(offered[i]);
        from_server(TCP_SYN | TCP_ACK, 1000, 1001);
        from_host(TCP_ACK, 1001, 1001);
        from_server(TCP_RST, 1001 + window, 0);
        ck_assert_int_eq(session().state, STATE_ESTABLISHED);
        from_server(TCP_RST, 1001 + window - 1, 0);
        ck_assert_int_eq(session().state, STATE_RESET);
        gateway_stop(&gateway);
    }
}
END_TEST

START_TEST(rfc5382_req2_a_simultaneous_open_is_reset_by_true_numbers_only)
{
    start();
    snprintf(external, sizeof(external), "%s", tcp_out(&gateway, INTERNAL, SERVER, TCP_SYN));
    from_server(TCP_SYN, 700000, 0);
    from_host(TCP_SYN | TCP_ACK, 1000, 700001);
    from_server(TCP_SYN | TCP_ACK, 700000, 1001);
    ck_assert_int_eq(session().state, STATE_ESTABLISHED);
    from_server(TCP_RST, 700000, 0);
    ck_assert_int_eq(session().state, STATE_ESTABLISHED);
    from_server(TCP_RST, 700001, 0);
    ck_assert_int_eq(session().state, STATE_RESET);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_forged_rst_does_not_reset_a_hairpin_either)
{
    struct session_view view;
    struct sample sample;
    char own[32];

    gateway_start(&gateway, lab_policy(FILTERING_ENDPOINT_INDEPENDENT));
    snprintf(own, sizeof(own), "%s", tcp_connect(&gateway, "10.0.0.6:80", SERVER));
    make_tcp(&sample, INTERNAL, own, TCP_SYN);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    snprintf(external, sizeof(external), "%s", source_of(&sample));
    make_tcp(&sample, "10.0.0.6:80", external, TCP_SYN | TCP_ACK);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    make_tcp(&sample, INTERNAL, own, TCP_ACK);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    numbered(&sample, "10.0.0.6:80", external, TCP_RST, 900000, 0);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), INTERNAL);
    ck_assert(find_view(&gateway, INTERNAL, own, &view));
    ck_assert_int_eq(view.state, STATE_ESTABLISHED);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc7857_2_2_a_flood_of_forged_resets_changes_neither_state_nor_timer,
        rfc7857_2_2_an_rst_within_the_window_is_kept_four_minutes,
        rfc5961_4_a_forged_syn_opens_no_door_for_a_forged_rst,
        rfc5961_4_a_forged_syn_does_not_make_a_true_rst_implausible,
        a_refusal_ends_an_opening_connection_and_a_forged_one_does_not,
        a_client_that_begins_anew_is_refused_by_its_new_number,
        rfc7323_2_3_windows_are_scaled_by_at_most_14,
        rfc5382_req2_a_simultaneous_open_is_reset_by_true_numbers_only,
        a_forged_rst_does_not_reset_a_hairpin_either,
    };

    return RUN_TESTS("resets", tests);
}
