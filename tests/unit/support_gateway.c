/*
 * support_gateway.c - a gateway with scripted time, and what must hold after every packet
 */
#include "support.h"

#include "external.h"
#include "mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void add_share(struct policy *policy, const char *name, const char *source, uint16_t first,
               uint16_t last, enum filtering filtering)
{
    struct prefix prefix = prefix_of(source);
    struct port_range range = {first, last};
    struct share share = {.source = &prefix,
                          .source_count = 1,
                          .ports = &range,
                          .ports_count = 1,
                          .filtering = filtering};

    snprintf(share.name, sizeof(share.name), "%s", name);
    ck_assert(policy_add_share(policy, &share));
}

void add_forward(struct policy *policy, const char *name, uint8_t protocols, uint16_t first,
                 uint16_t last, const char *to, const char *allow)
{
    struct forward forward = {.protocols = protocols,
                              .listen = {first, last},
                              .target = {endpoint_of(to)},
                              .target_count = 1};
    struct prefix prefix;

    snprintf(forward.name, sizeof(forward.name), "%s", name);
    if (allow != NULL) {
        prefix = prefix_of(allow);
        forward.allow = &prefix;
        forward.allow_count = 1;
    }
    ck_assert(policy_add_forward(policy, &forward));
}

struct policy *lab_policy(enum filtering filtering)
{
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = 256;
    policy_limits(policy)->sessions_per_host = 128;
    add_share(policy, "lab", "10.0.0.0/24", 50000, 50999, filtering);
    return policy;
}

void gateway_start(struct gateway *gateway, struct policy *policy)
{
    static const uint8_t secret[32] = "not a secret, but 32 bytes long";
    struct address external = address_of(EXTERNAL);

    ck_assert(policy_seal(policy));
    gateway->policy = policy;
    gateway->now = 1000000000;
    gateway->nat = nat_new(policy, secret, NULL, gateway->now);
    ck_assert_ptr_nonnull(gateway->nat);
    nat_set_external(gateway->nat, WAN, &external, 1);
}

void gateway_stop(struct gateway *gateway)
{
    check_invariants(gateway->nat);
    nat_free(gateway->nat);
    policy_free(gateway->policy);
}

uint32_t gateway_change_policy(struct gateway *gateway, struct policy *policy)
{
    uint32_t ended;

    ck_assert(policy_seal(policy));
    nat_set_policy(gateway->nat, policy);
    ck_assert(!nat_review(gateway->nat, gateway->now, 0, &ended));
    policy_free(gateway->policy);
    gateway->policy = policy;
    check_invariants(gateway->nat);
    return ended;
}

uint32_t gateway_set_addresses(struct gateway *gateway, const struct address *addresses,
                               size_t count)
{
    uint64_t before = gateway->nat->counters.closed[CLOSE_ADDRESS];

    nat_set_external(gateway->nat, WAN, addresses, count);
    ck_assert(!nat_review(gateway->nat, gateway->now, 0, NULL));
    check_invariants(gateway->nat);
    return (uint32_t)(gateway->nat->counters.closed[CLOSE_ADDRESS] - before);
}

void gateway_kill(struct gateway *gateway, uint32_t slot)
{
    ck_assert(nat_kill(gateway->nat, slot, gateway->nat->table.session[slot].id, gateway->now));
}

void gateway_wait(struct gateway *gateway, uint64_t milliseconds)
{
    gateway->now += milliseconds;
    ck_assert(!nat_tick(gateway->nat, gateway->now, 0));
    check_invariants(gateway->nat);
}

static uint64_t sum(const uint64_t *numbers, size_t count)
{
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += numbers[i];
    return total;
}

/* Whoever shares a port is counted once, where the port's holder says. */
static void check_sharers(const struct nat *nat, const struct mapping *mapping, uint32_t holder)
{
    uint32_t sharers = 0;

    for (uint32_t i = 0; i < nat->table.mapping_capacity; i++) {
        const struct mapping *other = &nat->table.mapping[i];

        sharers += other->protocol != 0 && other->is_overload &&
                   other->protocol == mapping->protocol &&
                   other->external_index == mapping->external_index &&
                   other->external_port == mapping->external_port;
    }
    ck_assert_uint_eq(sharers, holder < HOLDER_SHARED ? nat->table.mapping[holder].sharers
                                                      : holder - HOLDER_SHARED);
}

static void check_all_sharers(const struct nat *nat)
{
    for (uint32_t i = 0; i < nat->table.mapping_capacity; i++) {
        const struct mapping *mapping = &nat->table.mapping[i];

        if (mapping->protocol != 0 && mapping->external_index < EXTERNAL_ADDRESSES_MAX)
            check_sharers(
                nat, mapping,
                ports_holder(external_port_space(nat, mapping->external_index, mapping->protocol),
                             mapping->external_port));
    }
}

static void check_ages(const struct nat *nat)
{
    uint32_t listed = 0, expected = 0;

    for (int list = 0; list < AGE_LISTS; list++) {
        uint32_t slot = table_oldest(&nat->table, (enum age_list)list);

        for (; slot != INDEX_NONE; slot = table_younger(&nat->table, slot), listed++) {
            ck_assert_uint_eq(nat->table.session[slot].live, SLOT_LIVE);
            ck_assert_uint_eq(session_age_list(&nat->table.session[slot]), (unsigned)list);
        }
    }
    for (uint32_t slot = 0; slot < nat->table.capacity; slot++)
        expected += nat->table.session[slot].live == SLOT_LIVE &&
                    session_age_list(&nat->table.session[slot]) != AGE_NONE;
    ck_assert_uint_eq(listed, expected);
}

void run_check(struct nat *nat, uint32_t budget, struct nat_check_report *report)
{
    struct nat_check *memory = calloc(1, nat_check_memory(nat));

    ck_assert_ptr_nonnull(memory);
    ck_assert(nat_check_begin(nat, memory));
    while (nat_check_step(nat, budget)) {
    }
    nat_check_end(nat, report);
    free(memory);
}

/* A review counts for forwards anew. */
static void check_forwards(const struct nat *nat)
{
    uint32_t by_forward[4] = {0};

    for (uint32_t slot = 0; slot < nat->table.capacity; slot++) {
        const struct session *session = &nat->table.session[slot];
        uint16_t forward = session_forward(session, ROLE_RESPONDER);

        if (session->live == SLOT_LIVE && session->has_remote && session->epoch == nat->epoch &&
            forward < 4)
            by_forward[forward]++;
    }
    for (uint16_t forward = 0; forward < 4; forward++)
        ck_assert_uint_eq(nat->outside.forward[forward], by_forward[forward]);
}

/* What a daemon asks itself, and three that take too long there. */
void check_invariants(struct nat *nat)
{
    struct nat_check_report report;

    if (nat->table.census != NULL)
        return;
    run_check(nat, UINT32_MAX, &report);
    for (int name = 0; name < NAT_CHECK_COUNT; name++)
        ck_assert_msg(report.wrong[name] == 0, "%s: %llu, the first is %llu",
                      nat_check_name((enum nat_check_name)name),
                      (unsigned long long)report.wrong[name],
                      (unsigned long long)report.first[name]);
    check_all_sharers(nat);
    check_ages(nat);
    check_forwards(nat);
}

static uint64_t counted(const struct nat *nat)
{
    return sum(nat->counters.packets, 2) + sum(nat->counters.dropped, DROP_REASON_COUNT) +
           nat->counters.unchanged;
}

enum drop_reason gateway_translate(struct gateway *gateway, struct sample *sample)
{
    struct packet *packet = &sample->packet;
    struct sample before;
    uint64_t count = counted(gateway->nat);
    bool waits;

    copy_sample(&before, sample);
    nat_translate_batch(gateway->nat, packet, 1, gateway->now);
    waits = packet->verdict == VERDICT_AGAIN && !packet->transit; /* it is counted later */
    ck_assert_uint_eq(counted(gateway->nat), count + !waits);
    ck_assert_uint_eq(packet->length, before.packet.length);
    ck_assert((packet->verdict == VERDICT_DROP) == (packet->reason != DROP_NONE));
    if (packet->verdict == VERDICT_ACCEPT)
        ck_assert_mem_eq(sample->bytes, before.bytes, sizeof(sample->bytes));
    if (packet->verdict == VERDICT_REWRITTEN) {
        ck_assert_mem_eq(sample->bytes + packet->length, before.bytes + packet->length,
                         sizeof(sample->bytes) - packet->length);
        ck_assert(!ip_checksum_is_right(before.bytes) || ip_checksum_is_right(sample->bytes));
        ck_assert(!l4_checksum_is_right(before.bytes) || l4_checksum_is_right(sample->bytes) ||
                  packet->gso);
    }
    check_invariants(gateway->nat);
    return packet->reason;
}

static enum drop_reason send(struct gateway *gateway, struct sample *sample, enum packet_hook hook,
                             uint32_t in, uint32_t out)
{
    sample->packet.hook = hook;
    sample->packet.in_interface = in;
    sample->packet.out_interface = out;
    return gateway_translate(gateway, sample);
}

enum drop_reason leave(struct gateway *gateway, struct sample *sample)
{
    return send(gateway, sample, HOOK_OUTBOUND, LAN, WAN);
}

enum drop_reason arrive(struct gateway *gateway, struct sample *sample)
{
    return send(gateway, sample, HOOK_INBOUND, WAN, 0);
}

enum drop_reason turn_back(struct gateway *gateway, struct sample *sample)
{
    return send(gateway, sample, HOOK_INBOUND, LAN, 0);
}

enum drop_reason pass_again(struct gateway *gateway, struct sample *sample)
{
    return send(gateway, sample, HOOK_OUTBOUND, LAN, LAN);
}

static const char *shown(struct gateway *gateway, struct sample *sample)
{
    if (leave(gateway, sample) != DROP_NONE || sample->packet.verdict != VERDICT_REWRITTEN)
        return NULL;
    return source_of(sample);
}

const char *udp_out(struct gateway *gateway, const char *from, const char *to)
{
    struct sample sample;

    make_udp(&sample, from, to, 20);
    return shown(gateway, &sample);
}

const char *tcp_out(struct gateway *gateway, const char *from, const char *to, uint8_t flags)
{
    struct sample sample;

    make_tcp(&sample, from, to, flags);
    return shown(gateway, &sample);
}

enum drop_reason udp_in(struct gateway *gateway, const char *from, const char *to)
{
    struct sample sample;

    make_udp(&sample, from, to, 20);
    return arrive(gateway, &sample);
}

enum drop_reason tcp_in(struct gateway *gateway, const char *from, const char *to, uint8_t flags)
{
    struct sample sample;

    make_tcp(&sample, from, to, flags);
    return arrive(gateway, &sample);
}

const char *tcp_connect(struct gateway *gateway, const char *from, const char *to)
{
    const char *external = tcp_out(gateway, from, to, TCP_SYN);
    char text[32];

    ck_assert_ptr_nonnull(external);
    snprintf(text, sizeof(text), "%s", external); /* the buffers of the helpers are few */
    ck_assert_int_eq(tcp_in(gateway, to, text, TCP_SYN | TCP_ACK), DROP_NONE);
    return tcp_out(gateway, from, to, TCP_ACK);
}

enum drop_reason hairpin(struct gateway *gateway, struct sample *sample)
{
    enum drop_reason reason = turn_back(gateway, sample);

    if (reason != DROP_NONE)
        return reason;
    ck_assert_int_eq(sample->packet.verdict, VERDICT_REWRITTEN);
    ck_assert(sample->packet.transit);
    reason = pass_again(gateway, sample);
    ck_assert(reason != DROP_NONE || !sample->packet.transit);
    return reason;
}

bool find_view(const struct gateway *gateway, const char *internal, const char *remote,
               struct session_view *view)
{
    struct endpoint inside = endpoint_of(internal), outside = endpoint_of(remote);

    for (uint32_t slot = 0; slot < gateway->nat->table.capacity; slot++) {
        if (nat_view(gateway->nat, slot, gateway->now, view) &&
            endpoint_equal(&view->internal, &inside) && endpoint_equal(&view->remote, &outside))
            return true;
    }
    return false;
}
