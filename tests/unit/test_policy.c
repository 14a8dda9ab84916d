/*
 * test_policy.c - shares, forwards, pools; beside a naive twin that scans lists
 */
#include "support_run.h"

#include "portreeve/policy.h"
#include "portreeve/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANDOM_POLICIES 150

static struct policy *policy;

static void setup(void)
{
    policy = policy_new();
    ck_assert_ptr_nonnull(policy);
}

static void teardown(void)
{
    policy_free(policy);
}

static struct address address(const char *text)
{
    struct address parsed;

    ck_assert_msg(text_parse_address(text, &parsed), "%s", text);
    return parsed;
}

static void add_share(const char *name, const char *source, uint16_t first, uint16_t last)
{
    struct prefix prefix;
    struct port_range ports = {first, last};
    struct share share = {.source = &prefix, .source_count = 1, .ports = &ports, .ports_count = 1};

    snprintf(share.name, sizeof(share.name), "%s", name);
    ck_assert(text_parse_prefix(source, &prefix));
    ck_assert(policy_add_share(policy, &share));
}

static void add_forward(const char *name, uint8_t protocols, uint16_t first, uint16_t last,
                        const char *to)
{
    struct forward forward = {.protocols = protocols, .listen = {first, last}};

    snprintf(forward.name, sizeof(forward.name), "%s", name);
    ck_assert(text_parse_endpoint(to, &forward.target[0]));
    forward.target_count = 1;
    ck_assert(policy_add_forward(policy, &forward));
}

static uint16_t share_of(const char *text)
{
    struct address internal = address(text);

    return policy_share_of(policy, &internal);
}

static uint16_t forward_to(uint8_t protocol, const char *text, uint16_t *port)
{
    struct endpoint internal;

    ck_assert(text_parse_endpoint(text, &internal));
    return policy_forward_to(policy, protocol, &internal, port);
}

START_TEST(a_new_policy_has_the_defaults_of_the_rfcs)
{
    const struct timeouts *timeouts = policy_timeouts_const(policy);

    ck_assert_uint_eq(timeouts->udp, 300);
    ck_assert_uint_eq(timeouts->tcp_established, 7440);
    ck_assert_uint_eq(timeouts->tcp_transitory, 240);
    ck_assert_uint_eq(timeouts->icmp, 60);
    ck_assert_uint_eq(policy_limits_const(policy)->sessions, 262144);
    ck_assert_uint_eq(policy_limits_const(policy)->sessions_per_host, 16384);
    ck_assert_uint_eq(policy_limits_const(policy)->new_sessions_per_host, 0);
}
END_TEST

START_TEST(an_empty_policy_knows_nobody)
{
    uint16_t port = 7;

    ck_assert(policy_seal(policy));
    ck_assert_uint_eq(share_of("10.0.0.1"), POLICY_NONE);
    ck_assert_uint_eq(policy_forward_at(policy, PROTOCOL_TCP, 80), POLICY_NONE);
    ck_assert_uint_eq(forward_to(PROTOCOL_TCP, "10.0.0.1:80", &port), POLICY_NONE);
    ck_assert_uint_eq(port, 7);
    ck_assert_uint_eq(policy_published(policy, PROTOCOL_TCP, NULL, 0), 0);
}
END_TEST

START_TEST(the_longest_prefix_decides_the_share)
{
    add_share("wide", "10.0.0.0/8", 50000, 50999);
    add_share("narrow", "10.1.0.0/16", 51000, 51999);
    add_share("host", "10.1.2.3", 52000, 52999);
    ck_assert(policy_seal(policy));
    ck_assert_uint_eq(share_of("10.0.255.255"), 0);
    ck_assert_uint_eq(share_of("10.1.0.0"), 1);
    ck_assert_uint_eq(share_of("10.1.2.3"), 2);
    ck_assert_uint_eq(share_of("10.1.2.4"), 1);
    ck_assert_uint_eq(share_of("10.2.0.0"), 0);
    ck_assert_uint_eq(share_of("11.0.0.0"), POLICY_NONE);
    ck_assert_uint_eq(share_of("9.255.255.255"), POLICY_NONE);
}
END_TEST

START_TEST(a_range_delivers_one_to_one_and_is_found_both_ways)
{
    uint16_t port = 0;
    struct endpoint target;

    add_forward("range", FORWARD_UDP, 8000, 8099, "10.0.0.9:9000");
    ck_assert(policy_seal(policy));
    ck_assert_uint_eq(policy_forward_at(policy, PROTOCOL_UDP, 7999), POLICY_NONE);
    ck_assert_uint_eq(policy_forward_at(policy, PROTOCOL_UDP, 8000), 0);
    ck_assert_uint_eq(policy_forward_at(policy, PROTOCOL_UDP, 8099), 0);
    ck_assert_uint_eq(policy_forward_at(policy, PROTOCOL_UDP, 8100), POLICY_NONE);
    ck_assert_uint_eq(policy_forward_at(policy, PROTOCOL_TCP, 8000), POLICY_NONE);
    ck_assert_uint_eq(policy_forward_at(policy, PROTOCOL_ICMP, 8000), POLICY_NONE);
    target = policy_forward_target(policy_forward(policy, 0), 8042);
    ck_assert_uint_eq(target.port, 9042);
    ck_assert_uint_eq(forward_to(PROTOCOL_UDP, "10.0.0.9:9042", &port), 0);
    ck_assert_uint_eq(port, 8042);
    ck_assert_uint_eq(forward_to(PROTOCOL_UDP, "10.0.0.9:9100", &port), POLICY_NONE);
    ck_assert_uint_eq(forward_to(PROTOCOL_TCP, "10.0.0.9:9042", &port), POLICY_NONE);
    ck_assert_uint_eq(forward_to(PROTOCOL_UDP, "10.0.0.8:9042", &port), POLICY_NONE);
}
END_TEST

START_TEST(a_wide_target_is_found_behind_narrow_ones)
{
    uint16_t port = 0;

    add_forward("wide", FORWARD_TCP, 1000, 1999, "10.0.0.9:5000");
    add_forward("one", FORWARD_TCP, 80, 80, "10.0.0.9:5010");
    add_forward("few", FORWARD_TCP, 100, 109, "10.0.0.9:5020");
    ck_assert(policy_seal(policy));
    ck_assert_uint_eq(forward_to(PROTOCOL_TCP, "10.0.0.9:5010", &port), 1);
    ck_assert_uint_eq(port, 80);
    ck_assert_uint_eq(forward_to(PROTOCOL_TCP, "10.0.0.9:5015", &port), 0);
    ck_assert_uint_eq(port, 1015);
    ck_assert_uint_eq(forward_to(PROTOCOL_TCP, "10.0.0.9:5025", &port), 2);
    ck_assert_uint_eq(forward_to(PROTOCOL_TCP, "10.0.0.9:5999", &port), 0);
    ck_assert_uint_eq(forward_to(PROTOCOL_TCP, "10.0.0.9:6000", &port), POLICY_NONE);
}
END_TEST

START_TEST(of_two_forwards_to_one_endpoint_the_first_one_answers)
{
    uint16_t port = 0;

    add_forward("first", FORWARD_TCP, 8080, 8080, "10.0.0.2:80");
    add_forward("second", FORWARD_TCP, 80, 80, "10.0.0.2:80");
    ck_assert(policy_seal(policy));
    ck_assert_uint_eq(forward_to(PROTOCOL_TCP, "10.0.0.2:80", &port), 0);
    ck_assert_uint_eq(port, 8080);
}
END_TEST

START_TEST(a_forward_without_a_list_allows_everyone_and_with_one_only_those)
{
    struct forward open = {.allow_count = 0};
    struct prefix allow[2];
    struct forward closed = {.allow = allow, .allow_count = 2};
    struct address friend = address("198.51.100.9"), other = address("198.51.101.9"),
                   host = address("203.0.113.7");

    ck_assert(text_parse_prefix("198.51.100.0/24", &allow[0]));
    ck_assert(text_parse_prefix("203.0.113.7", &allow[1]));
    ck_assert(policy_forward_allows(&open, &other));
    ck_assert(policy_forward_allows(&closed, &friend));
    ck_assert(policy_forward_allows(&closed, &host));
    ck_assert(!policy_forward_allows(&closed, &other));
}
END_TEST

START_TEST(a_share_exempts_only_what_it_lists)
{
    struct prefix exempt[2];
    struct share none = {.exempt_count = 0}, some = {.exempt = exempt, .exempt_count = 2};
    struct address network = address("192.0.2.255"), host = address("198.51.100.7"),
                   beside = address("198.51.100.8"), before = address("192.0.1.255");

    ck_assert(text_parse_prefix("192.0.2.0/24", &exempt[0]));
    ck_assert(text_parse_prefix("198.51.100.7", &exempt[1]));
    ck_assert(!share_exempts(&none, &network));
    ck_assert(share_exempts(&some, &network));
    ck_assert(share_exempts(&some, &host));
    ck_assert(!share_exempts(&some, &beside));
    ck_assert(!share_exempts(&some, &before));
}
END_TEST

/* Every filtering, with each of the protocols' own ones: 0 is none. */
START_TEST(a_protocols_own_filtering_counts_before_the_shares)
{
    for (unsigned i = 0; i < 3 * 4 * 4; i++) {
        unsigned common = i % 3, tcp = i / 3 % 4, udp = i / 12;
        struct share share = {.filtering = (enum filtering)common,
                              .filtering_of[PROTOCOL_INDEX_TCP] = (uint8_t)tcp,
                              .filtering_of[PROTOCOL_INDEX_UDP] = (uint8_t)udp};

        ck_assert_uint_eq(share_filtering(&share, PROTOCOL_TCP), tcp > 0 ? tcp - 1 : common);
        ck_assert_uint_eq(share_filtering(&share, PROTOCOL_UDP), udp > 0 ? udp - 1 : common);
        ck_assert_uint_eq(share_filtering(&share, PROTOCOL_ICMP), common);
    }
}
END_TEST

START_TEST(a_conflict_needs_a_common_port_of_a_common_protocol)
{
    struct forward probe = {.protocols = FORWARD_TCP, .listen = {90, 100}};

    add_forward("web", FORWARD_TCP, 80, 90, "10.0.0.2:80");
    add_forward("dns", FORWARD_UDP, 100, 100, "10.0.0.2:53");
    ck_assert_str_eq(policy_find_conflict(policy, &probe)->name, "web");
    probe.listen.first = 91;
    ck_assert_ptr_null(policy_find_conflict(policy, &probe));
    probe.protocols = FORWARD_TCP | FORWARD_UDP;
    ck_assert_str_eq(policy_find_conflict(policy, &probe)->name, "dns");
}
END_TEST

START_TEST(pools_leave_out_forwards_and_local_sockets)
{
    add_share("lab", "10.0.0.0/24", 50000, 50009);
    add_forward("web", FORWARD_TCP, 50003, 50004, "10.0.0.2:80");
    policy_exclude_port(policy, PROTOCOL_UDP, 50009);
    policy_exclude_port(policy, PROTOCOL_TCP, 22);
    ck_assert(policy_seal(policy));
    ck_assert_uint_eq(policy_pool(policy, 0, PROTOCOL_TCP)->size, 8);
    ck_assert_uint_eq(policy_pool(policy, 0, PROTOCOL_UDP)->size, 9);
    ck_assert_uint_eq(policy_pool(policy, 0, PROTOCOL_ICMP)->size, 10);
    ck_assert_uint_eq(policy_pool(policy, 0, PROTOCOL_UDP)->first, 50000);
    ck_assert_uint_eq(policy_pool(policy, 0, PROTOCOL_UDP)->last, 50008);
    ck_assert(policy_is_published(policy, PROTOCOL_TCP, 50003));
    ck_assert(policy_is_published(policy, PROTOCOL_UDP, 50003));
    ck_assert(!policy_is_published(policy, PROTOCOL_UDP, 50009));
    ck_assert(!policy_is_published(policy, PROTOCOL_TCP, 22));
    ck_assert(!policy_is_published(policy, 47, 50003));
}
END_TEST

START_TEST(published_ports_are_merged_ranges)
{
    struct port_range ranges[8];

    add_share("lab", "10.0.0.0/24", 50000, 50009);
    add_forward("a", FORWARD_TCP, 80, 80, "10.0.0.2:80");
    add_forward("b", FORWARD_TCP, 81, 90, "10.0.0.2:81");
    add_forward("c", FORWARD_TCP, 65535, 65535, "10.0.0.2:1");
    add_forward("d", FORWARD_TCP, 50010, 50010, "10.0.0.2:2");
    ck_assert(policy_seal(policy));
    ck_assert_uint_eq(policy_published(policy, PROTOCOL_TCP, ranges, 8), 3);
    ck_assert(ranges[0].first == 80 && ranges[0].last == 90);
    ck_assert(ranges[1].first == 50000 && ranges[1].last == 50010);
    ck_assert(ranges[2].first == 65535 && ranges[2].last == 65535);
    ranges[1] = (struct port_range){1, 2};
    ck_assert_uint_eq(policy_published(policy, PROTOCOL_TCP, ranges, 1), 3);
    ck_assert(ranges[1].first == 1 && ranges[1].last == 2);
}
END_TEST

START_TEST(equal_ranges_are_one_pool_and_half_equal_ones_are_refused)
{
    add_share("a", "10.0.0.0/24", 50000, 50009);
    add_share("b", "10.0.1.0/24", 50000, 50009);
    add_share("c", "10.0.2.0/24", 50010, 50019);
    ck_assert(policy_seal(policy));
    ck_assert_ptr_eq(policy_pool(policy, 0, PROTOCOL_TCP), policy_pool(policy, 1, PROTOCOL_TCP));
    ck_assert_ptr_ne(policy_pool(policy, 0, PROTOCOL_TCP), policy_pool(policy, 2, PROTOCOL_TCP));
    ck_assert_uint_eq(policy_share(policy, 1)->pool, 0);
    ck_assert_uint_eq(policy_share(policy, 2)->pool, 1);
    policy_free(policy);
    policy = policy_new();
    add_share("a", "10.0.0.0/24", 50000, 50009);
    add_share("b", "10.0.1.0/24", 50009, 50019);
    ck_assert(!policy_seal(policy));
}
END_TEST

START_TEST(a_copy_is_unsealed_and_its_changes_stay_its_own)
{
    struct policy *original = policy, *copy;

    add_share("lab", "10.0.0.0/24", 50000, 50009);
    add_forward("web", FORWARD_TCP, 80, 80, "10.0.0.2:80");
    add_forward("ssh", FORWARD_TCP, 22, 22, "10.0.0.2:22");
    policy_timeouts(policy)->udp = 17;
    policy_exclude_port(policy, PROTOCOL_TCP, 50001);
    ck_assert(policy_seal(policy));
    copy = policy_copy(original);
    ck_assert_ptr_nonnull(copy);
    policy = copy;
    ck_assert(policy_remove_forward(copy, "web"));
    ck_assert(!policy_remove_forward(copy, "web"));
    add_forward("new", FORWARD_TCP, 443, 443, "10.0.0.2:443");
    ck_assert(policy_seal(copy));
    ck_assert_uint_eq(policy_forward_count(copy), 2);
    ck_assert_str_eq(policy_forward(copy, 0)->name, "ssh");
    ck_assert_uint_eq(policy_forward_at(copy, PROTOCOL_TCP, 80), POLICY_NONE);
    ck_assert_uint_eq(policy_forward_at(copy, PROTOCOL_TCP, 443), 1);
    ck_assert_uint_eq(policy_timeouts(copy)->udp, 17);
    ck_assert_uint_eq(policy_pool(copy, 0, PROTOCOL_TCP)->size, 9);
    ck_assert_uint_eq(policy_forward_at(original, PROTOCOL_TCP, 80), 0);
    policy_free(original);
}
END_TEST

START_TEST(a_copy_has_all_of_a_share_and_arrays_of_its_own)
{
    struct prefix exempt[2];
    struct share share = {
        .filtering = FILTERING_ADDRESS_DEPENDENT,
        .filtering_of[PROTOCOL_INDEX_TCP] = 1 + FILTERING_ADDRESS_AND_PORT_DEPENDENT,
        .filtering_of[PROTOCOL_INDEX_UDP] = 1 + FILTERING_ENDPOINT_INDEPENDENT,
        .never_overload = true,
        .keep_parity = true,
        .soft_pairing = true,
        .no_inbound_refresh = true,
        .open = true,
        .exempt = exempt,
        .exempt_count = 2,
    };
    struct address destination = address("192.0.2.9");
    struct policy *original = policy;
    const struct share *copied;

    ck_assert(text_parse_prefix("192.0.2.0/24", &exempt[0]));
    ck_assert(text_parse_prefix("198.51.100.7", &exempt[1]));
    ck_assert(policy_add_share(original, &share));
    memset(exempt, 0, sizeof(exempt));
    policy_limits(original)->new_sessions_per_host = 50;
    policy = policy_copy(original);
    ck_assert_ptr_nonnull(policy);
    ck_assert_ptr_ne(policy_share(policy, 0)->exempt, policy_share(original, 0)->exempt);
    policy_free(original);
    copied = policy_share(policy, 0);
    ck_assert_uint_eq(policy_limits(policy)->new_sessions_per_host, 50);
    ck_assert_int_eq(share_filtering(copied, PROTOCOL_TCP), FILTERING_ADDRESS_AND_PORT_DEPENDENT);
    ck_assert_int_eq(share_filtering(copied, PROTOCOL_UDP), FILTERING_ENDPOINT_INDEPENDENT);
    ck_assert(copied->never_overload && copied->keep_parity && copied->soft_pairing &&
              copied->no_inbound_refresh && copied->open);
    ck_assert_uint_eq(copied->exempt_count, 2);
    ck_assert(share_exempts(copied, &destination));
}
END_TEST

START_TEST(there_is_room_for_255_shares_and_no_more)
{
    struct share share = {.name = "one too many"};

    for (int i = 0; i < POLICY_SHARES_MAX; i++)
        ck_assert(policy_add_share(policy, &share));
    ck_assert(!policy_add_share(policy, &share));
}
END_TEST

/* ---- the naive twin ---- */

static uint64_t state;

static uint32_t random_below(uint32_t bound)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % bound;
}

/* A small world, so that nesting, equality and borders happen all the time. */
static struct address random_address(void)
{
    return address_from_ipv4(0x0a000000 + random_below(64));
}

static struct prefix random_prefix(void)
{
    unsigned bits = 24 + random_below(9);
    uint32_t mask = UINT32_MAX << (32 - bits);

    return (struct prefix){address_from_ipv4((0x0a000000 + random_below(64)) & mask),
                           (uint8_t)(96 + bits)};
}

static void fill_randomly(void)
{
    uint32_t shares = random_below(6), forwards = random_below(40);

    for (uint32_t i = 0; i < shares; i++) {
        struct prefix source[4], exempt[4];
        uint16_t first = (uint16_t)(500 + 20 * random_below(3));
        struct port_range ports = {first, (uint16_t)(first + 19)};
        struct share share = {
            .source = source, .source_count = random_below(5), .ports = &ports, .ports_count = 1};

        share.exempt = exempt;
        share.exempt_count = random_below(5);
        for (size_t p = 0; p < share.source_count; p++)
            source[p] = random_prefix();
        for (size_t p = 0; p < share.exempt_count; p++)
            exempt[p] = random_prefix();
        ck_assert(policy_add_share(policy, &share));
    }
    for (uint32_t i = 0; i < forwards; i++) {
        uint16_t first = (uint16_t)(1 + random_below(600));
        struct forward forward = {
            .protocols = (uint8_t)(1 + random_below(3)),
            .listen = {first,
                       (uint16_t)(first + (random_below(3) ? random_below(4) : random_below(60)))},
            .target_count = 1,
            .target[0] = {address_from_ipv4(0x0a000000 + random_below(3)),
                          (uint16_t)(1 + random_below(100))},
        };

        if (random_below(10) == 0)
            forward.target[0].port =
                (uint16_t)(65535 - (forward.listen.last - forward.listen.first));
        ck_assert(policy_add_forward(policy, &forward));
    }
    for (int i = 0; i < 10; i++)
        policy_exclude_port(policy, random_below(2) ? PROTOCOL_TCP : PROTOCOL_UDP,
                            (uint16_t)(500 + random_below(60)));
}

static uint8_t bit_of(uint8_t protocol)
{
    return protocol == PROTOCOL_TCP ? FORWARD_TCP : protocol == PROTOCOL_UDP ? FORWARD_UDP : 0;
}

static uint16_t naive_share_of(const struct address *internal)
{
    uint16_t best = POLICY_NONE;
    int length = -1;

    for (size_t s = 0; s < policy_share_count(policy); s++) {
        const struct share *share = policy_share(policy, s);

        for (size_t i = 0; i < share->source_count; i++) {
            if (prefix_contains(&share->source[i], internal) && share->source[i].length > length) {
                length = share->source[i].length;
                best = (uint16_t)s;
            }
        }
    }
    return best;
}

/* Lists every address of every prefix. */
static bool naive_exempts(const struct share *share, const struct address *destination)
{
    for (size_t i = 0; i < share->exempt_count; i++) {
        uint32_t first = address_to_ipv4(&share->exempt[i].address);
        uint32_t size = UINT32_C(1) << (128 - share->exempt[i].length);

        for (uint32_t offset = 0; offset < size; offset++) {
            if (address_to_ipv4(destination) == first + offset)
                return true;
        }
    }
    return false;
}

static uint16_t naive_forward_at(uint8_t protocol, uint16_t port)
{
    for (size_t i = 0; i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);

        if ((forward->protocols & bit_of(protocol)) && forward->listen.first <= port &&
            port <= forward->listen.last)
            return (uint16_t)i;
    }
    return POLICY_NONE;
}

/* Of all that deliver there, the one that begins last; of those, the first. */
static uint16_t naive_forward_to(uint8_t protocol, const struct endpoint *internal, uint16_t *port)
{
    uint16_t best = POLICY_NONE, begins = 0;

    for (size_t i = 0; i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);
        int offset = internal->port - forward->target[0].port;

        if (!(forward->protocols & bit_of(protocol)) ||
            !address_equal(&forward->target[0].address, &internal->address) || offset < 0 ||
            offset > forward->listen.last - forward->listen.first ||
            forward->target[0].port <= begins)
            continue;
        best = (uint16_t)i;
        begins = forward->target[0].port;
        *port = (uint16_t)(forward->listen.first + offset);
    }
    return best;
}

static bool naive_is_published(uint8_t protocol, uint16_t port)
{
    if (bit_of(protocol) && naive_forward_at(protocol, port) != POLICY_NONE)
        return true;
    for (size_t s = 0; s < policy_share_count(policy); s++) {
        const struct pool *pool = policy_pool(policy, (uint16_t)s, protocol);

        if (pool_contains(pool, port))
            return true;
    }
    return false;
}

static void compare_endpoint(uint8_t protocol, const struct endpoint *internal)
{
    uint16_t port = 0, naive_port = 0;

    ck_assert_uint_eq(policy_forward_to(policy, protocol, internal, &port),
                      naive_forward_to(protocol, internal, &naive_port));
    ck_assert_uint_eq(port, naive_port);
}

static void check_pool(const struct pool *pool)
{
    uint16_t first = 0, last = 0;
    uint32_t size = 0;

    for (uint32_t port = 0; port < 65536; port++) {
        if (!pool_contains(pool, (uint16_t)port))
            continue;
        if (size++ == 0)
            first = (uint16_t)port;
        last = (uint16_t)port;
    }
    ck_assert_uint_eq(pool->size, size);
    ck_assert_uint_eq(pool->first, first);
    ck_assert_uint_eq(pool->last, last);
}

static void compare_protocol(uint8_t protocol)
{
    static struct port_range ranges[32768];
    size_t count = policy_published(policy, protocol, ranges, 32768), range = 0;

    for (size_t s = 0; s < policy_share_count(policy); s++)
        check_pool(policy_pool(policy, (uint16_t)s, protocol));
    for (uint32_t port = 0; port < 800; port++) {
        ck_assert_uint_eq(policy_forward_at(policy, protocol, (uint16_t)port),
                          naive_forward_at(protocol, (uint16_t)port));
        ck_assert_uint_eq(policy_is_published(policy, protocol, (uint16_t)port),
                          naive_is_published(protocol, (uint16_t)port));
        while (range < count && ranges[range].last < port)
            range++;
        ck_assert_uint_eq(range < count && ranges[range].first <= port,
                          naive_is_published(protocol, (uint16_t)port));
    }
    for (uint32_t host = 0; host < 4; host++) {
        for (uint32_t port = 0; port < 300; port++)
            compare_endpoint(
                protocol, &(struct endpoint){address_from_ipv4(0x0a000000 + host), (uint16_t)port});
        for (uint32_t port = 65400; port < 65536; port++)
            compare_endpoint(
                protocol, &(struct endpoint){address_from_ipv4(0x0a000000 + host), (uint16_t)port});
    }
}

START_TEST(random_policies_answer_like_their_naive_twin)
{
    state = (uint64_t)_i;
    fill_randomly();
    ck_assert(policy_seal(policy));
    for (int i = 0; i < 100; i++) {
        struct address internal = random_address();

        ck_assert_uint_eq(policy_share_of(policy, &internal), naive_share_of(&internal));
        for (size_t s = 0; s < policy_share_count(policy); s++) {
            const struct share *share = policy_share(policy, s);

            ck_assert_uint_eq(share_exempts(share, &internal), naive_exempts(share, &internal));
        }
    }
    compare_protocol(PROTOCOL_TCP);
    compare_protocol(PROTOCOL_UDP);
    compare_protocol(PROTOCOL_ICMP);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {a_new_policy_has_the_defaults_of_the_rfcs, 1},
        {an_empty_policy_knows_nobody, 1},
        {the_longest_prefix_decides_the_share, 1},
        {a_range_delivers_one_to_one_and_is_found_both_ways, 1},
        {a_wide_target_is_found_behind_narrow_ones, 1},
        {of_two_forwards_to_one_endpoint_the_first_one_answers, 1},
        {a_forward_without_a_list_allows_everyone_and_with_one_only_those, 1},
        {a_share_exempts_only_what_it_lists, 1},
        {a_protocols_own_filtering_counts_before_the_shares, 1},
        {a_conflict_needs_a_common_port_of_a_common_protocol, 1},
        {pools_leave_out_forwards_and_local_sockets, 1},
        {published_ports_are_merged_ranges, 1},
        {equal_ranges_are_one_pool_and_half_equal_ones_are_refused, 1},
        {a_copy_is_unsealed_and_its_changes_stay_its_own, 1},
        {a_copy_has_all_of_a_share_and_arrays_of_its_own, 1},
        {there_is_room_for_255_shares_and_no_more, 1},
        {random_policies_answer_like_their_naive_twin, RANDOM_POLICIES},
    };

    return RUN_REPEATED_TESTS("policy", setup, teardown, tests);
}
