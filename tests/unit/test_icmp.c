/*
 * test_icmp.c - ICMP errors: the packet inside (RFC 5508 section 4, RFC 3022 section 4.3, RFC 4884)
 *
 * The example: 10.0.0.5 spoke to 198.51.100.9 as 203.0.113.5, and a router on the way says that it
 * cannot deliver.
 */
#include "portreeve/icmp.h"
#include "support.h"

#include <string.h>

#define ROUTER  "192.0.2.1"
#define OUTSIDE EXTERNAL ":50000"
#define INSIDE  "10.0.0.5:4000"
#define FAR     REMOTE ":53"

static enum drop_reason parse(const struct sample *error, struct packet_view *view,
                              struct icmp_embedded *embedded)
{
    ck_assert_int_eq(packet_parse(&error->packet, view), DROP_NONE);
    ck_assert(view->is_icmp_error);
    return icmp_parse_error(view, embedded);
}

static enum drop_reason reason_of(const struct sample *error)
{
    struct packet_view view;
    struct icmp_embedded embedded;

    return parse(error, &view, &embedded);
}

/* What a NAT does with such an error: the quoted packet as the inside host sent it. */
static void restore(const struct sample *error, const char *source, const char *destination)
{
    struct packet_view view;
    struct icmp_embedded embedded;
    struct tuple original;
    struct address inside = address_of(INSIDE);

    ck_assert_int_eq(parse(error, &view, &embedded), DROP_NONE);
    original = embedded.tuple;
    original.source = endpoint_of(source);
    original.destination = endpoint_of(destination);
    icmp_rewrite_error(&view, &embedded, &original, NULL, &inside);
}

static void assert_sound(const struct sample *error)
{
    const uint8_t *quoted = error->bytes + 28;

    ck_assert(ip_checksum_is_right(error->bytes));
    ck_assert(l4_checksum_is_right(error->bytes));
    ck_assert(ip_checksum_is_right(quoted));
}

START_TEST(the_quoted_packet_is_found)
{
    struct sample quoted, error;
    struct packet_view view;
    struct icmp_embedded embedded;

    make_udp(&quoted, OUTSIDE, FAR, 60);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, 8);
    ck_assert_int_eq(parse(&error, &view, &embedded), DROP_NONE);
    ck_assert_str_eq(endpoint_text(&embedded.tuple.source), OUTSIDE);
    ck_assert_str_eq(endpoint_text(&embedded.tuple.destination), FAR);
    ck_assert_uint_eq(embedded.tuple.protocol, PROTOCOL_UDP);
    ck_assert_uint_eq(embedded.tuple.reserved, 0);
    ck_assert_ptr_eq(embedded.ip, error.bytes + 28);
    ck_assert_ptr_eq(embedded.l4, error.bytes + 48);
    ck_assert_uint_eq(embedded.l4_available, 8);
    ck_assert(!embedded.is_icmp_error);
}
END_TEST

START_TEST(a_quoted_query_has_its_id_as_port)
{
    struct sample quoted, error;
    struct packet_view view;
    struct icmp_embedded embedded;

    make_icmp_query(&quoted, EXTERNAL, REMOTE, ICMP_ECHO_REQUEST, 50001);
    make_icmp_error(&error, ROUTER, EXTERNAL, 11, 0, &quoted, 8);
    ck_assert_int_eq(parse(&error, &view, &embedded), DROP_NONE);
    ck_assert_str_eq(endpoint_text(&embedded.tuple.source), EXTERNAL ":50001");
    ck_assert_str_eq(endpoint_text(&embedded.tuple.destination), REMOTE ":0");
    ck_assert(!embedded.is_icmp_error);
}
END_TEST

START_TEST(an_error_about_an_error_is_known_as_such)
{
    struct sample innermost, quoted, error;
    struct packet_view view;
    struct icmp_embedded embedded;

    make_udp(&innermost, FAR, OUTSIDE, 8);
    make_icmp_error(&quoted, EXTERNAL, REMOTE, 3, 3, &innermost, 8);
    make_icmp_error(&error, ROUTER, EXTERNAL, 11, 0, &quoted, 36);
    ck_assert_int_eq(parse(&error, &view, &embedded), DROP_NONE);
    ck_assert(embedded.is_icmp_error);
}
END_TEST

START_TEST(less_than_the_quoted_ports_is_malformed)
{
    struct sample quoted, error;

    make_udp(&quoted, OUTSIDE, FAR, 60);
    for (size_t bytes = 0; bytes < 28; bytes++) {
        make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, 8);
        put16(error.bytes + 2, (uint32_t)(28 + bytes)); /* the quoted packet is cut here */
        error.packet.length = 28 + bytes;
        fix_checksums(error.bytes);
        ck_assert_int_eq(reason_of(&error), DROP_MALFORMED);
    }
}
END_TEST

START_TEST(a_quoted_header_that_lies_is_malformed)
{
    struct sample quoted, error;

    make_udp(&quoted, OUTSIDE, FAR, 4);
    for (unsigned first = 0; first < 256; first++) {
        make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, 12);
        error.bytes[28] = (uint8_t)first;
        if (first >> 4 == 4 && first % 16 >= 5)
            put16(error.bytes + 28 + 10, naive_ip_checksum(error.bytes + 28));
        put16(error.bytes + 22, naive_l4_checksum(error.bytes));
        /* 12 bytes of L4 are quoted, so one word of options would fit as well. */
        ck_assert_int_eq(reason_of(&error),
                         first == 0x45 || first == 0x46 ? DROP_NONE : DROP_MALFORMED);
    }
}
END_TEST

START_TEST(rfc5508_req3a_a_bad_icmp_checksum_is_dropped)
{
    struct sample quoted, error;

    make_udp(&quoted, OUTSIDE, FAR, 4);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, 12);
    for (size_t at = 20; at < error.packet.length; at++) {
        struct sample bad;

        if (at == 20 || at == 25 || at == 28 || (at >= 30 && at < 32))
            continue; /* the type, and lengths, which are malformed or not, before they are wrong */
        copy_sample(&bad, &error);
        bad.bytes[at] ^= 0x01;
        ck_assert_int_eq(reason_of(&bad), DROP_BAD_CHECKSUM);
    }
}
END_TEST

START_TEST(rfc5508_req3b_a_bad_embedded_ip_checksum_is_dropped)
{
    struct sample quoted, error;

    make_udp(&quoted, OUTSIDE, FAR, 4);
    quoted.bytes[10] ^= 0x10;
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, 12);
    ck_assert_int_eq(reason_of(&error), DROP_BAD_CHECKSUM);
}
END_TEST

START_TEST(rfc5508_req3c_embedded_ip_options_are_skipped)
{
    static const uint8_t options[12] = {1, 1, 1, 1, 7, 7, 4};
    struct address from = address_of(EXTERNAL), to = address_of(REMOTE);
    struct sample quoted, error;

    make_udp(&quoted, OUTSIDE, FAR, 40);
    memmove(quoted.bytes + 32, quoted.bytes + 20, 48);
    put_ipv4(quoted.bytes, PROTOCOL_UDP, &from, &to, options, sizeof(options), 48);
    quoted.packet.length = 80;
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, 48);
    restore(&error, INSIDE, FAR);
    ck_assert_str_eq(quoted_source_of(&error), INSIDE);
    ck_assert_mem_eq(error.bytes + 48, options, sizeof(options));
    ck_assert(l4_checksum_is_right(error.bytes + 28));
    assert_sound(&error);
}
END_TEST

START_TEST(rfc5508_req3d_the_embedded_transport_checksum_is_not_checked)
{
    struct sample quoted, error;

    make_udp(&quoted, OUTSIDE, FAR, 4);
    quoted.bytes[26] ^= 0x10;
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, 12);
    ck_assert_int_eq(reason_of(&error), DROP_NONE);
    restore(&error, INSIDE, FAR);
    ck_assert(!l4_checksum_is_right(error.bytes + 28));
    assert_sound(&error);
}
END_TEST

START_TEST(rfc5508_req4_the_quoted_packet_is_restored_at_every_length)
{
    struct sample original, quoted, error;

    make_udp(&original, INSIDE, FAR, 60);
    make_udp(&quoted, OUTSIDE, FAR, 60);
    for (size_t bytes = 8; bytes <= 68; bytes++) {
        make_icmp_error(&error, ROUTER, EXTERNAL, 3, 4, &quoted, bytes);
        restore(&error, INSIDE, FAR);
        ck_assert_mem_eq(error.bytes + 28, original.bytes, 20 + bytes);
        ck_assert_str_eq(destination_of(&error), "10.0.0.5");
        ck_assert_str_eq(source_of(&error), ROUTER);
        ck_assert_uint_eq(error.bytes[20], 3);
        ck_assert_uint_eq(error.bytes[21], 4);
        assert_sound(&error);
    }
}
END_TEST

START_TEST(quoted_tcp_is_restored_at_every_length)
{
    struct sample original, quoted, error;

    make_tcp(&original, INSIDE, FAR, TCP_SYN);
    make_tcp(&quoted, OUTSIDE, FAR, TCP_SYN);
    for (size_t bytes = 8; bytes <= 20; bytes++) {
        make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, bytes);
        restore(&error, INSIDE, FAR);
        /* Where only half of the checksum is quoted there is nothing to be brought up to date. */
        ck_assert_mem_eq(error.bytes + 28, original.bytes, 20 + (bytes == 17 ? 16 : bytes));
        ck_assert_uint_eq(error.packet.length, 48 + bytes);
        assert_sound(&error);
    }
}
END_TEST

START_TEST(a_quoted_query_is_restored)
{
    struct sample original, quoted, error;

    make_icmp_query(&original, "10.0.0.5", REMOTE, ICMP_ECHO_REQUEST, 777);
    make_icmp_query(&quoted, EXTERNAL, REMOTE, ICMP_ECHO_REQUEST, 50001);
    for (size_t bytes = 8; bytes <= 20; bytes++) {
        make_icmp_error(&error, ROUTER, EXTERNAL, 11, 0, &quoted, bytes);
        restore(&error, "10.0.0.5:777", REMOTE ":0");
        ck_assert_mem_eq(error.bytes + 28, original.bytes, 20 + bytes);
        assert_sound(&error);
    }
}
END_TEST

START_TEST(a_quoted_udp_checksum_of_zero_stays_zero)
{
    struct sample quoted, error;

    make_udp(&quoted, OUTSIDE, FAR, 4);
    put16(quoted.bytes + 26, 0);
    make_icmp_error(&error, ROUTER, EXTERNAL, 3, 3, &quoted, 12);
    restore(&error, INSIDE, FAR);
    ck_assert_uint_eq(get16(error.bytes + 28 + 26), 0);
    assert_sound(&error);
}
END_TEST

START_TEST(both_quoted_ends_and_the_errors_source_are_rewritten)
{
    struct sample quoted, error;
    struct packet_view view;
    struct icmp_embedded embedded;
    struct tuple original = {endpoint_of(FAR), endpoint_of(OUTSIDE), PROTOCOL_UDP, 0};
    struct address source = address_of(EXTERNAL);

    make_udp(&quoted, "192.0.2.9:99", INSIDE, 30);
    make_icmp_error(&error, "10.0.0.5", REMOTE, 3, 3, &quoted, 38);
    ck_assert_int_eq(parse(&error, &view, &embedded), DROP_NONE);
    icmp_rewrite_error(&view, &embedded, &original, &source, NULL);
    ck_assert_str_eq(quoted_source_of(&error), FAR);
    ck_assert_str_eq(quoted_destination_of(&error), OUTSIDE);
    ck_assert_str_eq(source_of(&error), EXTERNAL);
    ck_assert_str_eq(destination_of(&error), REMOTE);
    ck_assert(l4_checksum_is_right(error.bytes + 28));
    assert_sound(&error);
}
END_TEST

/*
 * RFC 4884: the quoted packet is padded to 128 bytes, its length in words in the sixth byte; an
 * extension follows.
 */
static void make_extended_error(struct sample *error, const struct sample *quoted)
{
    static const uint8_t extension[12] = {0x20, 0, 0, 0, 0, 8, 1, 1, 0x12, 0x34, 0x51, 0xff};

    make_icmp_error(error, ROUTER, EXTERNAL, 11, 0, quoted, 2000);
    error->bytes[25] = 32;
    memset(error->bytes + 28 + quoted->packet.length, 0, 128 - quoted->packet.length);
    memcpy(error->bytes + 28 + 128, extension, sizeof(extension));
    put16(error->bytes + 2, 28 + 128 + sizeof(extension));
    error->packet.length = 28 + 128 + sizeof(extension);
    fix_checksums(error->bytes);
}

START_TEST(rfc5508_req3e_extensions_and_padding_are_left_alone)
{
    struct sample original, quoted, error, before;
    struct packet_view view;
    struct icmp_embedded embedded;

    make_udp(&original, INSIDE, FAR, 22);
    make_udp(&quoted, OUTSIDE, FAR, 22);
    make_extended_error(&error, &quoted);
    copy_sample(&before, &error);
    ck_assert_int_eq(parse(&error, &view, &embedded), DROP_NONE);
    ck_assert_uint_eq(embedded.l4_available, 30);
    restore(&error, INSIDE, FAR);
    ck_assert_mem_eq(error.bytes + 28, original.bytes, 50);
    ck_assert_mem_eq(error.bytes + 78, before.bytes + 78, error.packet.length - 78);
    assert_sound(&error);
}
END_TEST

START_TEST(an_rfc4884_length_that_cannot_be_is_no_length)
{
    struct sample quoted, error;
    struct packet_view view;
    struct icmp_embedded embedded;

    make_udp(&quoted, OUTSIDE, FAR, 12);
    for (unsigned words = 0; words < 256; words++) {
        enum drop_reason reason;

        make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, 20);
        error.bytes[25] = (uint8_t)words;
        fix_checksums(error.bytes);
        reason = parse(&error, &view, &embedded);
        ck_assert(reason == DROP_NONE || reason == DROP_MALFORMED);
        if (words == 0 || words >= 10)
            ck_assert(reason == DROP_NONE && embedded.l4_available == 20);
        if (reason == DROP_NONE)
            ck_assert(embedded.l4 + embedded.l4_available <= error.bytes + error.packet.length);
    }
}
END_TEST

START_TEST(garbage_in_an_error_never_reads_outside_it)
{
    struct chance chance = chance_new();

    for (int round = 0; round < 100000; round++) {
        struct sample quoted, error;
        struct packet_view view;
        struct icmp_embedded embedded;
        struct tuple any = {endpoint_of(INSIDE), endpoint_of(FAR), PROTOCOL_UDP, 0};

        make_udp(&quoted, OUTSIDE, FAR, chance_below(&chance, 40));
        make_icmp_error(&error, ROUTER, EXTERNAL, 3, 1, &quoted, chance_below(&chance, 60));
        for (int i = 0; i < 3; i++)
            error.bytes[24 + chance_below(&chance, 40)] ^=
                (uint8_t)(1u << chance_below(&chance, 8));
        if ((error.bytes[28] & 15) >= 5 && error.packet.length >= 28u + (error.bytes[28] & 15u) * 4)
            put16(error.bytes + 38, naive_ip_checksum(error.bytes + 28));
        fix_checksums(error.bytes);
        if (parse(&error, &view, &embedded) != DROP_NONE)
            continue;
        seeded(&chance, embedded.l4 + embedded.l4_available <= error.bytes + error.packet.length);
        icmp_rewrite_error(&view, &embedded, &any, NULL, &any.source.address);
        seeded(&chance, l4_checksum_is_right(error.bytes) && ip_checksum_is_right(error.bytes));
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_quoted_packet_is_found,
        a_quoted_query_has_its_id_as_port,
        an_error_about_an_error_is_known_as_such,
        less_than_the_quoted_ports_is_malformed,
        a_quoted_header_that_lies_is_malformed,
        rfc5508_req3a_a_bad_icmp_checksum_is_dropped,
        rfc5508_req3b_a_bad_embedded_ip_checksum_is_dropped,
        rfc5508_req3c_embedded_ip_options_are_skipped,
        rfc5508_req3d_the_embedded_transport_checksum_is_not_checked,
        rfc5508_req4_the_quoted_packet_is_restored_at_every_length,
        quoted_tcp_is_restored_at_every_length,
        a_quoted_query_is_restored,
        a_quoted_udp_checksum_of_zero_stays_zero,
        both_quoted_ends_and_the_errors_source_are_rewritten,
        rfc5508_req3e_extensions_and_padding_are_left_alone,
        an_rfc4884_length_that_cannot_be_is_no_length,
        garbage_in_an_error_never_reads_outside_it,
    };

    return RUN_TESTS("icmp", tests);
}
