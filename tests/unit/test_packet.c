/*
 * test_packet.c - parsing packets strictly, rewriting them with every checksum
 */
#include "portreeve/packet.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

static enum drop_reason parse(const struct sample *sample, struct packet_view *view)
{
    return packet_parse(&sample->packet, view);
}

static enum drop_reason reason_of(const struct sample *sample)
{
    struct packet_view view;

    return parse(sample, &view);
}

static void give(const struct sample *sample, const char *source, const char *destination)
{
    struct endpoint from, to;
    struct packet_view view;

    ck_assert_int_eq(parse(sample, &view), DROP_NONE);
    if (source != NULL) {
        from = endpoint_of(source);
        packet_set_source(&sample->packet, &view, &from);
    }
    if (destination != NULL) {
        to = endpoint_of(destination);
        packet_set_destination(&sample->packet, &view, &to);
    }
    packet_finish(&sample->packet, &view);
}

static void assert_tuple(const struct packet_view *view, const char *source,
                         const char *destination)
{
    ck_assert_str_eq(endpoint_text(&view->tuple.source), source);
    ck_assert_str_eq(endpoint_text(&view->tuple.destination), destination);
    ck_assert_uint_eq(view->tuple.protocol, view->protocol);
    ck_assert_uint_eq(view->tuple.reserved, 0);
}

/* Parsing. */

START_TEST(a_udp_packet_parses)
{
    struct sample sample;
    struct packet_view view;

    make_udp(&sample, "10.0.0.5:4000", "198.51.100.9:53", 21);
    ck_assert_int_eq(parse(&sample, &view), DROP_NONE);
    assert_tuple(&view, "10.0.0.5:4000", "198.51.100.9:53");
    ck_assert_uint_eq(view.protocol, PROTOCOL_UDP);
    ck_assert_uint_eq(view.ip_header_length, 20);
    ck_assert_uint_eq(view.total_length, 49);
    ck_assert_uint_eq(view.l4_length, 29);
    ck_assert_ptr_eq(view.ip, sample.bytes);
    ck_assert_ptr_eq(view.l4, sample.bytes + 20);
    ck_assert(!view.is_icmp_error);
}
END_TEST

START_TEST(a_tcp_packet_parses_with_its_flags)
{
    struct sample sample;
    struct packet_view view;

    make_tcp(&sample, "10.0.0.5:4000", "198.51.100.9:443", TCP_SYN | TCP_ACK);
    ck_assert_int_eq(parse(&sample, &view), DROP_NONE);
    assert_tuple(&view, "10.0.0.5:4000", "198.51.100.9:443");
    ck_assert_uint_eq(view.tcp_flags, TCP_SYN | TCP_ACK);
}
END_TEST

START_TEST(the_id_of_a_query_is_the_port_of_the_side_that_asks)
{
    static const uint8_t requests[] = {ICMP_ECHO_REQUEST, ICMP_TIMESTAMP_REQUEST};
    static const uint8_t replies[] = {ICMP_ECHO_REPLY, ICMP_TIMESTAMP_REPLY};
    struct sample sample;
    struct packet_view view;

    for (int i = 0; i < 2; i++) {
        make_icmp_query(&sample, "10.0.0.5", REMOTE, requests[i], 777);
        ck_assert_int_eq(parse(&sample, &view), DROP_NONE);
        assert_tuple(&view, "10.0.0.5:777", REMOTE ":0");
        make_icmp_query(&sample, REMOTE, "10.0.0.5", replies[i], 777);
        ck_assert_int_eq(parse(&sample, &view), DROP_NONE);
        assert_tuple(&view, REMOTE ":0", "10.0.0.5:777");
        ck_assert_uint_eq(view.icmp_type, replies[i]);
        ck_assert(!view.is_icmp_error);
    }
}
END_TEST

START_TEST(icmp_errors_are_known_and_other_types_are_unsupported)
{
    struct sample sample;
    struct packet_view view;

    for (unsigned type = 0; type < 256; type++) {
        bool error = type == 3 || type == 11 || type == 12;
        bool query = type == 0 || type == 8 || type == 13 || type == 14;

        make_icmp_query(&sample, REMOTE, "10.0.0.5", (uint8_t)type, 1);
        sample.bytes[21] = 7;
        ck_assert_int_eq(parse(&sample, &view), error || query ? DROP_NONE : DROP_UNSUPPORTED_ICMP);
        ck_assert(view.is_icmp_error == error);
        ck_assert_uint_eq(view.icmp_type, type);
        ck_assert_uint_eq(view.icmp_code, 7);
    }
}
END_TEST

START_TEST(an_unknown_protocol_is_unsupported_but_its_addresses_are_known)
{
    struct sample sample;
    struct packet_view view;

    for (unsigned protocol = 0; protocol < 256; protocol++) {
        if (protocol == 1 || protocol == 6 || protocol == 17)
            continue;
        make_raw(&sample, "10.0.0.5", REMOTE, (uint8_t)protocol, 4);
        ck_assert_int_eq(parse(&sample, &view), DROP_UNSUPPORTED_PROTOCOL);
        assert_tuple(&view, "10.0.0.5:0", REMOTE ":0");
        ck_assert_ptr_eq(view.ip, sample.bytes);
    }
}
END_TEST

START_TEST(a_packet_that_is_cut_anywhere_is_malformed)
{
    struct sample sample;

    make_tcp(&sample, "10.0.0.5:4000", "198.51.100.9:443", TCP_ACK);
    for (size_t length = 0; length < 40; length++) {
        sample.packet.length = length;
        ck_assert_int_eq(reason_of(&sample), DROP_MALFORMED);
    }
}
END_TEST

/* The IP total length says that the L4 header is cut; the bytes are there. */
START_TEST(an_l4_header_that_is_cut_is_malformed)
{
    struct sample sample;

    for (uint32_t total = 0; total <= 60; total++) {
        make_tcp(&sample, "10.0.0.5:4000", "198.51.100.9:443", TCP_ACK);
        sample.packet.length = 60;
        put16(sample.bytes + 2, total);
        ck_assert_int_eq(reason_of(&sample), total < 40 ? DROP_MALFORMED : DROP_NONE);
        make_udp(&sample, "10.0.0.5:4000", "198.51.100.9:443", 0);
        sample.packet.length = 60;
        put16(sample.bytes + 2, total);
        ck_assert_int_eq(reason_of(&sample), total < 28 ? DROP_MALFORMED : DROP_NONE);
        make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_ECHO_REQUEST, 1);
        sample.packet.length = 60;
        put16(sample.bytes + 2, total);
        ck_assert_int_eq(reason_of(&sample), total < 28 ? DROP_MALFORMED : DROP_NONE);
    }
}
END_TEST

START_TEST(a_version_other_than_4_is_malformed)
{
    struct sample sample;

    for (unsigned version = 0; version < 16; version++) {
        make_udp(&sample, "10.0.0.5:4000", "198.51.100.9:53", 64);
        sample.bytes[0] = (uint8_t)(version << 4 | 5);
        ck_assert_int_eq(reason_of(&sample), version == 4 ? DROP_NONE : DROP_MALFORMED);
    }
}
END_TEST

START_TEST(a_short_ip_header_is_malformed)
{
    struct sample sample;

    for (unsigned words = 0; words < 5; words++) {
        make_udp(&sample, "10.0.0.5:4000", "198.51.100.9:53", 64);
        sample.bytes[0] = (uint8_t)(0x40 | words);
        ck_assert_int_eq(reason_of(&sample), DROP_MALFORMED);
    }
}
END_TEST

START_TEST(a_tcp_data_offset_outside_the_segment_is_malformed)
{
    struct sample sample;

    for (unsigned words = 0; words < 16; words++) {
        make_tcp(&sample, "10.0.0.5:4000", "198.51.100.9:443", TCP_ACK);
        sample.bytes[32] = (uint8_t)(words << 4);
        ck_assert_int_eq(reason_of(&sample), words == 5 ? DROP_NONE : DROP_MALFORMED);
    }
}
END_TEST

START_TEST(a_udp_length_outside_the_packet_is_malformed)
{
    struct sample sample;

    for (uint32_t length = 0; length < 100; length++) {
        make_udp(&sample, "10.0.0.5:4000", "198.51.100.9:53", 40);
        put16(sample.bytes + 24, length);
        ck_assert_int_eq(reason_of(&sample),
                         length >= 8 && length <= 48 ? DROP_NONE : DROP_MALFORMED);
    }
}
END_TEST

START_TEST(fragments_are_refused_and_df_is_none)
{
    static const uint16_t fragments[] = {0x2000, 0x0001, 0x1fff, 0x2001, 0x6000};
    struct sample sample;

    make_udp(&sample, "10.0.0.5:4000", "198.51.100.9:53", 40);
    for (size_t i = 0; i < sizeof(fragments) / sizeof(fragments[0]); i++) {
        put16(sample.bytes + 6, fragments[i]);
        ck_assert_int_eq(reason_of(&sample), DROP_FRAGMENT);
    }
    put16(sample.bytes + 6, 0x4000);
    ck_assert_int_eq(reason_of(&sample), DROP_NONE);
    put16(sample.bytes + 6, 0);
    ck_assert_int_eq(reason_of(&sample), DROP_NONE);
}
END_TEST

/* A UDP packet with these IP options. */
static void make_with_options(struct sample *sample, const uint8_t *options, size_t length)
{
    struct address from = address_of("10.0.0.5"), to = address_of(REMOTE);
    uint8_t *l4;

    make_udp(sample, "10.0.0.5:4000", REMOTE ":53", 11);
    l4 = sample->bytes + put_ipv4(sample->bytes, PROTOCOL_UDP, &from, &to, options, length, 19);
    memset(l4, 0x33, 19);
    put16(l4, 4000);
    put16(l4 + 2, 53);
    put16(l4 + 4, 19);
    fix_checksums(sample->bytes);
    sample->packet.length = 20 + length + 19;
}

static enum drop_reason reason_with_options(const uint8_t *options, size_t length)
{
    struct sample sample;

    make_with_options(&sample, options, length);
    return reason_of(&sample);
}
#define OPTIONS(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

START_TEST(ip_options_are_skipped)
{
    struct sample sample;
    struct packet_view view;

    make_with_options(&sample, OPTIONS(1, 1, 148, 4, 0, 0, 7, 3, 4, 0, 0, 0));
    ck_assert_int_eq(parse(&sample, &view), DROP_NONE);
    assert_tuple(&view, "10.0.0.5:4000", REMOTE ":53");
    ck_assert_uint_eq(view.ip_header_length, 32);
    ck_assert_uint_eq(view.l4_length, 19);
    give(&sample, EXTERNAL ":50000", NULL);
    ck_assert_str_eq(source_of(&sample), EXTERNAL ":50000");
    ck_assert(ip_checksum_is_right(sample.bytes) && l4_checksum_is_right(sample.bytes));
}
END_TEST

START_TEST(source_routes_are_refused)
{
    ck_assert_int_eq(reason_with_options(OPTIONS(131, 7, 4, 1, 2, 3, 4, 0)), DROP_SOURCE_ROUTE);
    ck_assert_int_eq(reason_with_options(OPTIONS(137, 7, 4, 1, 2, 3, 4, 0)), DROP_SOURCE_ROUTE);
    ck_assert_int_eq(reason_with_options(OPTIONS(1, 131, 3, 4)), DROP_SOURCE_ROUTE);
    /* Behind the end of options there are none. */
    ck_assert_int_eq(reason_with_options(OPTIONS(1, 0, 131, 3)), DROP_NONE);
    /* A record route that has 131 in its data is no source route. */
    ck_assert_int_eq(reason_with_options(OPTIONS(7, 7, 4, 131, 131, 137, 137, 0)), DROP_NONE);
}
END_TEST

START_TEST(ip_options_that_leave_the_header_are_malformed)
{
    ck_assert_int_eq(reason_with_options(OPTIONS(7, 5, 4, 0)), DROP_MALFORMED);
    ck_assert_int_eq(reason_with_options(OPTIONS(7, 1, 4, 0)), DROP_MALFORMED);
    ck_assert_int_eq(reason_with_options(OPTIONS(7, 0, 4, 0)), DROP_MALFORMED);
    ck_assert_int_eq(reason_with_options(OPTIONS(1, 1, 1, 7)), DROP_MALFORMED);
    ck_assert_int_eq(reason_with_options(OPTIONS(7, 255, 4, 0)), DROP_MALFORMED);
}
END_TEST

START_TEST(garbage_never_parses_outside_its_bytes)
{
    struct chance chance = chance_new();

    for (int round = 0; round < 200000; round++) {
        uint8_t *exact, bytes[64];
        size_t length = chance_below(&chance, sizeof(bytes) + 1);
        struct packet packet = {.length = length};
        struct packet_view view;

        exact = malloc(length > 0 ? length : 1); /* so that one byte too far is seen */
        ck_assert_ptr_nonnull(exact);
        chance_fill(&chance, bytes, sizeof(bytes));
        if (!chance_one_in(&chance, 4)) {
            bytes[0] = (uint8_t)(0x45 + chance_below(&chance, 3));
            put16(bytes + 2, chance_below(&chance, 70));
            put16(bytes + 6, 0);
            bytes[9] = (uint8_t[]){1, 6, 17, 47}[chance_below(&chance, 4)];
        }
        memcpy(exact, bytes, length);
        packet.data = exact;
        if (packet_parse(&packet, &view) == DROP_NONE)
            seeded(&chance, view.l4 >= exact && view.l4 + view.l4_length <= exact + length &&
                                view.l4 - exact == view.ip_header_length);
        free(exact);
    }
}
END_TEST

/* Rewriting. */

START_TEST(both_ends_are_rewritten_with_all_checksums)
{
    for (size_t payload = 0; payload < 200; payload++) {
        struct sample sample, before;

        make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", payload);
        copy_sample(&before, &sample);
        give(&sample, EXTERNAL ":51234", "192.0.2.77:5353");
        ck_assert_str_eq(source_of(&sample), EXTERNAL ":51234");
        ck_assert_str_eq(destination_of(&sample), "192.0.2.77:5353");
        ck_assert(ip_checksum_is_right(sample.bytes) && l4_checksum_is_right(sample.bytes));
        ck_assert_mem_eq(sample.bytes + 28, before.bytes + 28, payload);
        give(&sample, "10.0.0.5:4000", REMOTE ":53");
        ck_assert_mem_eq(sample.bytes, before.bytes, sizeof(sample.bytes));
    }
}
END_TEST

START_TEST(tcp_is_rewritten_with_all_checksums)
{
    struct sample sample;

    make_tcp(&sample, "10.0.0.5:4000", REMOTE ":443", TCP_SYN);
    give(&sample, EXTERNAL ":51234", NULL);
    ck_assert_str_eq(source_of(&sample), EXTERNAL ":51234");
    ck_assert_str_eq(destination_of(&sample), REMOTE ":443");
    ck_assert(ip_checksum_is_right(sample.bytes) && l4_checksum_is_right(sample.bytes));
    give(&sample, NULL, "10.0.0.80:80");
    ck_assert_str_eq(destination_of(&sample), "10.0.0.80:80");
    ck_assert(ip_checksum_is_right(sample.bytes) && l4_checksum_is_right(sample.bytes));
}
END_TEST

START_TEST(a_query_id_is_rewritten_where_it_belongs)
{
    struct sample sample;

    make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_ECHO_REQUEST, 777);
    give(&sample, EXTERNAL ":51234", NULL);
    ck_assert_uint_eq(icmp_id_of(&sample), 51234);
    ck_assert_str_eq(source_of(&sample), EXTERNAL);
    ck_assert(ip_checksum_is_right(sample.bytes) && l4_checksum_is_right(sample.bytes));
    make_icmp_query(&sample, REMOTE, EXTERNAL, ICMP_ECHO_REPLY, 51234);
    give(&sample, NULL, "10.0.0.5:777");
    ck_assert_uint_eq(icmp_id_of(&sample), 777);
    ck_assert_str_eq(destination_of(&sample), "10.0.0.5");
    ck_assert(ip_checksum_is_right(sample.bytes) && l4_checksum_is_right(sample.bytes));
}
END_TEST

START_TEST(rfc3022_4_1_a_udp_checksum_of_zero_stays_zero)
{
    struct sample sample;

    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    put16(sample.bytes + 26, 0);
    give(&sample, EXTERNAL ":51234", "192.0.2.77:5353");
    ck_assert_uint_eq(get16(sample.bytes + 26), 0);
    ck_assert(ip_checksum_is_right(sample.bytes));
}
END_TEST

/*
 * RFC 768: a checksum that comes out as zero is sent as all ones. All 65536 ports: one of them
 * meets it.
 */
START_TEST(a_udp_checksum_never_becomes_zero)
{
    bool met = false;

    for (uint32_t port = 1; port <= 65535; port++) {
        struct sample sample;
        struct packet_view view;
        struct endpoint source = {address_of(EXTERNAL), (uint16_t)port};

        make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 3);
        ck_assert_int_eq(parse(&sample, &view), DROP_NONE);
        packet_set_source(&sample.packet, &view, &source);
        packet_finish(&sample.packet, &view);
        ck_assert_uint_eq(get16(sample.bytes + 26), naive_l4_checksum(sample.bytes));
        met |= get16(sample.bytes + 26) == 0xffff;
    }
    ck_assert(met);
}
END_TEST

START_TEST(a_wrong_checksum_stays_wrong)
{
    struct sample sample;

    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    sample.bytes[26] ^= 0x40;
    give(&sample, EXTERNAL ":51234", NULL);
    ck_assert(ip_checksum_is_right(sample.bytes));
    ck_assert(!l4_checksum_is_right(sample.bytes));
}
END_TEST

START_TEST(a_missing_checksum_is_computed_in_full)
{
    for (size_t payload = 0; payload < 100; payload++) {
        struct sample sample;

        make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", payload);
        put16(sample.bytes + 26, payload == 7 ? 0 : 0xbad0);
        sample.packet.checksum_missing = true;
        give(&sample, EXTERNAL ":51234", NULL);
        ck_assert_uint_eq(get16(sample.bytes + 26), naive_l4_checksum(sample.bytes));
        ck_assert(ip_checksum_is_right(sample.bytes));
    }
}
END_TEST

static void make_gso(struct sample *sample, enum packet_hook hook, bool checksum_missing)
{
    make_tcp(sample, "10.0.0.5:4000", REMOTE ":443", TCP_ACK);
    sample->packet.hook = hook;
    sample->packet.gso = true;
    sample->packet.checksum_missing = checksum_missing;
    if (checksum_missing)
        put16(l4_checksum_at(sample->bytes), 0xbad0);
}

START_TEST(an_outbound_gso_packet_leaves_its_checksum_to_segmentation)
{
    struct sample sample;

    make_gso(&sample, HOOK_OUTBOUND, true);
    give(&sample, EXTERNAL ":51234", NULL);
    ck_assert_uint_eq(get16(sample.bytes + 36), naive_pseudo_sum(sample.bytes));
    ck_assert(ip_checksum_is_right(sample.bytes));
    make_gso(&sample, HOOK_OUTBOUND, false);
    give(&sample, EXTERNAL ":51234", NULL);
    ck_assert(l4_checksum_is_right(sample.bytes)); /* segmentation computes it anyway */
}
END_TEST

START_TEST(an_inbound_gso_packet_has_a_complete_checksum)
{
    struct sample sample;

    for (int missing = 0; missing < 2; missing++) {
        make_gso(&sample, HOOK_INBOUND, missing);
        give(&sample, NULL, "10.0.0.80:80");
        ck_assert(l4_checksum_is_right(sample.bytes));
    }
}
END_TEST

START_TEST(bytes_behind_the_ip_packet_are_left_alone)
{
    struct sample sample;

    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 5);
    sample.bytes[33] = 0xee;
    sample.packet.length += 1; /* an Ethernet trailer, say */
    sample.packet.checksum_missing = true;
    give(&sample, EXTERNAL ":51234", NULL);
    ck_assert_uint_eq(sample.bytes[33], 0xee);
    ck_assert_uint_eq(get16(sample.bytes + 26), naive_l4_checksum(sample.bytes));
}
END_TEST

START_TEST(bytes_behind_the_udp_length_are_not_in_its_checksum)
{
    struct sample sample;

    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    put16(sample.bytes + 24, 8 + 9);
    fix_checksums(sample.bytes);
    give(&sample, EXTERNAL ":51234", NULL);
    ck_assert_uint_eq(get16(sample.bytes + 26), naive_l4_checksum(sample.bytes));
    sample.packet.checksum_missing = true;
    give(&sample, "10.0.0.5:4000", NULL);
    ck_assert_uint_eq(get16(sample.bytes + 26), naive_l4_checksum(sample.bytes));
}
END_TEST

START_TEST(every_drop_reason_has_its_own_name)
{
    for (int one = 0; one < DROP_REASON_COUNT; one++) {
        ck_assert_uint_gt(strlen(drop_reason_name((enum drop_reason)one)), 0);
        for (int other = 0; other < one; other++)
            ck_assert_str_ne(drop_reason_name((enum drop_reason)one),
                             drop_reason_name((enum drop_reason)other));
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_udp_packet_parses,
        a_tcp_packet_parses_with_its_flags,
        the_id_of_a_query_is_the_port_of_the_side_that_asks,
        icmp_errors_are_known_and_other_types_are_unsupported,
        an_unknown_protocol_is_unsupported_but_its_addresses_are_known,
        a_packet_that_is_cut_anywhere_is_malformed,
        an_l4_header_that_is_cut_is_malformed,
        a_version_other_than_4_is_malformed,
        a_short_ip_header_is_malformed,
        a_tcp_data_offset_outside_the_segment_is_malformed,
        a_udp_length_outside_the_packet_is_malformed,
        fragments_are_refused_and_df_is_none,
        ip_options_are_skipped,
        source_routes_are_refused,
        ip_options_that_leave_the_header_are_malformed,
        garbage_never_parses_outside_its_bytes,
        both_ends_are_rewritten_with_all_checksums,
        tcp_is_rewritten_with_all_checksums,
        a_query_id_is_rewritten_where_it_belongs,
        rfc3022_4_1_a_udp_checksum_of_zero_stays_zero,
        a_udp_checksum_never_becomes_zero,
        a_wrong_checksum_stays_wrong,
        a_missing_checksum_is_computed_in_full,
        an_outbound_gso_packet_leaves_its_checksum_to_segmentation,
        an_inbound_gso_packet_has_a_complete_checksum,
        bytes_behind_the_ip_packet_are_left_alone,
        bytes_behind_the_udp_length_are_not_in_its_checksum,
        every_drop_reason_has_its_own_name,
    };

    return RUN_TESTS("packet", tests);
}
