/*
 * adopt.c - taking over the sessions that an earlier run left in the table's memory
 *
 * After a crash or a restart the array of sessions is still there, written by a process that may
 * have been killed at any instruction, or by anything else that could write the file. So an entry
 * is used only if it is consistent in itself, has not expired, belongs to addresses that the
 * gateway has, is allowed by the policy, and collides with no other session. Everything else
 * (indexes, mappings, hosts, timers) is built anew.
 */
#include "external.h"
#include "mapping.h"
#include "outside.h"
#include "session.h"
#include "session_facts.h"

#include <string.h>

static bool is_sound_state(const struct session *session)
{
    const uint8_t most = 14; /* RFC 7323 section 2.3 */

    if (session_protocol(session) == PROTOCOL_TCP)
        return session->state >= STATE_OPENING && session->state < STATE_COUNT &&
               (session->tcp.scale[0] & ~TCP_KNOWN) <= most &&
               (session->tcp.scale[1] & ~TCP_KNOWN) <= most;
    return session->state <= STATE_ANSWERED;
}

/* The same remote, but for another port that its target may see (other_port.h). */
static bool is_same_remote(const struct endpoint *one, const struct endpoint *other,
                           uint8_t protocol)
{
    return address_equal(&one->address, &other->address) &&
           (one->port == other->port ||
            (protocol_has_ports(protocol) && one->port != 0 && other->port != 0));
}

/* The remote endpoint is the same in both tuples; in a hairpin both sides are internal. */
static bool is_sound_direction(const struct session *session)
{
    const struct tuple initiator = session_tuple(session, ROLE_INITIATOR);
    const struct tuple responder = session_tuple(session, ROLE_RESPONDER);

    switch (session->direction) {
    case DIRECTION_OUTBOUND:
        return is_same_remote(&initiator.destination, &responder.source, initiator.protocol);
    case DIRECTION_INBOUND:
        return is_same_remote(&initiator.source, &responder.destination, initiator.protocol);
    default:
        return session->direction == DIRECTION_HAIRPIN;
    }
}

/* The kernel may have rewritten it since then; its last packets are not in our memory. */
static bool was_offloaded(const struct session *session)
{
    return session->offload < OFFLOAD_LATER && session_may_be_offloaded(session);
}

/* It may have been written as it is. */
static bool is_sound(const struct session *session, uint64_t now)
{
    uint32_t idle = (uint32_t)now - session->last_seen,
             age = (uint32_t)(now >> 6) - session->created;

    return table_is_whole(session) && session_protocol(session) != 0 && is_sound_state(session) &&
           is_sound_direction(session) && session->id > 0 && session->id < SESSION_ID_MAX / 2 &&
           idle <= now && age <= now >> 6 &&
           (now - idle) >> 6 >= (now >> 6) - age; /* created before it was seen */
}

static bool has_expired(const struct nat *nat, const struct session *session, uint64_t now)
{
    uint32_t idle = (uint32_t)now - session->last_seen;

    return idle >= session_idle_limit(nat, session) * UINT64_C(1000) && !was_offloaded(session);
}

/*
 * The existing mapping between these endpoints, or a new one if the port is free.
 */
static uint32_t adopt_mapping(struct nat *nat, uint8_t protocol, const struct endpoint *internal,
                              const struct endpoint *external, uint32_t created)
{
    size_t external_index = external_find(nat, &external->address);
    uint16_t share = policy_share_of(nat->policy, &internal->address);
    uint8_t uplink = nat->external_uplink[external_index];
    uint32_t index = mapping_find_internal(&nat->table, protocol, internal, uplink), added;
    struct mapping mapping = {.internal = compact_address_of(&internal->address),
                              .internal_port = internal->port,
                              .external_port = external->port,
                              .created = created,
                              .protocol = protocol,
                              .external_index = (uint8_t)external_index,
                              .uplink = uplink & 0x7fu};
    uint32_t host;

    if (share == POLICY_NONE ||
        !pool_contains(policy_pool(nat->policy, share, protocol), external->port))
        return INDEX_NONE;
    if (index != INDEX_NONE) {
        struct endpoint known = mapping_external(nat, &nat->table.mapping[index]);

        return endpoint_equal(&known, external) ? index : INDEX_NONE;
    }
    if (!ports_take(external_port_space(nat, external_index, protocol), external->port)) {
        mapping.is_overload = true; /* the other mapping has been adopted already */
        if (protocol != PROTOCOL_TCP || policy_share(nat->policy, share)->never_overload)
            return INDEX_NONE;
    }
    host = host_get_mapping(&nat->table, &internal->address, protocol,
                            UINT32_MAX); /* the limit is for new ones */
    added = host == INDEX_NONE ? INDEX_NONE : mapping_enter(nat, &mapping);
    if (added == INDEX_NONE) {
        if (host != INDEX_NONE)
            host_put_mapping(&nat->table, host, protocol);
        if (!mapping.is_overload)
            ports_release(external_port_space(nat, external_index, protocol), external->port, false,
                          0);
    }
    return added;
}

/* Finds what gives this side its external endpoint: a forward or a mapping. */
static bool adopt_side(struct nat *nat, const struct session *session, enum role role,
                       struct session_plan *plan)
{
    const struct endpoint internal = session_source(session, role);
    const struct endpoint external = session_destination(session, (enum role) !role);
    uint8_t protocol = session_protocol(session);
    uint16_t forward = policy_forward_at(nat->policy, protocol, external.port);
    uint16_t share = policy_share_of(nat->policy, &internal.address);

    if (external_find(nat, &external.address) == EXTERNAL_ADDRESSES_MAX)
        return false;
    if (plan->share == POLICY_NONE && (role == ROLE_INITIATOR || forward == POLICY_NONE))
        plan->share = share; /* as when it was opened: a forward needs no share */
    if (forward != POLICY_NONE) {
        plan->forward[role] = forward;
        return session_forward_allows(nat, session, role, forward);
    }
    plan->mapping[role] = adopt_mapping(nat, protocol, &internal, &external, session->created);
    return plan->mapping[role] != INDEX_NONE;
}

static bool adopt_sides(struct nat *nat, const struct session *session, struct session_plan *plan)
{
    if (session->direction != DIRECTION_INBOUND && !adopt_side(nat, session, ROLE_INITIATOR, plan))
        return false;
    return session->direction == DIRECTION_OUTBOUND ||
           adopt_side(nat, session, ROLE_RESPONDER, plan);
}

/* Mappings that were made for a session that was then not adopted. */
static void drop_unused_mappings(struct nat *nat, const struct session_plan *plan, uint64_t now)
{
    for (int role = 0; role < 2; role++) {
        if (plan->mapping[role] != INDEX_NONE)
            mapping_release_unused(nat, plan->mapping[role], false, now);
    }
}

/* True when one of its keys is taken already. */
static bool meets_another(const struct nat *nat, const struct session *session)
{
    struct tuple tuple[2] = {session_tuple(session, ROLE_INITIATOR),
                             session_tuple(session, ROLE_RESPONDER)};
    struct tuple transit = {tuple[0].source, tuple[1].source, tuple[0].protocol, 0};
    enum role role;

    return table_find(&nat->table, &tuple[0], &role) != INDEX_NONE ||
           table_find(&nat->table, &tuple[1], &role) != INDEX_NONE ||
           (session->direction == DIRECTION_HAIRPIN &&
            table_find_transit(&nat->table, &transit, &role) != INDEX_NONE);
}

/* ADOPTION_REASON_COUNT: it was adopted. */
static enum adoption_reason adopt_one(struct nat *nat, uint32_t slot, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    struct session_plan plan = {.mapping = {INDEX_NONE, INDEX_NONE},
                                .forward = {POLICY_NONE, POLICY_NONE},
                                .share = POLICY_NONE};
    const struct address host = session_source(session, ROLE_INITIATOR).address;

    if (!is_sound(session, now) || meets_another(nat, session))
        return ADOPTION_DAMAGED;
    if (has_expired(nat, session, now))
        return ADOPTION_EXPIRED;
    if (!adopt_sides(nat, session, &plan)) {
        drop_unused_mappings(nat, &plan, now);
        return ADOPTION_NOT_ALLOWED;
    }
    session->has_host =
        session->direction != DIRECTION_INBOUND && session_age_list(session) != AGE_CLOSED &&
        policy_is_shared(nat->policy, &host) &&
        host_get(&nat->table, &host, UINT32_MAX) != INDEX_NONE; /* the limit is for new sessions */
    session->epoch = nat->epoch;
    session->offload = OFFLOAD_NO;
    if (session->outcome >= OUTCOME_COUNT)
        session->outcome = OUTCOME_NONE;
    session_fill(nat, session, &plan);
    session->has_remote = false;
    if (session->direction == DIRECTION_INBOUND && session_age_list(session) != AGE_CLOSED)
        outside_enter(nat, session);
    table_readmit(&nat->table, slot, session_due(nat, session, now));
    return ADOPTION_REASON_COUNT;
}

/* As is_sound, for a lease. */
static bool is_sound_lease(const struct lease *lease, uint64_t now)
{
    uint32_t age = (uint32_t)(now >> 6) - lease->created;

    return lease_is_whole(lease) && protocol_index(lease->protocol) != PROTOCOL_COUNT &&
           lease->internal_port != 0 && lease->external_port != 0 && age <= now >> 6 &&
           lease->expires > now && lease->expires - now <= LONGEST_TIMEOUT * UINT64_C(1000);
}

static void adopt_lease(struct nat *nat, struct lease *lease, uint64_t now)
{
    const struct endpoint internal = compact_endpoint_expand(lease->internal, lease->internal_port);
    const struct endpoint external = compact_endpoint_expand(lease->external, lease->external_port);
    const struct lease left = *lease;
    uint32_t mapping;

    lease->live = SLOT_FREE;
    if (!is_sound_lease(&left, now) || !external_has(nat, &external.address))
        return;
    mapping = adopt_mapping(nat, left.protocol, &internal, &external, left.created);
    if (mapping == INDEX_NONE)
        return;
    if (nat->table.mapping[mapping].is_overload || !lease_enter(nat, mapping, left.expires))
        mapping_release_unused(nat, mapping, false, now);
}

/* Before the sessions: the mapping of a lease owns its port.  */
static void adopt_leases(struct nat *nat, uint64_t now)
{
    for (uint32_t i = 0; i < nat->table.lease_capacity; i++) {
        if (nat->leases.lease[i].live == SLOT_CANDIDATE)
            adopt_lease(nat, &nat->leases.lease[i], now);
    }
}

uint32_t nat_adopt(struct nat *nat, uint64_t now, uint32_t *refused)
{
    enum adoption_reason reason;
    uint32_t adopted = 0;

    *refused = 0;
    adopt_leases(nat, now);
    for (uint32_t slot = 0; slot < nat->table.capacity; slot++) {
        if (nat->table.session[slot].live != SLOT_CANDIDATE)
            continue;
        reason = adopt_one(nat, slot, now);
        if (reason == ADOPTION_REASON_COUNT) {
            adopted++;
        } else {
            nat->table.session[slot].live = SLOT_FREE;
            nat->counters.not_adopted[reason]++;
            (*refused)++;
        }
    }
    table_end_adoption(&nat->table);
    nat->counters.adopted += adopted;
    return adopted;
}
