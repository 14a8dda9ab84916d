/*
 * test_ip_id.c - the IP ids of hosts that share an address (RFC 7857 section 10, RFC 6864)
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct gateway gateway;

static void start(void)
{
    gateway_start(&gateway, lab_policy(FILTERING_ENDPOINT_INDEPENDENT));
}

/*
 * A packet that may be fragmented, as a host would send it: with the id that another host uses,
 * too.
 */
static void fragmentable(struct sample *sample)
{
    put16(sample->bytes + 6, 0);
    put16(sample->bytes + 4, 7);
    fix_checksums(sample->bytes);
}

/* The id that the outside sees in a UDP packet from this host. */
static uint16_t id_of_udp(unsigned host, const char *to)
{
    struct sample sample;
    char from[32];

    snprintf(from, sizeof(from), "10.0.0.%u:4000", host);
    make_udp(&sample, from, to, 20);
    fragmentable(&sample);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert(ip_checksum_is_right(sample.bytes) && l4_checksum_is_right(sample.bytes));
    ck_assert_uint_eq(get16(sample.bytes + 6), 0);
    return get16(sample.bytes + 4);
}

START_TEST(rfc6864_5_3_1_ids_to_one_destination_do_not_repeat_whoever_sends)
{
    struct chance chance = chance_new();
    bool seen[65536] = {false};

    start();
    for (int i = 0; i < 1500; i++) {
        uint16_t id = id_of_udp(1 + chance_below(&chance, 30), REMOTE ":53");

        seeded(&chance, !seen[id]);
        seen[id] = true;
    }
    gateway_stop(&gateway);
}
END_TEST

/* Without the checks of support.h, for all 65536 ids at once. */
START_TEST(rfc6864_5_3_1_no_id_comes_again_before_all_have_been_used)
{
    static bool seen[65536];
    struct sample sample;

    start();
    for (int i = 0; i < 65536; i++) {
        make_udp(&sample, i % 2 ? "10.0.0.5:4000" : "10.0.0.6:4000", REMOTE ":53", 20);
        fragmentable(&sample);
        sample.packet.hook = HOOK_OUTBOUND;
        sample.packet.in_interface = LAN;
        sample.packet.out_interface = WAN;
        nat_translate_batch(gateway.nat, &sample.packet, 1, gateway.now);
        ck_assert(!seen[get16(sample.bytes + 4)]);
        seen[get16(sample.bytes + 4)] = true;
    }
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc6864_4_1_the_id_of_an_atomic_packet_is_left_alone)
{
    struct sample sample;

    start();
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20); /* make_udp sets DF */
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(get16(sample.bytes + 4), 0x1234);
    make_tcp(&sample, "10.0.0.5:4000", REMOTE ":443", TCP_SYN);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(get16(sample.bytes + 4), 0x1234);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_10_tcp_udp_and_queries_share_one_sequence_of_ids)
{
    struct sample sample;
    uint16_t id[3];

    start();
    id[0] = id_of_udp(5, REMOTE ":53");
    make_tcp(&sample, "10.0.0.6:4000", REMOTE ":443", TCP_SYN);
    fragmentable(&sample);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    id[1] = get16(sample.bytes + 4);
    make_icmp_query(&sample, "10.0.0.7", REMOTE, ICMP_ECHO_REQUEST, 7);
    fragmentable(&sample);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    id[2] = get16(sample.bytes + 4);
    ck_assert(id[0] != id[1] && id[1] != id[2] && id[0] != id[2]);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_comes_in_keeps_the_id_of_its_sender)
{
    struct sample sample;
    char external[32];

    start();
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    make_udp(&sample, REMOTE ":53", external, 20);
    fragmentable(&sample);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(get16(sample.bytes + 4), 7);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_hairpin_gets_its_id_once_with_its_source)
{
    struct sample sample;
    char external[32];
    uint16_t before;

    start();
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    make_udp(&sample, "10.0.0.6:4000", external, 20);
    fragmentable(&sample);
    ck_assert_int_eq(turn_back(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(get16(sample.bytes + 4), 7);
    ck_assert_int_eq(pass_again(&gateway, &sample), DROP_NONE);
    before = get16(sample.bytes + 4);
    make_udp(&sample, "10.0.0.6:4000", external, 20);
    fragmentable(&sample);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    ck_assert_uint_ne(get16(sample.bytes + 4), before);
    gateway_stop(&gateway);
}
END_TEST

/* Each segment of it gets an id of its own, counting up. */
START_TEST(the_segments_of_one_packet_have_room_before_the_next_id)
{
    struct sample sample;
    uint16_t id;

    start();
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 1900);
    fragmentable(&sample);
    sample.packet.gso = true;
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    id = get16(sample.bytes + 4);
    ck_assert_uint_ge((uint16_t)(id_of_udp(6, REMOTE ":53") - id), 4);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_first_ids_of_destinations_cannot_be_told_from_one_another)
{
    unsigned close = 0;
    uint16_t last = 0;

    start();
    for (int i = 1; i <= 100; i++) {
        char remote[32];
        uint16_t id;

        snprintf(remote, sizeof(remote), "192.0.2.%d:53", i);
        id = id_of_udp(5, remote);
        close += (uint16_t)(id - last) < 1000;
        last = id;
    }
    ck_assert_uint_lt(close, 20);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc6864_5_3_1_errors_of_internal_hosts_take_ids_of_the_same_sequence)
{
    struct sample quoted, error;
    uint16_t before;

    start();
    before = id_of_udp(5, REMOTE ":53");
    make_udp(&quoted, REMOTE ":53", "10.0.0.5:4000", 10);
    make_icmp_error(&error, "10.0.0.5", REMOTE, ICMP_DESTINATION_UNREACHABLE, 3, &quoted, 8);
    put16(error.bytes + 6, 0);
    put16(error.bytes + 4, 7);
    put16(error.bytes + 10, 0);
    put16(error.bytes + 10, naive_ip_checksum(error.bytes));
    ck_assert_int_eq(leave(&gateway, &error), DROP_NONE);
    ck_assert(ip_checksum_is_right(error.bytes));
    ck_assert_uint_eq(get16(error.bytes + 4), (uint16_t)(before + 1));
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc6864_5_3_1_ids_to_one_destination_do_not_repeat_whoever_sends,
        rfc6864_5_3_1_no_id_comes_again_before_all_have_been_used,
        rfc6864_4_1_the_id_of_an_atomic_packet_is_left_alone,
        rfc7857_10_tcp_udp_and_queries_share_one_sequence_of_ids,
        what_comes_in_keeps_the_id_of_its_sender,
        rfc6864_5_3_1_errors_of_internal_hosts_take_ids_of_the_same_sequence,
        a_hairpin_gets_its_id_once_with_its_source,
        the_segments_of_one_packet_have_room_before_the_next_id,
        the_first_ids_of_destinations_cannot_be_told_from_one_another,
    };

    return RUN_TESTS("ip id", tests);
}
