/*
 * support_gateway.c - a gateway with scripted time, and what must hold after every packet
 */
#include "support.h"

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

static void check_session(const struct nat *nat, uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];
    struct tuple tuple[2] = {session_tuple(session, ROLE_INITIATOR),
                             session_tuple(session, ROLE_RESPONDER)};
    bool same_tuples = tuple_equal(&tuple[0], &tuple[1]);
    enum role role;

    for (int i = 0; i < 2; i++) {
        uint32_t mapping = session_mapping(session, (enum role)i);

        ck_assert_uint_eq(table_find(&nat->table, &tuple[i], &role), slot);
        ck_assert(same_tuples || role == (enum role)i);
        ck_assert(mapping == INDEX_NONE || mapping < nat->table.mapping_capacity);
        ck_assert(mapping == INDEX_NONE || session_forward(session, (enum role)i) == POLICY_NONE);
    }
    ck_assert_uint_lt(session->id, nat->table.next_id);
    ck_assert(session->side[0] != SIDE_NONE || session->side[1] != SIDE_NONE);
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

static void check_mapping(const struct nat *nat, uint32_t index, uint32_t sessions)
{
    const struct mapping *mapping = &nat->table.mapping[index];
    size_t protocol = mapping->protocol == PROTOCOL_TCP   ? 0
                      : mapping->protocol == PROTOCOL_UDP ? 1
                                                          : 2;
    const struct port_space *space = &nat->ports[(size_t)mapping->external_index * 3 + protocol];
    uint32_t holder = ports_holder(space, mapping->external_port);
    bool may_be_stale = nat->policy_before != NULL; /* a review has yet to come by */
    struct mapping_view view;

    ck_assert_uint_eq(mapping->sessions, sessions);
    ck_assert(nat_view_mapping(nat, index, 0, &view));
    if (!may_be_stale)
        ck_assert_uint_eq(
            mapping_find_internal(&nat->table, mapping->protocol, &view.internal, mapping->uplink),
            index);
    ck_assert_uint_ne(holder, INDEX_NONE);
    ck_assert(mapping->is_overload ? holder != index : holder == index);
    ck_assert(!mapping->is_overload || mapping->protocol == PROTOCOL_TCP);
    ck_assert(space->taken[mapping->external_port / 64] >> (mapping->external_port % 64) & 1);
    ck_assert(nat->external_valid[mapping->external_index] ||
              (may_be_stale && nat->external_leaves[mapping->external_index]));
    check_sharers(nat, mapping, holder);
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

static void check_hosts(const struct nat *nat, uint32_t sessions_with_host)
{
    uint32_t of_hosts = 0, hosts = 0;

    for (uint32_t i = 0; i < nat->table.host_capacity; i++) {
        of_hosts += nat->table.host[i].sessions;
        hosts += host_is_used(&nat->table.host[i]);
    }
    ck_assert_uint_eq(nat->table.hosts_live, hosts);
    ck_assert_uint_eq(of_hosts, sessions_with_host);
}

/* What counts for the outside is what remotes have opened; a review counts for forwards anew. */
static void check_outside(const struct nat *nat)
{
    uint32_t by_remotes = 0, by_forward[4] = {0};

    for (uint32_t slot = 0; slot < nat->table.capacity; slot++) {
        const struct session *session = &nat->table.session[slot];
        uint16_t forward = session_forward(session, ROLE_RESPONDER);

        if (session->live != SLOT_LIVE)
            continue;
        ck_assert_int_eq(session->has_remote, session->direction == DIRECTION_INBOUND &&
                                                  !session->has_host &&
                                                  session_age_list(session) != AGE_CLOSED);
        by_remotes += session->has_remote;
        if (session->has_remote && session->epoch == nat->epoch && forward < 4)
            by_forward[forward]++;
    }
    ck_assert_uint_eq(nat->outside.sessions, by_remotes);
    for (uint16_t forward = 0; forward < 4; forward++)
        ck_assert_uint_eq(nat->outside.forward[forward], by_forward[forward]);
}

/* Each names a mapping that says that it is leased, and no two the same one. */
static void check_leases(const struct nat *nat, uint32_t leased)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < nat->table.lease_capacity; i++) {
        const struct lease *lease = &nat->leases.lease[i];
        const struct mapping *mapping;
        struct endpoint external;

        if (lease->live != SLOT_LIVE)
            continue;
        ck_assert_uint_lt(lease->mapping, nat->table.mapping_capacity);
        mapping = &nat->table.mapping[lease->mapping];
        external = mapping_external(nat, mapping);
        ck_assert(mapping->leased && !mapping->is_overload);
        ck_assert_uint_eq(lease->internal, mapping->internal);
        ck_assert_uint_eq(lease->internal_port, mapping->internal_port);
        ck_assert_uint_eq(lease->external, compact_address_of(&external.address));
        ck_assert_uint_eq(lease->external_port, external.port);
        ck_assert_uint_ge(lease->expires, nat->leases.next_expiry);
        live++;
    }
    ck_assert_uint_eq(live, leased);
    ck_assert_uint_eq(live, nat->leases.live);
}

void check_invariants(const struct nat *nat)
{
    uint32_t live = 0, mappings = 0, leases = 0, with_host = 0;
    uint32_t *sessions =
        calloc(nat->table.mapping_capacity, sizeof(*sessions)); /* of each mapping */

    ck_assert_ptr_nonnull(sessions);
    for (uint32_t slot = 0; slot < nat->table.capacity; slot++) {
        const struct session *session = &nat->table.session[slot];

        if (session->live != SLOT_LIVE)
            continue;
        check_session(nat, slot);
        live++;
        with_host += session->has_host;
        for (int i = 0; i < 2; i++) {
            if (session_mapping(session, (enum role)i) != INDEX_NONE)
                sessions[session_mapping(session, (enum role)i)]++;
        }
    }
    for (uint32_t i = 0; i < nat->table.mapping_capacity; i++) {
        const struct mapping *mapping = &nat->table.mapping[i];

        ck_assert(mapping->protocol != 0 || sessions[i] == 0);
        if (mapping->protocol != 0) {
            ck_assert(mapping->sessions > 0 || mapping->leased);
            check_mapping(nat, i, sessions[i]);
            mappings++;
            leases += mapping->leased;
        }
    }
    check_leases(nat, leases);
    free(sessions);
    check_ages(nat);
    check_hosts(nat, with_host);
    check_outside(nat);
    ck_assert_uint_eq(nat->table.live, live);
    ck_assert_uint_eq(nat->table.mappings_live, mappings);
    ck_assert_uint_eq(nat->counters.opened + nat->counters.adopted -
                          sum(nat->counters.closed, CLOSE_REASON_COUNT),
                      live);
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
