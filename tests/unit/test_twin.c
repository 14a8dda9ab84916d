/*
 * test_twin.c - the real NAT beside the naive one (support_twin.h): a hundred thousand random
 * packets, after each the same verdict and the same bytes
 */
#include "external.h"
#include "support_twin_traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCHES = 12,
    PACKETS = 10000, /* in a batch; then all expires */
    GUARD = 0xd7,
};

/* Comparing. */

static const char *const verdicts[] = {"accepted", "rewritten", "dropped"};

static void dump(const char *name, const uint8_t *bytes, size_t length)
{
    fprintf(stderr, "%-7s", name);
    for (size_t i = 0; i < length && i < 96; i++)
        fprintf(stderr, "%s%02x", i % 4 == 0 ? " " : "", bytes[i]);
    fprintf(stderr, "\n");
}

static void differ(const struct run *run, const struct packet *real, const struct packet *naive,
                   const char *what)
{
    dump("before", run->before, run->packet.length);
    dump("real", run->real, run->packet.length);
    dump("naive", run->naive, run->packet.length);
    ck_abort_msg(
        "with PORTREEVE_SEED=%llu, packet %llu (%s, in %u, out %u%s%s%s): %s; really %s (%s)%s, "
        "naively %s "
        "(%s)%s",
        (unsigned long long)run->chance.seed, (unsigned long long)run->sent,
        run->packet.hook == HOOK_INBOUND ? "inbound" : "outbound", run->packet.in_interface,
        run->packet.out_interface, run->packet.transit ? ", transit" : "",
        run->packet.checksum_missing ? ", checksum missing" : "", run->packet.gso ? ", gso" : "",
        what, verdicts[real->verdict], drop_reason_name(real->reason),
        real->transit ? ", transit" : "", verdicts[naive->verdict], drop_reason_name(naive->reason),
        naive->transit ? ", transit" : "");
}

/*
 * The IP id of a packet that may be fragmented is the real one's free choice; its header's checksum
 * is not.
 */
static void take_over_id(struct run *run, const struct packet *real)
{
    if (real->verdict != VERDICT_REWRITTEN || real->hook != HOOK_OUTBOUND || run->real[6] & 0x40)
        return;
    seeded(&run->chance, ip_checksum_is_right(run->real) == ip_checksum_is_right(run->before));
    memcpy(run->naive + 4, run->real + 4, 2);
    memcpy(run->naive + 10, run->real + 10, 2);
}

static void compare(struct run *run, const struct packet *real, const struct packet *naive)
{
    const uint8_t *expected = real->verdict == VERDICT_ACCEPT ? run->before : run->naive;

    take_over_id(run, real);
    if (run->twin->complaint != NULL)
        differ(run, real, naive, run->twin->complaint);
    if (real->verdict != naive->verdict || real->reason != naive->reason)
        differ(run, real, naive, "another verdict");
    if (real->length != run->packet.length || real->data != run->real)
        differ(run, real, naive, "another length");
    if (real->verdict == VERDICT_REWRITTEN && real->transit != naive->transit)
        differ(run, real, naive, "another mark");
    if (real->verdict != VERDICT_DROP && memcmp(run->real, expected, real->length) != 0)
        differ(run, real, naive, "other bytes");
    for (size_t i = 0; i < 16; i++) {
        if (run->real[real->length + i] != GUARD)
            differ(run, real, naive, "bytes behind the packet");
    }
}

/* Gives run->packet to both, and compares. Returns what became of it, its bytes in run->real. */
static struct packet translate(struct run *run)
{
    struct packet real = run->packet, naive = run->packet;

    memset(run->before + run->packet.length, GUARD, 16);
    memcpy(run->real, run->before, run->packet.length + 16);
    memcpy(run->naive, run->before, run->packet.length + 16);
    real.data = run->real;
    naive.data = run->naive;
    real.reason = naive.reason = DROP_NONE;
    nat_translate_batch(run->nat, &real, 1, run->now);
    twin_translate(run->twin, &naive, &real);
    compare(run, &real, &naive);
    run->sent++;
    run->rewritten += real.verdict == VERDICT_REWRITTEN;
    return real;
}

/*
 * Translates, and if it passes twice sends it on, with a checksum that is complete, as the kernel
 * says after a rewriting. The second hook gets every ICMP error.
 */
static void send(struct run *run)
{
    struct packet after = translate(run);

    if (after.verdict != VERDICT_REWRITTEN || after.hook != HOOK_INBOUND ||
        (!after.transit && run->real[9] != PROTOCOL_ICMP))
        return;
    memcpy(run->before, run->real, after.length);
    run->packet = after;
    run->packet.data = run->before;
    run->packet.hook = HOOK_OUTBOUND;
    run->packet.out_interface = LAN;
    run->packet.checksum_missing = false;
    translate(run);
    run->hairpins++;
}

/*
 * What befalls a packet: checksums that are wrong, none or yet to come, bits that flip, lengths
 * that lie.
 */
static void spoil(struct run *run)
{
    uint8_t *at = l4_checksum_at(run->before);

    if (run->before[9] == PROTOCOL_UDP && traffic_one_in(run, 12))
        put16(at, 0);
    else if (traffic_one_in(run, 12))
        put16(at, traffic_below(run, 65536));
    if (traffic_one_in(run, 50))
        put16(run->before + 10, traffic_below(run, 65536));
    if (traffic_one_in(run, 8)) {
        run->packet.checksum_missing = true;
        put16(at,
              traffic_one_in(run, 2) ? naive_pseudo_sum(run->before) : traffic_below(run, 65536));
    }
    run->packet.gso = traffic_one_in(run, 8);
    run->packet.truncated = traffic_one_in(run, 200);
    if (run->packet.length + 30 < TRAFFIC_ROOM - 16 && traffic_one_in(run, 20))
        run->packet.length += traffic_below(run, 30); /* a trailer */
    for (uint32_t flips = traffic_one_in(run, 15) ? 1 + traffic_below(run, 3) : 0; flips > 0;
         flips--)
        run->before[traffic_below(run, 60)] ^= (uint8_t)(1u << traffic_below(run, 8));
    if (traffic_one_in(run, 30))
        run->packet.length = traffic_below(run, (uint32_t)run->packet.length + 1);
}

/* What the hooks are never given: see doc/architecture.md, "The life of a packet". */
static bool is_impossible(const struct run *run)
{
    bool to_us;

    if (run->packet.length < 20)
        return false;
    to_us = twin_is_external(get32(run->before + 16));
    return run->packet.hook == HOOK_INBOUND ? !to_us : to_us;
}

static void send_spoiled(struct run *run)
{
    spoil(run);
    if (!is_impossible(run))
        send(run);
}

/* Kinds of packets. */

static void send_outbound(struct run *run)
{
    traffic_begin(run, HOOK_OUTBOUND, LAN, traffic_one_in(run, 20) ? LAN : WAN);
    run->packet.length =
        traffic_compose(run, run->before, 65535, traffic_protocol(run), traffic_inside(run),
                        traffic_remote(run), !traffic_one_in(run, 10));
    send_spoiled(run);
}

static void send_inbound(struct run *run)
{
    uint8_t protocol = traffic_protocol(run);
    struct spot outside = traffic_outside(run, &protocol), from = traffic_remote(run);

    if (traffic_one_in(run, 30))
        from = traffic_inside(run);
    traffic_begin(run, HOOK_INBOUND, traffic_one_in(run, 20) ? TUNNEL : WAN, 0);
    if (traffic_one_in(run, 60)) {
        from.ip = twin_externals[traffic_below(run, 2)];
        run->packet.in_interface = WAN;
    }
    run->packet.length =
        traffic_compose(run, run->before, 65535, protocol, from, outside, traffic_one_in(run, 10));
    send_spoiled(run);
}

/* What a talk's outer end sends back. */
static void send_answer(struct run *run)
{
    const struct talk *talk;
    struct spot from;

    if (run->twin->talks == 0)
        return;
    talk = &run->twin->talk[traffic_below(run, (uint32_t)run->twin->talks)];
    from = talk->far;
    if (traffic_one_in(run, 5))
        from.port = (uint16_t)(from.port + 1);
    traffic_begin(run, HOOK_INBOUND, talk->hairpin ? LAN : WAN, 0);
    run->packet.length =
        traffic_compose(run, run->before, 65535, talk->protocol, from, talk->outside, false);
    send_spoiled(run);
}

static void send_hairpin(struct run *run)
{
    uint8_t protocol = traffic_protocol(run);
    struct spot outside = traffic_outside(run, &protocol);

    traffic_begin(run, HOOK_INBOUND, traffic_one_in(run, 40) ? WAN : LAN, 0);
    run->packet.length =
        traffic_compose(run, run->before, 65535, protocol, traffic_inside(run), outside, true);
    send_spoiled(run);
}

static void send_between(struct run *run)
{
    traffic_begin(run, HOOK_OUTBOUND, LAN, LAN);
    run->packet.length = traffic_compose(run, run->before, 65535, traffic_protocol(run),
                                         traffic_inside(run), traffic_inside(run), true);
    send_spoiled(run);
}

static void send_garbage(struct run *run)
{
    traffic_begin(run, traffic_one_in(run, 2) ? HOOK_INBOUND : HOOK_OUTBOUND,
                  traffic_one_in(run, 2) ? LAN : WAN, WAN);
    run->packet.length = traffic_below(run, 100);
    chance_fill(&run->chance, run->before, 100);
    if (!traffic_one_in(run, 4)) {
        run->before[0] = (uint8_t)(0x45 + traffic_below(run, 2));
        put16(run->before + 2, traffic_below(run, (uint32_t)run->packet.length + 4));
        put16(run->before + 6, 0);
        put32(run->before + 12, traffic_inside(run).ip);
        put32(run->before + 16,
              run->packet.hook == HOOK_INBOUND ? twin_externals[0] : traffic_remote(run).ip);
    }
    if (!is_impossible(run))
        send(run);
}

/* ICMP errors: around a packet that one side has seen, or a random one. */

struct view_of {
    uint8_t protocol;
    struct spot from, to; /* of the quoted packet */
    struct spot reporter; /* and who complains, to whom */
    uint32_t addressee;
    bool from_asks, hairpin;
};

static struct view_of seen_outside(struct run *run, const struct talk *talk)
{
    struct view_of view = {talk->protocol,   talk->outside, talk->far,    traffic_remote(run),
                           talk->outside.ip, true,          talk->hairpin};

    if (talk->hairpin) {
        view.reporter = talk->far;
        if (traffic_one_in(run, 2)) {
            view.from = talk->far_outside;
            view.to = talk->inside;
            view.reporter = talk->inside;
            view.addressee = talk->far_outside.ip;
        }
    }
    return view;
}

static struct view_of seen_inside(struct run *run, const struct talk *talk)
{
    static const uint32_t routers[] = {IP(10, 0, 0, 254), IP(10, 77, 0, 1), IP(203, 0, 113, 5)};
    struct view_of view = {talk->protocol, talk->hairpin ? talk->far : talk->seen,
                           talk->inside,   talk->inside,
                           talk->far.ip,   false,
                           false};

    if (traffic_one_in(run, 3))
        view.reporter.ip = routers[traffic_below(run, 3)];
    return view;
}

/* Cuts the quoted packet, adds an extension, and wraps the error around it. */
static void wrap(struct run *run, const struct view_of *view, size_t quoted_length)
{
    static const uint8_t types[] = {3, 3, 11, 12};
    struct address from = address_from_ipv4(view->reporter.ip),
                   to = address_from_ipv4(view->addressee);
    uint8_t *l4 = run->before + 20, *quoted = l4 + 8;
    size_t header = (size_t)(quoted[0] % 16) * 4, length = quoted_length;

    if (traffic_one_in(run, 2))
        length = header + 8;
    else if (traffic_one_in(run, 2))
        length = header + traffic_below(run, (uint32_t)(quoted_length - header) + 1);
    memset(l4, 0, 8);
    l4[0] = types[traffic_below(run, 4)];
    l4[1] = (uint8_t)traffic_below(run, 16);
    put16(l4 + 6, 1400);
    if (traffic_one_in(run, 10) && length < 128) {
        memset(quoted + length, 0, 140 - length);
        l4[5] = (uint8_t)(traffic_one_in(run, 4) ? traffic_below(run, 256) : 32);
        length = 128 + 4 * (size_t)traffic_below(run, 4);
    }
    put_ipv4(run->before, PROTOCOL_ICMP, &from, &to, NULL, 0, 8 + length);
    fix_checksums(run->before);
    run->packet.length = 28 + length;
}

static void spoil_error(struct run *run)
{
    uint8_t *quoted = run->before + 28;

    if (run->packet.length < 60)
        return;
    if (traffic_one_in(run, 40))
        quoted[9] =
            (uint8_t)traffic_below(run, 60); /* another protocol: not right any more, or opaque */
    if (traffic_one_in(run, 20))
        quoted[traffic_below(run, 28)] ^= (uint8_t)(1u << traffic_below(run, 8));
    if (traffic_one_in(run, 2) && run->packet.length >= 28 + (size_t)(quoted[0] % 16) * 4 &&
        quoted[0] % 16 >= 5)
        put16(quoted + 10, naive_ip_checksum(quoted));
    if (!traffic_one_in(run, 20))
        put16(run->before + 22, naive_l4_checksum(run->before));
    if (traffic_one_in(run, 60))
        put16(run->before + 10, traffic_below(run, 65536));
}

static void send_error(struct run *run)
{
    const struct talk *talk;
    struct view_of view;
    bool outside = traffic_one_in(run, 2), quote_outside;
    size_t length;

    if (run->twin->talks == 0)
        return;
    talk = &run->twin->talk[traffic_below(run, (uint32_t)run->twin->talks)];
    quote_outside = traffic_one_in(run, 30) ? !outside : outside;
    view = quote_outside || talk->hairpin ? seen_outside(run, talk) : seen_inside(run, talk);
    outside |= talk->hairpin;
    traffic_begin(run, outside ? HOOK_INBOUND : HOOK_OUTBOUND,
                  view.hairpin && !traffic_one_in(run, 20) ? LAN : WAN,
                  traffic_one_in(run, 20) ? LAN : WAN);
    if (outside)
        view.addressee = twin_externals[traffic_below(run, 2)];
    if (traffic_one_in(run, 10))
        view.from.port = (uint16_t)(view.from.port + 1);
    length = traffic_compose(run, run->before + 28, 1400, view.protocol, view.from, view.to,
                             view.from_asks);
    if (view.protocol == PROTOCOL_UDP && traffic_one_in(run, 8))
        put16(l4_checksum_at(run->before + 28), 0);
    else if (traffic_one_in(run, 8))
        put16(l4_checksum_at(run->before + 28), traffic_below(run, 65536));
    wrap(run, &view, length);
    spoil_error(run);
    if (!is_impossible(run)) {
        send(run);
        run->errors++;
    }
}

/* The run. */

static struct policy *policy_of_the_twin(void)
{
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = TWIN_MAX;
    policy_limits(policy)->sessions_per_host = TWIN_MAX;
    for (size_t i = 0; i < 3; i++)
        add_share(policy, twin_shares[i].name, twin_shares[i].source, twin_shares[i].first,
                  twin_shares[i].last, twin_shares[i].filtering);
    for (size_t i = 0; i < 5; i++)
        add_forward(policy, twin_forwards[i].name, twin_forwards[i].protocols,
                    twin_forwards[i].first, twin_forwards[i].last, twin_forwards[i].to_text,
                    twin_forwards[i].allow_text);
    ck_assert(policy_seal(policy));
    return policy;
}

static struct spot peek(void *context, uint8_t protocol, struct spot inside)
{
    const struct nat *nat = context;
    struct endpoint internal = {address_from_ipv4(inside.ip), inside.port};
    uint32_t index = mapping_find_internal(&nat->table, protocol, &internal, 0);
    struct mapping_view mapping;

    if (index == INDEX_NONE || !nat_view_mapping(nat, index, 0, &mapping))
        return (struct spot){0, 0};
    return (struct spot){address_to_ipv4(&mapping.external.address), mapping.external.port};
}

static bool rests(void *context, uint8_t protocol, struct spot outside)
{
    const struct nat *nat = context;
    struct address address = address_from_ipv4(outside.ip);
    const struct port_space *space =
        external_port_space(nat, external_find(nat, &address), protocol);

    return space->resting[outside.port / 64] >> (outside.port % 64) & 1;
}

static struct run *run_new(void)
{
    struct run *run = calloc(1, sizeof(*run));
    struct address externals[2] = {address_from_ipv4(twin_externals[0]),
                                   address_from_ipv4(twin_externals[1])};
    uint8_t secret[32];

    ck_assert_ptr_nonnull(run);
    run->chance = chance_new();
    chance_fill(&run->chance, secret, sizeof(secret));
    run->now = 5000000;
    run->policy = policy_of_the_twin();
    run->nat = nat_new(run->policy, secret, NULL, run->now);
    run->twin = calloc(1, sizeof(*run->twin));
    ck_assert(run->nat != NULL && run->twin != NULL);
    nat_set_external(run->nat, WAN, externals, 2);
    run->twin->peek = peek;
    run->twin->rests = rests;
    run->twin->context = run->nat;
    return run;
}

static void run_free(struct run *run)
{
    nat_free(run->nat);
    policy_free(run->policy);
    free(run->twin);
    free(run);
}

/*
 * Each host speaks once, so that the naive NAT knows its external address before a hairpin needs
 * it.
 */
static void introduce(struct run *run, uint8_t protocol, struct spot host)
{
    struct address from = address_from_ipv4(host.ip),
                   to = address_from_ipv4(traffic_remote(run).ip);
    uint8_t *l4;

    traffic_begin(run, HOOK_OUTBOUND, LAN, WAN);
    l4 = run->before + put_ipv4(run->before, protocol, &from, &to, NULL, 0, 20);
    memset(l4, 0, 20);
    put16(l4, host.port);
    put16(l4 + 2, 9);
    put16(l4 + 4, 20); /* UDP's length */
    if (protocol == PROTOCOL_TCP) {
        l4[12] = 0x50;
        l4[13] = TCP_SYN;
    }
    fix_checksums(run->before);
    run->packet.length = 40;
    send(run);
}

static void introduce_all(struct run *run)
{
    for (uint32_t net = 0; net < 3; net++) {
        for (uint32_t host = 1; host <= 3; host++)
            introduce(run, PROTOCOL_UDP, (struct spot){IP(10, 0, net, host), 1});
    }
    for (size_t i = 0; i < 5; i++)
        introduce(run, twin_forwards[i].protocols & FORWARD_TCP ? PROTOCOL_TCP : PROTOCOL_UDP,
                  twin_forwards[i].to);
}

static void send_any(struct run *run)
{
    static void (*const kinds[])(struct run *) = {
        send_outbound, send_outbound, send_inbound,  send_inbound, send_answer,
        send_answer,   send_hairpin,  send_hairpin,  send_error,   send_error,
        send_error,    send_error,    send_outbound, send_inbound, send_garbage};

    if (traffic_one_in(run, 100))
        send_between(run);
    else
        kinds[traffic_below(run, sizeof(kinds) / sizeof(kinds[0]))](run);
    run->now += traffic_below(run, 3);
}

static void compare_counters(const struct run *run)
{
    const struct nat_counters *real = &run->nat->counters;
    const struct twin *twin = run->twin;

    ck_assert_uint_eq(real->unchanged, twin->unchanged);
    for (int hook = 0; hook < 2; hook++) {
        ck_assert_uint_eq(real->packets[hook], twin->packets[hook]);
        ck_assert_uint_eq(real->bytes[hook], twin->bytes[hook]);
    }
    for (int reason = 1; reason < DROP_REASON_COUNT; reason++)
        ck_assert_uint_eq(real->dropped[reason], twin->dropped[reason]);
    ck_assert_uint_eq(run->nat->table.live, twin->talks);
    ck_assert_uint_eq(run->nat->table.mappings_live, twin->doors);
}

/* All at once: whatever state a session is in, two hours and four minutes end it. */
static void let_all_expire(struct run *run)
{
    run->now += 7441000;
    ck_assert(!nat_tick(run->nat, run->now, 0));
    ck_assert_uint_eq(run->nat->table.live, 0);
    ck_assert_uint_eq(run->nat->table.mappings_live, 0);
    ck_assert_uint_eq(run->nat->table.hosts_live, 0);
    twin_forget(run->twin);
}

/*
 * That the run tested what it is for: most reasons to drop have come, and most packets were
 * rewritten.
 */
static void assert_variety(const struct run *run)
{
    static const enum drop_reason expected[] = {
        DROP_MALFORMED,
        DROP_TRUNCATED,
        DROP_FRAGMENT,
        DROP_SOURCE_ROUTE,
        DROP_UNSUPPORTED_PROTOCOL,
        DROP_BAD_CHECKSUM,
        DROP_SPOOFED_SOURCE,
        DROP_ICMP_NO_SESSION,
        DROP_FILTERED,
        DROP_NOT_ALLOWED,
        DROP_NOT_SYN,
        DROP_TUPLE_COLLISION,
    };

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        if (run->twin->dropped[expected[i]] < 10)
            ck_abort_msg("with PORTREEVE_SEED=%llu: only %llu packets were dropped as %s",
                         (unsigned long long)run->chance.seed,
                         (unsigned long long)run->twin->dropped[expected[i]],
                         drop_reason_name(expected[i]));
    }
    seeded(&run->chance, run->sent > 100000);
    seeded(&run->chance, run->rewritten > run->sent / 3);
    seeded(&run->chance, run->hairpins > 1000);
    seeded(&run->chance, run->errors > 10000);
}

START_TEST(the_real_nat_does_what_a_naive_one_does)
{
    struct run *run = run_new();

    for (int batch = 0; batch < BATCHES; batch++) {
        introduce_all(run);
        for (int i = 0; i < PACKETS; i++)
            send_any(run);
        compare_counters(run);
        check_invariants(run->nat);
        let_all_expire(run);
    }
    assert_variety(run);
    run_free(run);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_real_nat_does_what_a_naive_one_does,
    };

    return RUN_TESTS("twin", tests);
}
