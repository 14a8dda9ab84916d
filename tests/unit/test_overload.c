/*
 * test_overload.c - what a dry pool does, in its order: it takes back what has closed, shares a
 * port between destinations (TCP alone), refuses
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define OTHER "192.0.2.1"

static struct gateway gateway;

static void start(uint16_t ports, enum filtering filtering, bool never_overload)
{
    struct prefix prefix = prefix_of("10.0.0.0/24");
    struct port_range range = {50000, (uint16_t)(50000 + ports - 1)};
    struct share share = {.name = "lab",
                          .source = &prefix,
                          .source_count = 1,
                          .ports = &range,
                          .ports_count = 1,
                          .filtering = filtering,
                          .never_overload = never_overload};
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = 256;
    policy_limits(policy)->sessions_per_host = 256;
    ck_assert(policy_add_share(policy, &share));
    gateway_start(&gateway, policy);
}

static uint64_t dropped(enum drop_reason reason)
{
    return gateway.nat->counters.dropped[reason];
}

static uint64_t reclaimed(void)
{
    return gateway.nat->counters.closed[CLOSE_RECLAIMED];
}

static bool lives(const char *internal, const char *remote)
{
    struct session_view view;

    return find_view(&gateway, internal, remote, &view);
}

/* "10.0.0.5:4000", in one of a few buffers. */
static const char *spot(unsigned host, unsigned port)
{
    static char text[8][32];
    static unsigned next;

    next = (next + 1) % 8;
    snprintf(text[next], sizeof(text[next]), "10.0.0.%u:%u", host, port);
    return text[next];
}

/* The external endpoint, in memory of the caller's. */
static void call(char external[32], const char *from, const char *to)
{
    const char *shown = tcp_connect(&gateway, from, to);

    ck_assert_ptr_nonnull(shown);
    snprintf(external, 32, "%s", shown);
}

static void finish(const char *from, const char *to, const char *external)
{
    ck_assert_ptr_nonnull(tcp_out(&gateway, from, to, TCP_FIN | TCP_ACK));
    ck_assert_int_eq(tcp_in(&gateway, to, external, TCP_FIN | TCP_ACK), DROP_NONE);
    ck_assert_ptr_nonnull(tcp_out(&gateway, from, to, TCP_ACK));
}

static const char *who_gets(const char *from, const char *external)
{
    static struct sample sample;

    make_tcp(&sample, from, external, TCP_SYN);
    return arrive(&gateway, &sample) == DROP_NONE ? destination_of(&sample) : NULL;
}

static uint32_t ports_in_use(void)
{
    uint32_t used, size;

    nat_pool_use(gateway.nat, 0, PROTOCOL_TCP, gateway.now, &used, &size);
    return used;
}

/* The order. */

START_TEST(rfc7857_3_a_dry_pool_takes_back_then_shares_then_refuses)
{
    char external[3][32];

    start(2, FILTERING_ADDRESS_DEPENDENT, false);
    call(external[0], "10.0.0.5:1", REMOTE ":443");
    call(external[1], "10.0.0.5:2", REMOTE ":443");
    finish("10.0.0.5:2", REMOTE ":443", external[1]);
    call(external[2], "10.0.0.6:1", OTHER ":443"); /* could share, but need not */
    ck_assert_uint_eq(reclaimed(), 1);
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 0);
    ck_assert_str_eq(external[2], external[1]);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.7:1", OTHER ":80", TCP_SYN));
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 1);
    ck_assert_ptr_nonnull(
        tcp_out(&gateway, "10.0.0.8:1", REMOTE ":443", TCP_SYN)); /* beside the other one */
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.9:1", REMOTE ":443", TCP_SYN));
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 2);
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_closed_first_is_taken_back_first)
{
    static const unsigned closing_order[] = {3, 1, 4, 2};
    char external[5][32], newcomer[32];

    start(4, FILTERING_ADDRESS_DEPENDENT, false);
    for (unsigned i = 1; i <= 4; i++)
        call(external[i], spot(5, i), REMOTE ":443");
    for (int i = 0; i < 4; i++) {
        finish(spot(5, closing_order[i]), REMOTE ":443", external[closing_order[i]]);
        gateway_wait(&gateway, 10);
    }
    for (unsigned i = 0; i < 4; i++) {
        call(newcomer, spot(6, i + 1), REMOTE ":443");
        ck_assert_str_eq(newcomer, external[closing_order[i]]);
        ck_assert(!lives(spot(5, closing_order[i]), REMOTE ":443"));
    }
    ck_assert_uint_eq(reclaimed(), 4);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_closed_connection_whose_endpoint_talks_on_elsewhere_keeps_its_port)
{
    char external[32], again[32];

    start(1, FILTERING_ADDRESS_DEPENDENT, true);
    call(external, "10.0.0.5:1", REMOTE ":443");
    call(again, "10.0.0.5:1", OTHER ":443");
    finish("10.0.0.5:1", REMOTE ":443", external);
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.6:1", REMOTE ":80", TCP_SYN));
    ck_assert_uint_eq(reclaimed(), 0);
    ck_assert(lives("10.0.0.5:1", REMOTE ":443") && lives("10.0.0.5:1", OTHER ":443"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc6888_req11_a_live_connection_never_loses_its_port)
{
    char external[4][32];

    start(4, FILTERING_ADDRESS_DEPENDENT, false);
    for (unsigned i = 0; i < 3; i++)
        call(external[i], spot(5, i + 1), REMOTE ":443");
    snprintf(external[3], 32, "%s",
             tcp_out(&gateway, "10.0.0.5:4", REMOTE ":443", TCP_SYN)); /* opening */
    ck_assert_ptr_nonnull(
        tcp_out(&gateway, "10.0.0.5:2", REMOTE ":443", TCP_FIN | TCP_ACK)); /* half closed */
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":443", external[2], TCP_FIN | TCP_ACK), DROP_NONE);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_ptr_null(tcp_out(&gateway, spot(6, i + 1), REMOTE ":443", TCP_SYN));
    for (unsigned i = 0; i < 4; i++) {
        ck_assert(lives(spot(5, i + 1), REMOTE ":443"));
        ck_assert_str_eq(tcp_out(&gateway, spot(5, i + 1), REMOTE ":443", TCP_ACK), external[i]);
    }
    ck_assert_uint_eq(reclaimed(), 0);
    gateway_stop(&gateway);
}
END_TEST

/* Never. */

START_TEST(rfc5382_req7_a_share_that_never_overloads_refuses)
{
    char external[32];

    start(1, FILTERING_ADDRESS_DEPENDENT, true);
    call(external, "10.0.0.5:1", REMOTE ":443");
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.6:1", OTHER ":443", TCP_SYN));
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 1);
    finish("10.0.0.5:1", REMOTE ":443", external);
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.6:1", OTHER ":443", TCP_SYN), external);
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req3_udp_ports_and_icmp_ids_are_never_shared)
{
    struct sample sample;

    start(2, FILTERING_ENDPOINT_INDEPENDENT, false);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_ptr_nonnull(udp_out(&gateway, spot(5, i + 1), REMOTE ":53"));
        make_icmp_query(&sample, i == 0 ? "10.0.0.5" : "10.0.0.6", REMOTE, ICMP_ECHO_REQUEST, 7);
        ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
    }
    for (unsigned i = 0; i < 50; i++) {
        char remote[32];

        snprintf(remote, sizeof(remote), "192.0.2.%u:53", i + 1);
        ck_assert_ptr_null(udp_out(&gateway, spot(7, i + 1), remote));
        make_icmp_query(&sample, "10.0.0.7", remote, ICMP_ECHO_REQUEST, (uint16_t)i);
        ck_assert_int_eq(leave(&gateway, &sample), DROP_POOL_DRY);
    }
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 0);
    gateway_stop(&gateway);
}
END_TEST

/* Sharing. */

START_TEST(rfc7857_3_a_port_is_free_only_when_its_last_mapping_has_gone)
{
    char owner[32], other[32];

    start(1, FILTERING_ADDRESS_DEPENDENT, false);
    call(owner, "10.0.0.5:1", REMOTE ":443");
    call(other, "10.0.0.6:1", OTHER ":443");
    ck_assert_str_eq(owner, other);
    finish("10.0.0.5:1", REMOTE ":443", owner);
    gateway_wait(&gateway, 241000);
    ck_assert(!lives("10.0.0.5:1", REMOTE ":443") && lives("10.0.0.6:1", OTHER ":443"));
    ck_assert_uint_eq(ports_in_use(), 1);
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.6:1", OTHER ":443", TCP_ACK), other);
    finish("10.0.0.6:1", OTHER ":443", other);
    gateway_wait(&gateway, 241000);
    ck_assert_uint_eq(ports_in_use(), 0); /* it was seen to close: no rest (RFC 6888 REQ-8) */
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.7:1", REMOTE ":443", TCP_SYN));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_3_unknown_remotes_of_a_shared_port_reach_its_owner)
{
    char owner[32], other[32];

    start(1, FILTERING_ENDPOINT_INDEPENDENT, false);
    call(owner, "10.0.0.5:1", REMOTE ":443");
    call(other, "10.0.0.6:1", OTHER ":443");
    ck_assert_str_eq(owner, other);
    ck_assert_str_eq(who_gets("192.0.2.77:1000", owner), "10.0.0.5:1");
    ck_assert_str_eq(who_gets(OTHER ":1000", owner), "10.0.0.5:1");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc4787_req8_a_shared_port_admits_whom_its_owner_has_called)
{
    char owner[32], other[32];

    start(1, FILTERING_ADDRESS_DEPENDENT, false);
    call(owner, "10.0.0.5:1", REMOTE ":443");
    call(other, "10.0.0.6:1", OTHER ":443");
    ck_assert_str_eq(who_gets(REMOTE ":1000", owner), "10.0.0.5:1");
    ck_assert_ptr_null(who_gets(OTHER ":1000", owner)); /* the owner has never called it */
    ck_assert_uint_eq(dropped(DROP_FILTERED), 1);
    gateway_stop(&gateway);
}
END_TEST

/* Whichever of the two has closed: a shared port is worth no more than one of its own. */
START_TEST(rfc7857_3_a_closed_connection_on_a_shared_port_gives_way)
{
    static const char *const host[] = {"10.0.0.5:1", "10.0.0.6:1"}, *const far[] = {REMOTE ":443",
                                                                                    OTHER ":443"};

    for (int closed = 0; closed < 2; closed++) {
        char external[2][32], newcomer[32];

        start(1, FILTERING_ENDPOINT_INDEPENDENT, false);
        for (int i = 0; i < 2; i++)
            call(external[i], host[i], far[i]);
        ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.7:1", far[closed], TCP_SYN));
        finish(host[closed], far[closed], external[closed]);
        call(newcomer, "10.0.0.7:1", far[closed]);
        ck_assert_str_eq(newcomer, external[closed]);
        ck_assert(!lives(host[closed], far[closed]) && lives(host[!closed], far[!closed]));
        ck_assert_uint_eq(reclaimed(), 1);
        ck_assert_str_eq(who_gets("192.0.2.77:1000", newcomer),
                         closed == 0 ? "10.0.0.7:1" : host[0]);
        gateway_stop(&gateway);
    }
}
END_TEST

START_TEST(a_shared_port_whose_connections_have_all_closed_is_used_anew)
{
    char external[2][32], newcomer[32];

    start(1, FILTERING_ADDRESS_DEPENDENT, false);
    call(external[0], "10.0.0.5:1", REMOTE ":443");
    call(external[1], "10.0.0.6:1", OTHER ":443");
    finish("10.0.0.5:1", REMOTE ":443", external[0]);
    finish("10.0.0.6:1", OTHER ":443", external[1]);
    for (unsigned i = 1; i <= 20; i++) {
        call(newcomer, spot(7, i), i % 2 ? REMOTE ":443" : OTHER ":443");
        finish(spot(7, i), i % 2 ? REMOTE ":443" : OTHER ":443", newcomer);
    }
    gateway_wait(&gateway, 241000);
    ck_assert_uint_eq(ports_in_use(), 0);
    ck_assert_uint_eq(dropped(DROP_POOL_DRY), 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_shared_port_without_owner_admits_nobody_new_and_is_shared_no_more)
{
    char owner[32], other[32];

    start(1, FILTERING_ENDPOINT_INDEPENDENT, false);
    call(owner, "10.0.0.5:1", REMOTE ":443");
    call(other, "10.0.0.6:1", OTHER ":443");
    finish("10.0.0.5:1", REMOTE ":443", owner);
    gateway_wait(&gateway, 241000);
    ck_assert_ptr_null(who_gets("192.0.2.77:1000", owner));
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.7:1", REMOTE ":443", TCP_SYN));
    ck_assert_int_eq(tcp_in(&gateway, OTHER ":443", other, TCP_ACK), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_shared_port_whose_owner_has_ended_is_shown_with_who_is_left)
{
    struct mapping_view view;
    char owner[32], other[32];

    start(1, FILTERING_ADDRESS_DEPENDENT, false);
    call(owner, "10.0.0.5:1", REMOTE ":443");
    call(other, "10.0.0.6:1", OTHER ":443");
    ck_assert(nat_view_port(gateway.nat, PROTOCOL_TCP, port_of(owner), gateway.now, &view));
    ck_assert_str_eq(endpoint_text(&view.internal), "10.0.0.5:1");
    finish("10.0.0.5:1", REMOTE ":443", owner);
    gateway_wait(&gateway, 241000);
    ck_assert(nat_view_port(gateway.nat, PROTOCOL_TCP, port_of(owner), gateway.now, &view));
    ck_assert_str_eq(endpoint_text(&view.internal), "10.0.0.6:1");
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc5382_req1_a_mapping_on_a_shared_port_is_endpoint_independent_too)
{
    char owner[32], other[32];

    start(1, FILTERING_ADDRESS_DEPENDENT, false);
    call(owner, "10.0.0.5:1", REMOTE ":443");
    call(other, "10.0.0.6:1", OTHER ":443");
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.6:1", OTHER ":80", TCP_SYN), other);
    /* Its answers would be the owner's. */
    ck_assert_ptr_null(tcp_out(&gateway, "10.0.0.6:1", REMOTE ":443", TCP_SYN));
    ck_assert_uint_eq(dropped(DROP_TUPLE_COLLISION), 1);
    ck_assert(lives("10.0.0.5:1", REMOTE ":443"));
    gateway_stop(&gateway);
}
END_TEST

/* Each live session's answers come by a tuple that no other one's come by. */
static void assert_answers_differ(const struct chance *chance)
{
    const struct table *table = &gateway.nat->table;

    for (uint32_t one = 0; one < table->capacity; one++) {
        for (uint32_t other = 0; other < one; other++)
            seeded(chance, table->session[one].live != SLOT_LIVE ||
                               table->session[other].live != SLOT_LIVE ||
                               memcmp(&table->session[one].sent[ROLE_RESPONDER],
                                      &table->session[other].sent[ROLE_RESPONDER],
                                      sizeof(struct compact_tuple)) != 0);
    }
}

/* One of its two sides says something. */
static void go_on(const struct session_view *view, struct chance *chance)
{
    static const uint8_t flags[] = {TCP_SYN | TCP_ACK, TCP_ACK, TCP_FIN | TCP_ACK,
                                    TCP_FIN | TCP_ACK, TCP_RST};
    uint8_t said = flags[chance_below(chance, sizeof(flags))];
    char external[32], remote[32];

    snprintf(external, sizeof(external), "%s", endpoint_text(&view->external));
    snprintf(remote, sizeof(remote), "%s", endpoint_text(&view->remote));
    if (chance_one_in(chance, 2))
        seeded(chance, tcp_in(&gateway, remote, external, said) == DROP_NONE);
    else
        ck_assert_str_eq(tcp_out(&gateway, endpoint_text(&view->internal), remote, said), external);
}

START_TEST(rfc7857_3_no_two_live_sessions_have_the_same_answers)
{
    struct chance chance = chance_new();

    start(6, FILTERING_ENDPOINT_INDEPENDENT, false);
    for (int round = 0; round < 6000; round++) {
        struct session_view view;
        char remote[32];

        snprintf(remote, sizeof(remote), "192.0.2.%u:443", chance_below(&chance, 5));
        if (!chance_one_in(&chance, 3) &&
            nat_view(gateway.nat, chance_below(&chance, 30), gateway.now, &view))
            go_on(&view, &chance);
        else
            tcp_out(&gateway, spot(1 + chance_below(&chance, 40), 1 + chance_below(&chance, 9)),
                    remote, TCP_SYN);
        if (round % 20 == 0)
            assert_answers_differ(&chance);
        if (chance_one_in(&chance, 200))
            gateway_wait(&gateway, chance_below(&chance, 100000));
    }
    ck_assert_uint_gt(gateway.nat->counters.overloaded, 50);
    ck_assert_uint_gt(reclaimed(), 50);
    ck_assert_uint_gt(dropped(DROP_POOL_DRY), 50);
    gateway_stop(&gateway);
}
END_TEST

/* A busy minute. */

enum {
    PER_SECOND = 2000,
    OPEN_MS = 50, /* how long a connection is open */
    IN_FLIGHT = PER_SECOND / 1000 * OPEN_MS,
};

static void busy_start(void)
{
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = 20000;
    policy_limits(policy)->sessions_per_host = 20000;
    add_share(policy, "lab", "10.0.0.0/24", 49152, 65535, FILTERING_ADDRESS_DEPENDENT);
    gateway_start(&gateway, policy);
}

/* Who speaks to the server, by number; its external port. */
struct flight {
    uint32_t host;
    uint16_t port, external;
};

/*
 * One packet, without the text, the checksums and the look at every row of the table that support.h
 * has for each. False when it is dropped.
 */
static bool says(struct flight *flight, enum packet_hook hook, uint8_t flags)
{
    static struct sample sample;
    uint8_t *ip = sample.bytes;
    bool out = hook == HOOK_OUTBOUND;

    if (sample.packet.data == NULL)
        make_tcp(&sample, "10.0.0.1:1", REMOTE ":443", TCP_SYN);
    put32(ip + (out ? 12 : 16),
          out ? flight->host : get32(endpoint_of(EXTERNAL).address.bytes + 12));
    put32(ip + (out ? 16 : 12), get32(endpoint_of(REMOTE).address.bytes + 12));
    put16(ip + (out ? 20 : 22), out ? flight->port : flight->external);
    put16(ip + (out ? 22 : 20), 443);
    put32(ip + 24, flags & TCP_SYN ? 1000 : 1001);
    put32(ip + 28, flags & TCP_ACK ? 1001 : 0);
    ip[33] = flags;
    sample.packet.hook = hook;
    sample.packet.in_interface = out ? LAN : WAN;
    sample.packet.out_interface = out ? WAN : 0;
    nat_translate_batch(gateway.nat, &sample.packet, 1, gateway.now);
    if (sample.packet.verdict != VERDICT_REWRITTEN)
        return false;
    if (out && flags == TCP_SYN)
        flight->external = get16(ip + 20);
    return get16(ip + (out ? 20 : 22)) == (out ? flight->external : flight->port);
}

static void take_off(struct flight *flight, unsigned number)
{
    flight->host = 0x0a000001 + number % 200;
    flight->port = (uint16_t)(1024 + number / 200);
    ck_assert(says(flight, HOOK_OUTBOUND, TCP_SYN));
    ck_assert(says(flight, HOOK_INBOUND, TCP_SYN | TCP_ACK));
    ck_assert(says(flight, HOOK_OUTBOUND, TCP_ACK));
}

static void land(struct flight *flight)
{
    ck_assert(says(flight, HOOK_OUTBOUND, TCP_FIN | TCP_ACK));
    ck_assert(says(flight, HOOK_INBOUND, TCP_FIN | TCP_ACK));
    ck_assert(says(flight, HOOK_OUTBOUND, TCP_ACK));
}

START_TEST(rfc6888_req13_2000_connections_a_second_to_one_server_are_all_served)
{
    static struct flight flights[IN_FLIGHT];
    unsigned number = 0;

    busy_start();
    for (unsigned ms = 0; ms < 60000; ms++) {
        gateway.now++;
        for (unsigned i = 0; i < PER_SECOND / 1000; i++, number++) {
            struct flight *flight = &flights[number % IN_FLIGHT];

            if (number >= IN_FLIGHT)
                land(flight);
            take_off(flight, number);
        }
        if (ms % 1000 == 0)
            nat_tick(gateway.nat, gateway.now, 0);
        if (ms % 10000 == 0)
            check_invariants(gateway.nat);
    }
    ck_assert_uint_eq(number, 60 * PER_SECOND);
    ck_assert_uint_eq(gateway.nat->counters.opened, number);
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 0); /* to one server it could not share */
    ck_assert_uint_ge(reclaimed(), number - 16384);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc7857_3_a_dry_pool_takes_back_then_shares_then_refuses,
        what_closed_first_is_taken_back_first,
        a_closed_connection_whose_endpoint_talks_on_elsewhere_keeps_its_port,
        rfc6888_req11_a_live_connection_never_loses_its_port,
        rfc5382_req7_a_share_that_never_overloads_refuses,
        rfc4787_req3_udp_ports_and_icmp_ids_are_never_shared,
        rfc7857_3_a_port_is_free_only_when_its_last_mapping_has_gone,
        rfc7857_3_unknown_remotes_of_a_shared_port_reach_its_owner,
        rfc4787_req8_a_shared_port_admits_whom_its_owner_has_called,
        rfc7857_3_a_closed_connection_on_a_shared_port_gives_way,
        a_shared_port_whose_connections_have_all_closed_is_used_anew,
        a_shared_port_without_owner_admits_nobody_new_and_is_shared_no_more,
        a_shared_port_whose_owner_has_ended_is_shown_with_who_is_left,
        rfc5382_req1_a_mapping_on_a_shared_port_is_endpoint_independent_too,
        rfc7857_3_no_two_live_sessions_have_the_same_answers,
        rfc6888_req13_2000_connections_a_second_to_one_server_are_all_served,
    };

    return RUN_TESTS("overload", tests);
}
