/*
 * test_translate_outbound.c - hosts of a share speak to the world: mappings, their uniqueness, what
 * is not ours
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct gateway gateway;

static void start(void)
{
    gateway_start(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT));
}

static bool in_pool(const char *external)
{
    return port_of(external) >= 50000 && port_of(external) <= 50999 &&
           strncmp(external, EXTERNAL ":", strlen(EXTERNAL) + 1) == 0;
}

START_TEST(a_shared_host_is_seen_at_a_port_of_the_pool)
{
    struct sample sample;

    start();
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_int_eq(sample.packet.verdict, VERDICT_REWRITTEN);
    ck_assert(in_pool(source_of(&sample)));
    ck_assert_str_eq(destination_of(&sample), REMOTE ":53");
    ck_assert(!sample.packet.transit);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req1_mapping_is_endpoint_independent)
{
    char first[32];

    start();
    snprintf(first, sizeof(first), "%s", udp_out(&gateway, "10.0.0.5:4000", "198.51.100.9:53"));
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", "198.51.100.9:53"), first);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", "198.51.100.9:54"), first);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", "192.0.2.1:53"), first);
    ck_assert_str_ne(udp_out(&gateway, "10.0.0.5:4001", "198.51.100.9:53"), first);
    ck_assert_str_ne(udp_out(&gateway, "10.0.0.6:4000", "198.51.100.9:53"), first);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5382_req1_mapping_is_endpoint_independent)
{
    char first[32];

    start();
    snprintf(first, sizeof(first), "%s",
             tcp_out(&gateway, "10.0.0.5:4000", "198.51.100.9:443", TCP_SYN));
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.5:4000", "192.0.2.1:443", TCP_SYN), first);
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.5:4000", "192.0.2.1:80", TCP_SYN), first);
    gateway_stop(&gateway);
}
END_TEST

static uint16_t ping_out(const char *from, const char *to, uint16_t id)
{
    struct sample sample;

    make_icmp_query(&sample, from, to, ICMP_ECHO_REQUEST, id);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), EXTERNAL);
    return icmp_id_of(&sample);
}

START_TEST(rfc5508_req1a_query_id_mapping_is_independent_of_the_remote)
{
    uint16_t first;

    start();
    first = ping_out("10.0.0.5", "198.51.100.9", 7);
    ck_assert(first >= 50000 && first <= 50999);
    ck_assert_uint_eq(ping_out("10.0.0.5", "192.0.2.1", 7), first);
    ck_assert_uint_ne(ping_out("10.0.0.6", "198.51.100.9", 7), first);
    ck_assert_uint_ne(ping_out("10.0.0.5", "198.51.100.9", 8), first);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req3_no_two_mappings_share_an_external_port)
{
    bool seen[65536] = {false};

    start();
    for (int host = 1; host <= 20; host++) {
        for (int port = 1; port <= 10; port++) {
            char from[32];
            uint16_t external;

            snprintf(from, sizeof(from), "10.0.0.%d:%d", host, port);
            external = port_of(udp_out(&gateway, from, REMOTE ":53"));
            ck_assert(!seen[external]);
            seen[external] = true;
        }
    }
    gateway_stop(&gateway);
}
END_TEST

START_TEST(protocols_have_port_spaces_of_their_own)
{
    uint32_t used, size;

    start();
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    nat_pool_use(gateway.nat, 0, PROTOCOL_UDP, gateway.now, &used, &size);
    ck_assert_uint_eq(used, 1);
    ck_assert_uint_eq(size, 1000);
    nat_pool_use(gateway.nat, 0, PROTOCOL_TCP, gateway.now, &used, &size);
    ck_assert_uint_eq(used, 0);
    nat_pool_use(gateway.nat, 0, PROTOCOL_ICMP, gateway.now, &used, &size);
    ck_assert_uint_eq(used, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(answers_find_their_way_back)
{
    struct sample sample;
    const char *external;

    start();
    external = udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    make_udp(&sample, REMOTE ":53", external, 100);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(source_of(&sample), REMOTE ":53");
    ck_assert_str_eq(destination_of(&sample), "10.0.0.5:4000");
    ck_assert(!sample.packet.transit);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(echo_replies_find_their_way_back)
{
    struct sample sample;

    start();
    make_icmp_query(&sample, REMOTE, EXTERNAL, ICMP_ECHO_REPLY, ping_out("10.0.0.5", REMOTE, 7));
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
    ck_assert_str_eq(destination_of(&sample), "10.0.0.5");
    ck_assert_uint_eq(icmp_id_of(&sample), 7);
    gateway_stop(&gateway);
}
END_TEST

static void assert_unchanged(enum drop_reason reason, const struct sample *sample)
{
    ck_assert_int_eq(reason, DROP_NONE);
    ck_assert_int_eq(sample->packet.verdict, VERDICT_ACCEPT);
}

START_TEST(what_no_share_covers_passes_as_it_came)
{
    struct sample sample;

    start();
    make_udp(&sample, EXTERNAL ":4000", REMOTE ":53", 20); /* the gateway itself */
    assert_unchanged(leave(&gateway, &sample), &sample);
    make_tcp(&sample, "10.9.0.5:4000", REMOTE ":53",
             TCP_ACK); /* a host that is routed, not shared */
    assert_unchanged(leave(&gateway, &sample), &sample);
    make_icmp_query(&sample, "10.9.0.5", REMOTE, ICMP_ECHO_REQUEST, 7);
    assert_unchanged(leave(&gateway, &sample), &sample);
    make_raw(&sample, EXTERNAL, REMOTE, 50, 20);
    assert_unchanged(leave(&gateway, &sample), &sample);
    ck_assert_uint_eq(gateway.nat->counters.unchanged, 4);
    ck_assert_uint_eq(gateway.nat->counters.opened, 0);
    gateway_stop(&gateway);
}
END_TEST

static enum drop_reason by_tunnel(struct sample *sample)
{
    sample->packet.hook = HOOK_OUTBOUND;
    sample->packet.in_interface = LAN;
    sample->packet.out_interface = TUNNEL;
    return gateway_translate(&gateway, sample);
}

START_TEST(what_leaves_by_another_interface_passes_as_it_came)
{
    struct sample sample;

    start();
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    assert_unchanged(by_tunnel(&sample), &sample);
    make_tcp(&sample, "10.0.0.5:4000", REMOTE ":53", TCP_ACK);
    assert_unchanged(by_tunnel(&sample), &sample);
    make_raw(&sample, "10.0.0.5", REMOTE, 50, 20);
    assert_unchanged(by_tunnel(&sample), &sample);
    make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_REDIRECT, 7);
    assert_unchanged(by_tunnel(&sample), &sample);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_cannot_be_translated_does_not_leave_with_a_private_source)
{
    struct sample sample;

    start();
    make_raw(&sample, "10.0.0.5", REMOTE, 50, 20);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_UNSUPPORTED_PROTOCOL);
    make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_REDIRECT, 7);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_UNSUPPORTED_ICMP);
    make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_SOURCE_QUENCH, 7);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_UNSUPPORTED_ICMP);
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    put16(sample.bytes + 6, 0x2000);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_FRAGMENT);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(tcp_without_a_session_must_begin_with_syn)
{
    static const uint8_t others[] = {TCP_ACK, TCP_RST, TCP_FIN | TCP_ACK, TCP_SYN | TCP_ACK, 0};
    struct sample sample;

    start();
    for (size_t i = 0; i < sizeof(others); i++) {
        make_tcp(&sample, "10.0.0.5:4000", REMOTE ":443", others[i]);
        ck_assert_int_eq(leave(&gateway, &sample), DROP_NOT_SYN);
    }
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_NOT_SYN], sizeof(others));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_echo_reply_opens_nothing)
{
    struct sample sample;

    start();
    make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_ECHO_REPLY, 7);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_ICMP_NO_SESSION);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(without_an_external_address_nothing_leaves)
{
    struct sample sample;

    start();
    gateway_set_addresses(&gateway, NULL, 0);
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NO_EXTERNAL_ADDRESS);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req2_a_host_keeps_to_one_external_address)
{
    struct address addresses[4];
    bool used[4] = {false};
    int kinds = 0;

    start();
    for (uint32_t i = 0; i < 4; i++)
        addresses[i] = address_from_ipv4(0xcb007105 + i);
    gateway_set_addresses(&gateway, addresses, 4);
    for (int host = 1; host <= 30; host++) {
        struct address first = {0};

        for (int port = 1; port <= 5; port++) {
            char from[32];
            struct endpoint external;

            snprintf(from, sizeof(from), "10.0.0.%d:%d", host, port);
            external = endpoint_of(port % 2 ? udp_out(&gateway, from, REMOTE ":53")
                                            : tcp_out(&gateway, from, REMOTE ":53", TCP_SYN));
            ck_assert(port == 1 || address_equal(&first, &external.address));
            first = external.address;
        }
        used[(first.bytes[15] - 5) % 4] = true;
    }
    for (int i = 0; i < 4; i++)
        kinds += used[i];
    ck_assert_int_ge(kinds, 3); /* and the hosts spread over the addresses */
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_packet_that_is_not_whole_is_dropped)
{
    struct sample sample;

    start();
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    sample.packet.truncated = true;
    ck_assert_int_eq(leave(&gateway, &sample), DROP_TRUNCATED);
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    sample.packet.length--;
    ck_assert_int_eq(leave(&gateway, &sample), DROP_MALFORMED);
    gateway_stop(&gateway);
}
END_TEST

/* A datagram of 65507 bytes, of which the queue has carried what it can. */
static struct packet largest(uint8_t bytes[PACKET_CARRIED_MAX], const char *from, const char *to,
                             enum packet_hook hook)
{
    const struct endpoint source = endpoint_of(from), destination = endpoint_of(to);
    struct packet packet = {.data = bytes,
                            .length = PACKET_CARRIED_MAX,
                            .hook = hook,
                            .in_interface = hook == HOOK_INBOUND ? WAN : LAN,
                            .out_interface = hook == HOOK_OUTBOUND ? WAN : 0,
                            .truncated = true};

    memset(bytes, 0, PACKET_CARRIED_MAX);
    put_ipv4(bytes, PROTOCOL_UDP, &source.address, &destination.address, NULL, 0, 65515);
    put16(bytes + 20, source.port);
    put16(bytes + 22, destination.port);
    put16(bytes + 24, 65515);
    put16(bytes + 26, 0x1234); /* its checksum; nobody has all of it */
    return packet;
}

/* The daemon does not touch it, but says what the kernel is to write. */
START_TEST(a_datagram_longer_than_a_queue_carries_is_left_to_the_kernel)
{
    static uint8_t bytes[PACKET_CARRIED_MAX], before[PACKET_CARRIED_MAX];
    struct packet packet;
    char external[32];

    start();
    packet = largest(bytes, "10.0.0.5:4000", REMOTE ":53", HOOK_OUTBOUND);
    memcpy(before, bytes, sizeof(before));
    nat_translate_batch(gateway.nat, &packet, 1, gateway.now);
    ck_assert_int_eq(packet.verdict, VERDICT_REPEAT);
    ck_assert_mem_eq(bytes, before, sizeof(before));
    ck_assert_str_eq(endpoint_text(&packet.rewriting.tuple.source), "10.0.0.5:4000");
    ck_assert_str_eq(endpoint_text(&packet.rewriting.tuple.destination), REMOTE ":53");
    snprintf(external, sizeof(external), "%s", endpoint_text(&packet.rewriting.endpoint));
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    packet = largest(bytes, REMOTE ":53", external, HOOK_INBOUND);
    nat_translate_batch(gateway.nat, &packet, 1, gateway.now);
    ck_assert_int_eq(packet.verdict, VERDICT_REPEAT);
    ck_assert_str_eq(endpoint_text(&packet.rewriting.endpoint), "10.0.0.5:4000");
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_TRUNCATED], 0);
    gateway_stop(&gateway);
}
END_TEST

/* The rules that rewrite it do not match these, so they would come back to the queue for ever. */
START_TEST(a_long_datagram_that_the_kernel_would_spoil_is_dropped)
{
    static uint8_t bytes[PACKET_CARRIED_MAX];
    struct packet packet;

    start();
    for (int i = 0; i < 5; i++) {
        packet = largest(bytes, "10.0.0.5:4000", REMOTE ":53", HOOK_OUTBOUND);
        if (i == 0)
            put16(bytes + 26, 0); /* no checksum */
        else if (i == 1)
            bytes[0] = 0x46; /* options */
        else if (i == 2)
            bytes[9] = PROTOCOL_TCP;
        else if (i == 3)
            put16(bytes + 2, PACKET_CARRIED_MAX); /* not that long after all */
        else
            packet.gso = true;
        nat_translate_batch(gateway.nat, &packet, 1, gateway.now);
        ck_assert_int_eq(packet.verdict, VERDICT_DROP);
        ck_assert_int_eq(packet.reason, DROP_TRUNCATED);
    }
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_long_datagram_of_a_hairpin_is_dropped)
{
    static uint8_t bytes[PACKET_CARRIED_MAX];
    struct packet packet;
    char external[32];

    start();
    snprintf(external, sizeof(external), "%s", udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", external));
    packet = largest(bytes, "10.0.0.5:4000", external, HOOK_INBOUND);
    packet.in_interface = LAN;
    nat_translate_batch(gateway.nat, &packet, 1, gateway.now);
    ck_assert_int_eq(packet.verdict, VERDICT_DROP);
    gateway_stop(&gateway);
}
END_TEST

/*
 * RFC 7857 section 9, RFC 6864 section 5.3.1: fragments of two hosts must not be taken for one
 * packet's.
 */
START_TEST(packets_of_two_hosts_that_may_be_fragmented_have_different_ids)
{
    struct sample sample;
    uint16_t id[2];

    start();
    for (int i = 0; i < 2; i++) {
        make_udp(&sample, i ? "10.0.0.6:4000" : "10.0.0.5:4000", REMOTE ":53", 20);
        put16(sample.bytes + 6, 0);
        fix_checksums(sample.bytes);
        ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
        id[i] = get16(sample.bytes + 4);
    }
    ck_assert_uint_ne(id[0], id[1]);
    make_udp(&sample, "10.0.0.6:4000", REMOTE ":53", 20);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    ck_assert_uint_eq(get16(sample.bytes + 4), 0x1234); /* with DF it is nobody's business */
    gateway_stop(&gateway);
}
END_TEST

START_TEST(packets_and_bytes_are_counted_by_hook)
{
    struct sample sample;

    start();
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 72);
    leave(&gateway, &sample);
    make_udp(&sample, REMOTE ":53", source_of(&sample), 172);
    arrive(&gateway, &sample);
    ck_assert_uint_eq(gateway.nat->counters.packets[HOOK_OUTBOUND], 1);
    ck_assert_uint_eq(gateway.nat->counters.packets[HOOK_INBOUND], 1);
    ck_assert_uint_eq(gateway.nat->counters.bytes[HOOK_OUTBOUND], 100);
    ck_assert_uint_eq(gateway.nat->counters.bytes[HOOK_INBOUND], 200);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(users_see_a_session_by_viewpoint)
{
    struct session_view view;
    struct sample sample;

    start();
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 72);
    leave(&gateway, &sample);
    make_udp(&sample, REMOTE ":53", source_of(&sample), 172);
    arrive(&gateway, &sample);
    gateway_wait(&gateway, 1500);
    ck_assert(find_view(&gateway, "10.0.0.5:4000", REMOTE ":53", &view));
    ck_assert_int_eq(view.direction, DIRECTION_OUTBOUND);
    ck_assert_int_eq(view.state, STATE_ANSWERED);
    ck_assert_uint_eq(view.protocol, PROTOCOL_UDP);
    ck_assert(in_pool(endpoint_text(&view.external)));
    ck_assert_str_eq(view.share, "lab");
    ck_assert_str_eq(view.forward, "");
    ck_assert(view.packets_out == 1 && view.packets_in == 1);
    ck_assert(view.bytes_out == 100 && view.bytes_in == 200);
    ck_assert(view.age_ms == 1500 && view.idle_ms == 1500 && view.expires_in_ms == 298500);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(without_shares_and_forwards_everything_passes_as_it_came)
{
    struct policy *policy = policy_new();
    struct sample sample;

    policy_limits(policy)->sessions = 16;
    gateway_start(&gateway, policy);
    make_udp(&sample, "10.0.0.5:4000", REMOTE ":53", 20);
    assert_unchanged(leave(&gateway, &sample), &sample);
    make_udp(&sample, REMOTE ":53", EXTERNAL ":50000", 20);
    assert_unchanged(arrive(&gateway, &sample), &sample);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_shared_host_is_seen_at_a_port_of_the_pool,
        rfc4787_req1_mapping_is_endpoint_independent,
        rfc5382_req1_mapping_is_endpoint_independent,
        rfc5508_req1a_query_id_mapping_is_independent_of_the_remote,
        rfc4787_req3_no_two_mappings_share_an_external_port,
        protocols_have_port_spaces_of_their_own,
        answers_find_their_way_back,
        echo_replies_find_their_way_back,
        what_no_share_covers_passes_as_it_came,
        what_leaves_by_another_interface_passes_as_it_came,
        what_cannot_be_translated_does_not_leave_with_a_private_source,
        tcp_without_a_session_must_begin_with_syn,
        an_echo_reply_opens_nothing,
        without_an_external_address_nothing_leaves,
        rfc4787_req2_a_host_keeps_to_one_external_address,
        a_packet_that_is_not_whole_is_dropped,
        a_datagram_longer_than_a_queue_carries_is_left_to_the_kernel,
        a_long_datagram_that_the_kernel_would_spoil_is_dropped,
        a_long_datagram_of_a_hairpin_is_dropped,
        packets_of_two_hosts_that_may_be_fragmented_have_different_ids,
        packets_and_bytes_are_counted_by_hook,
        users_see_a_session_by_viewpoint,
        without_shares_and_forwards_everything_passes_as_it_came,
    };

    return RUN_TESTS("translate outbound", tests);
}
