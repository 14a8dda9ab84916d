/*
 * test_share_options.c - what a share may choose: filtering by protocol, exempt destinations,
 * refresh by the outside, soft pairing, parity; and a host's rate of new sessions
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define EXEMPT "192.0.2.77"
#define SECOND "203.0.113.6"

static struct gateway gateway;

/* "lab" with these options and a pool of `ports` from 50000 on. */
static struct policy *policy_of(struct share options, uint16_t ports)
{
    struct prefix source = prefix_of("10.0.0.0/24"), exempt = prefix_of("192.0.2.64/26");
    struct port_range range = {50000, (uint16_t)(50000 + ports - 1)};
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = 256;
    policy_limits(policy)->sessions_per_host = 256;
    snprintf(options.name, sizeof(options.name), "lab");
    options.source = &source;
    options.source_count = 1;
    options.ports = &range;
    options.ports_count = 1;
    if (options.exempt_count > 0)
        options.exempt = &exempt;
    ck_assert(policy_add_share(policy, &options));
    return policy;
}
#define START(ports, ...) gateway_start(&gateway, policy_of((struct share){__VA_ARGS__}, ports))

static const char *spot(unsigned host, unsigned port)
{
    static char text[8][32];
    static unsigned next;

    next = (next + 1) % 8;
    snprintf(text[next], sizeof(text[next]), "10.0.0.%u:%u", host, port);
    return text[next];
}

static void keep(char external[32], const char *shown)
{
    ck_assert_ptr_nonnull(shown);
    snprintf(external, 32, "%s", shown);
}

static bool lives(const char *internal, const char *remote)
{
    struct session_view view;

    return find_view(&gateway, internal, remote, &view);
}

/* Filtering. */

/* Which of two strangers come in: another port, another address. */
static const char *who_comes_in(const char *external, bool tcp)
{
    static const char *const stranger[] = {REMOTE ":1000", "192.0.2.1:1000"};
    static char letters[3];

    for (int i = 0; i < 2; i++) {
        enum drop_reason reason = tcp ? tcp_in(&gateway, stranger[i], external, TCP_SYN)
                                      : udp_in(&gateway, stranger[i], external);

        ck_assert(reason == DROP_NONE || reason == DROP_FILTERED);
        letters[i] = reason == DROP_NONE ? 'y' : 'n';
    }
    return letters;
}

START_TEST(rfc5382_req3b_tcp_is_filtered_apart_from_udp)
{
    static const char *const expected[] = {"yy", "yn", "nn"};
    char udp[32], tcp[32];

    for (int of_udp = 0; of_udp < 3; of_udp++) {
        for (int of_tcp = 0; of_tcp < 3; of_tcp++) {
            START(100, .filtering = FILTERING_ADDRESS_DEPENDENT,
                  .filtering_of[PROTOCOL_INDEX_UDP] = (uint8_t)(1 + of_udp),
                  .filtering_of[PROTOCOL_INDEX_TCP] = (uint8_t)(1 + of_tcp));
            keep(udp, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
            keep(tcp, tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
            ck_assert_str_eq(who_comes_in(udp, false), expected[of_udp]);
            ck_assert_str_eq(who_comes_in(tcp, true), expected[of_tcp]);
            gateway_stop(&gateway);
        }
    }
}
END_TEST

START_TEST(rfc7857_6_one_protocols_filtering_leaves_the_other_as_the_share_says)
{
    char udp[32], tcp[32];

    START(100, .filtering = FILTERING_ADDRESS_AND_PORT_DEPENDENT,
          .filtering_of[PROTOCOL_INDEX_UDP] = 1 + FILTERING_ENDPOINT_INDEPENDENT);
    keep(udp, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    keep(tcp, tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    ck_assert_str_eq(who_comes_in(udp, false), "yy");
    ck_assert_str_eq(who_comes_in(tcp, true), "nn");
    gateway_stop(&gateway);
}
END_TEST

/* Exempt destinations. */

static enum verdict sent(struct sample *sample)
{
    leave(&gateway, sample);
    return sample->packet.verdict;
}

START_TEST(rfc6888_req6_exempt_destinations_see_the_hosts_own_address)
{
    struct sample sample;

    START(100, .exempt_count = 1);
    make_udp(&sample, "10.0.0.5:4000", EXEMPT ":53", 20);
    ck_assert_int_eq(sent(&sample), VERDICT_ACCEPT);
    make_tcp(&sample, "10.0.0.5:4000", EXEMPT ":443", TCP_SYN);
    ck_assert_int_eq(sent(&sample), VERDICT_ACCEPT);
    make_tcp(&sample, "10.0.0.5:4000", EXEMPT ":443", TCP_ACK); /* in the middle of a connection */
    ck_assert_int_eq(sent(&sample), VERDICT_ACCEPT);
    make_icmp_query(&sample, "10.0.0.5", EXEMPT, ICMP_ECHO_REQUEST, 7);
    ck_assert_int_eq(sent(&sample), VERDICT_ACCEPT);
    make_udp(&sample, "10.0.0.5:4000", "192.0.2.63:53", 20); /* the address before the prefix */
    ck_assert_int_eq(sent(&sample), VERDICT_REWRITTEN);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    ck_assert_uint_eq(gateway.nat->counters.unchanged, 4);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc6888_req6_every_protocol_passes_to_exempt_destinations)
{
    struct sample sample, quoted;

    START(100, .exempt_count = 1);
    make_raw(&sample, "10.0.0.5", EXEMPT, 47, 20);
    ck_assert_int_eq(sent(&sample), VERDICT_ACCEPT);
    make_icmp_query(&sample, "10.0.0.5", EXEMPT, 17, 7); /* address mask request */
    ck_assert_int_eq(sent(&sample), VERDICT_ACCEPT);
    make_udp(&quoted, EXEMPT ":1000", "10.0.0.5:9", 20);
    make_icmp_error(&sample, "10.0.0.5", EXEMPT, 3, 3, &quoted, 8);
    ck_assert_int_eq(sent(&sample), VERDICT_ACCEPT);
    make_raw(&sample, "10.0.0.5", REMOTE, 47, 20);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_UNSUPPORTED_PROTOCOL);
    make_udp(&quoted, REMOTE ":1000", "10.0.0.5:9", 20);
    make_icmp_error(&sample, "10.0.0.5", REMOTE, 3, 3, &quoted, 8);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_ICMP_NO_SESSION);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc6888_req6_a_session_to_what_becomes_exempt_goes_on)
{
    char external[32];

    START(100, .exempt_count = 0);
    keep(external, tcp_connect(&gateway, "10.0.0.5:4000", EXEMPT ":443"));
    ck_assert_uint_eq(
        gateway_change_policy(&gateway, policy_of((struct share){.exempt_count = 1}, 100)), 0);
    ck_assert_str_eq(tcp_out(&gateway, "10.0.0.5:4000", EXEMPT ":443", TCP_ACK), external);
    ck_assert_int_eq(tcp_in(&gateway, EXEMPT ":443", external, TCP_ACK), DROP_NONE);
    ck_assert_ptr_null(
        tcp_out(&gateway, "10.0.0.5:4001", EXEMPT ":443", TCP_SYN)); /* not translated */
    ck_assert_uint_eq(gateway.nat->counters.unchanged, 1);
    gateway_stop(&gateway);
}
END_TEST

/* Who keeps a session alive. */

START_TEST(rfc4787_req6b_inbound_packets_refresh_only_where_the_share_says_so)
{
    for (int quiet = 0; quiet < 2; quiet++) {
        struct sample sample;
        char external[32];
        uint16_t id;

        START(100, .no_inbound_refresh = quiet);
        keep(external, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
        gateway_wait(&gateway, 200000);
        ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
        make_icmp_query(&sample, "10.0.0.5", REMOTE, ICMP_ECHO_REQUEST, 7);
        ck_assert_int_eq(leave(&gateway, &sample), DROP_NONE);
        id = icmp_id_of(&sample);
        gateway_wait(&gateway, 50000);
        make_icmp_query(&sample, REMOTE, EXTERNAL, ICMP_ECHO_REPLY, id);
        ck_assert_int_eq(arrive(&gateway, &sample), DROP_NONE);
        gateway_wait(&gateway, 10000);
        ck_assert_uint_eq(gateway.nat->table.live,
                          quiet ? 1 : 2); /* the ping's 60 seconds are over */
        gateway_wait(&gateway, 40000);
        ck_assert(lives("10.0.0.5:4000", REMOTE ":53") == !quiet);
        gateway_stop(&gateway);
    }
}
END_TEST

START_TEST(rfc4787_req6a_outbound_packets_always_refresh)
{
    START(100, .no_inbound_refresh = true);
    for (int i = 0; i < 5; i++) {
        ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
        gateway_wait(&gateway, 299000);
    }
    ck_assert(lives("10.0.0.5:4000", REMOTE ":53"));
    ck_assert_uint_eq(gateway.nat->counters.opened, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(tcp_is_refreshed_by_either_side_whatever_the_share_says)
{
    char external[32];

    START(100, .no_inbound_refresh = true);
    keep(external, tcp_connect(&gateway, "10.0.0.5:4000", REMOTE ":443"));
    gateway_wait(&gateway, 7000000);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":443", external, TCP_ACK), DROP_NONE);
    gateway_wait(&gateway, 7000000);
    ck_assert(lives("10.0.0.5:4000", REMOTE ":443"));
    gateway_stop(&gateway);
}
END_TEST

/* Several external addresses. */

static void use_both_addresses(void)
{
    struct address addresses[] = {address_of(EXTERNAL), address_of(SECOND)};

    ck_assert_uint_eq(gateway_set_addresses(&gateway, addresses, 2), 0);
}

START_TEST(rfc7857_4_hard_pairing_refuses_when_the_hosts_address_is_dry)
{
    char first[32];

    START(2, .soft_pairing = false);
    use_both_addresses();
    keep(first, udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    for (unsigned port = 2; port < 6; port++) {
        const char *shown = udp_out(&gateway, spot(5, port), REMOTE ":53");

        ck_assert((shown != NULL) == (port == 2));
        ck_assert(shown == NULL || memcmp(shown, first, strlen(EXTERNAL)) == 0);
    }
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_POOL_DRY], 3);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc7857_4_soft_pairing_takes_another_address_then)
{
    char shown[4][32];

    START(2, .soft_pairing = true);
    use_both_addresses();
    for (unsigned i = 0; i < 4; i++)
        keep(shown[i], udp_out(&gateway, spot(5, i + 1), REMOTE ":53"));
    ck_assert_mem_eq(shown[0], shown[1], strlen(EXTERNAL));
    ck_assert_mem_ne(shown[0], shown[2], strlen(EXTERNAL));
    ck_assert_mem_eq(shown[2], shown[3], strlen(EXTERNAL));
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:5", REMOTE ":53"));
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:3", REMOTE ":54"),
                     shown[2]); /* endpoint-independent still */
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", shown[2]), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(soft_pairing_uses_every_address_before_it_shares_a_port)
{
    START(1, .soft_pairing = true);
    use_both_addresses();
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:1", REMOTE ":443", TCP_SYN));
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:2", "192.0.2.1:443", TCP_SYN));
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 0);
    ck_assert_ptr_nonnull(tcp_out(&gateway, "10.0.0.5:3", "192.0.2.2:443", TCP_SYN));
    ck_assert_uint_eq(gateway.nat->counters.overloaded, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(rfc6888_req2_a_host_keeps_to_its_address_as_long_as_it_can)
{
    bool both[2] = {false, false};

    START(500, .soft_pairing = true);
    use_both_addresses();
    for (unsigned host = 1; host <= 20; host++) {
        char first[32];

        keep(first, udp_out(&gateway, spot(host, 1), REMOTE ":53"));
        both[strncmp(first, SECOND ":", strlen(SECOND) + 1) == 0] = true;
        for (unsigned port = 2; port <= 8; port++)
            ck_assert_mem_eq(udp_out(&gateway, spot(host, port), REMOTE ":53"), first,
                             strlen(EXTERNAL));
    }
    ck_assert(both[0] && both[1]);
    gateway_stop(&gateway);
}
END_TEST

/* Parity. */

START_TEST(rfc4787_req4_parity_is_kept_through_the_gateway)
{
    for (int on = 0; on < 2; on++) {
        unsigned like = 0;

        START(1000, .keep_parity = on);
        for (unsigned port = 1; port <= 60; port++) {
            like += port_of(udp_out(&gateway, spot(5, port), REMOTE ":53")) % 2 == port % 2;
            like += port_of(tcp_out(&gateway, spot(5, 4000 + port), REMOTE ":80", TCP_SYN)) % 2 ==
                    port % 2;
        }
        ck_assert(on ? like == 120 : like > 20 && like < 100);
        gateway_stop(&gateway);
    }
}
END_TEST

/* The rate of new sessions. */

static void start_limited(uint32_t rate)
{
    struct policy *policy =
        policy_of((struct share){.filtering = FILTERING_ENDPOINT_INDEPENDENT}, 1000);

    policy_limits(policy)->new_sessions_per_host = rate;
    add_forward(policy, "web", FORWARD_TCP, 80, 80, "10.0.0.5:80", NULL);
    gateway_start(&gateway, policy);
}

/* How many of so many sessions the host may open now. */
static unsigned opens(unsigned host, unsigned tries)
{
    static unsigned port = 1;
    unsigned opened = 0;

    while (tries-- > 0)
        opened += udp_out(&gateway, spot(host, port++), REMOTE ":53") != NULL;
    return opened;
}

START_TEST(rfc6888_req4c_a_host_opens_so_many_sessions_a_second)
{
    start_limited(5);
    ck_assert_uint_eq(opens(5, 20), 5);
    ck_assert_uint_eq(gateway.nat->counters.dropped[DROP_HOST_RATE], 15);
    gateway_wait(&gateway, 199);
    ck_assert_uint_eq(opens(5, 20), 0);
    gateway_wait(&gateway, 1); /* a fifth of a second earns one */
    ck_assert_uint_eq(opens(5, 20), 1);
    gateway_wait(&gateway, 1000);
    ck_assert_uint_eq(opens(5, 20), 5);
    gateway_wait(&gateway, 100000); /* a long silence earns no more */
    ck_assert_uint_eq(opens(5, 20), 5);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_rate_that_milliseconds_do_not_divide_is_kept_in_the_long_run)
{
    unsigned opened = 0;

    start_limited(3);
    for (int i = 0; i < 300; i++) {
        opened += opens(5, 1);
        gateway_wait(&gateway, 17);
    }
    ck_assert_uint_ge(opened, 3 + 3 * 5 - 1);
    ck_assert_uint_le(opened, 3 + 3 * 5 + 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_rate_is_each_hosts_own_and_concerns_only_what_it_opens)
{
    char external[32];

    start_limited(2);
    keep(external, udp_out(&gateway, "10.0.0.5:9000", REMOTE ":53"));
    ck_assert_uint_eq(opens(5, 5), 1);
    ck_assert_uint_eq(opens(6, 5), 2);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:9000", REMOTE ":53"),
                     external); /* what it has goes on */
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.9:1", external), DROP_NONE);
    for (unsigned port = 1; port <= 10; port++) {
        char client[32];

        snprintf(client, sizeof(client), REMOTE ":%u", port);
        ck_assert_int_eq(tcp_in(&gateway, client, EXTERNAL ":80", TCP_SYN), DROP_NONE);
    }
    gateway_stop(&gateway);
}
END_TEST

START_TEST(without_a_rate_a_host_opens_as_many_as_its_limit)
{
    start_limited(0);
    ck_assert_uint_eq(opens(5, 200), 200);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rfc5382_req3b_tcp_is_filtered_apart_from_udp,
        rfc7857_6_one_protocols_filtering_leaves_the_other_as_the_share_says,
        rfc6888_req6_exempt_destinations_see_the_hosts_own_address,
        rfc6888_req6_every_protocol_passes_to_exempt_destinations,
        rfc6888_req6_a_session_to_what_becomes_exempt_goes_on,
        rfc4787_req6b_inbound_packets_refresh_only_where_the_share_says_so,
        rfc4787_req6a_outbound_packets_always_refresh,
        tcp_is_refreshed_by_either_side_whatever_the_share_says,
        rfc7857_4_hard_pairing_refuses_when_the_hosts_address_is_dry,
        rfc7857_4_soft_pairing_takes_another_address_then,
        soft_pairing_uses_every_address_before_it_shares_a_port,
        rfc6888_req2_a_host_keeps_to_its_address_as_long_as_it_can,
        rfc4787_req4_parity_is_kept_through_the_gateway,
        rfc6888_req4c_a_host_opens_so_many_sessions_a_second,
        a_rate_that_milliseconds_do_not_divide_is_kept_in_the_long_run,
        the_rate_is_each_hosts_own_and_concerns_only_what_it_opens,
        without_a_rate_a_host_opens_as_many_as_its_limit,
    };

    return RUN_TESTS("share options", tests);
}
