/*
 * adopt.c - taking over the sessions that an earlier run left in the table's memory
 *
 * After a crash or a restart the array of sessions is still there, written by a process that may have been killed at any
 * instruction, or by anything else that could write the file. So nothing of an entry is believed until it is consistent in
 * itself, has not expired, belongs to addresses that the gateway has, is allowed by the policy, and meets no other session.
 * Everything else (indexes, mappings, hosts, timers) is made anew.
 */
#include "nat_internal.h"

#include <string.h>

static bool is_sound_tuple(const struct tuple *tuple)
{
    return (tuple->protocol == PROTOCOL_TCP || tuple->protocol == PROTOCOL_UDP ||
            tuple->protocol == PROTOCOL_ICMP) &&
           tuple->reserved == 0 && address_is_ipv4(&tuple->source.address) &&
           address_is_ipv4(&tuple->destination.address);
}

static bool is_sound_state(const struct session *session)
{
    if (session->tuple[0].protocol == PROTOCOL_TCP)
        return session->state >= STATE_OPENING && session->state < STATE_COUNT;
    return session->state <= STATE_ANSWERED;
}

/* The remote's endpoint is the same in both tuples; in a hairpin both sides are ours. */
static bool is_sound_direction(const struct session *session)
{
    const struct tuple *initiator = &session->tuple[ROLE_INITIATOR], *responder = &session->tuple[ROLE_RESPONDER];

    switch (session->direction) {
    case DIRECTION_OUTBOUND:
        return endpoint_equal(&initiator->destination, &responder->source);
    case DIRECTION_INBOUND:
        return endpoint_equal(&initiator->source, &responder->destination);
    default:
        return session->direction == DIRECTION_HAIRPIN;
    }
}

/* The kernel may have gone on with it, and its last packets are not in our memory. */
static bool was_offloaded(const struct session *session)
{
    return session->offload < OFFLOAD_LATER &&
           (session->state == STATE_ESTABLISHED || session->state == STATE_ANSWERED);
}

static bool is_sound(const struct nat *nat, const struct session *session, uint64_t now)
{
    return is_sound_tuple(&session->tuple[0]) && is_sound_tuple(&session->tuple[1]) &&
           session->tuple[0].protocol == session->tuple[1].protocol && is_sound_state(session) &&
           is_sound_direction(session) && session->id > 0 && session->id < UINT64_MAX / 2 &&
           session->created <= session->last_seen && session->last_seen <= now &&
           (session->last_seen + session_idle_limit(nat, session) * UINT64_C(1000) > now || was_offloaded(session));
}

/* The mapping between these endpoints: the one that is there, or a new one on a port that is free. */
static uint32_t adopt_mapping(struct nat *nat, uint8_t protocol, const struct endpoint *internal,
                              const struct endpoint *external, uint64_t created)
{
    size_t external_index = nat_external_index(nat, &external->address);
    uint16_t share = policy_share_of(nat->policy, &internal->address);
    uint32_t index = mapping_find_internal(&nat->table, protocol, internal), added;
    struct mapping mapping = {.internal = *internal, .external = *external, .protocol = protocol,
                              .external_index = (uint8_t)external_index, .created = created};

    if (share == POLICY_NONE || !pool_contains(policy_pool(nat->policy, share, protocol), external->port))
        return INDEX_NONE;
    if (index != INDEX_NONE)
        return endpoint_equal(&nat->table.mapping[index].external, external) ? index : INDEX_NONE;
    if (!ports_take(nat_port_space(nat, external_index, protocol), external->port)) {
        mapping.is_overload = true; /* the other mapping has been adopted already */
        if (protocol != PROTOCOL_TCP || policy_share(nat->policy, share)->never_overload)
            return INDEX_NONE;
    }
    mapping.host = host_get_mapping(&nat->table, &internal->address, UINT32_MAX); /* the limit is for new ones */
    added = mapping.host == INDEX_NONE ? INDEX_NONE : mapping_add(&nat->table, &mapping);
    if (added == INDEX_NONE) {
        if (mapping.host != INDEX_NONE)
            host_put_mapping(&nat->table, mapping.host);
        if (!mapping.is_overload)
            ports_release(nat_port_space(nat, external_index, protocol), external->port, false, 0);
    }
    return added;
}

/* Finds what states this side's external endpoint: a forward or a mapping. */
static bool adopt_side(struct nat *nat, const struct session *session, enum role role, struct session_plan *plan)
{
    const struct endpoint *internal = &session->tuple[role].source, *external = &session->tuple[!role].destination;
    uint8_t protocol = session->tuple[0].protocol;
    uint16_t forward = policy_forward_at(nat->policy, protocol, external->port);
    uint16_t share = policy_share_of(nat->policy, &internal->address);

    if (nat_external_index(nat, &external->address) == EXTERNAL_ADDRESSES_MAX)
        return false;
    if (plan->share == POLICY_NONE && (role == ROLE_INITIATOR || forward == POLICY_NONE))
        plan->share = share; /* as when it was opened: a forward needs no share */
    if (forward != POLICY_NONE) {
        plan->forward[role] = forward;
        return nat_forward_allows(nat, session, role, forward);
    }
    plan->mapping[role] = adopt_mapping(nat, protocol, internal, external, session->created);
    return plan->mapping[role] != INDEX_NONE;
}

static bool adopt_sides(struct nat *nat, const struct session *session, struct session_plan *plan)
{
    if (session->direction != DIRECTION_INBOUND && !adopt_side(nat, session, ROLE_INITIATOR, plan))
        return false;
    return session->direction == DIRECTION_OUTBOUND || adopt_side(nat, session, ROLE_RESPONDER, plan);
}

/* Mappings that were made for a session which then was refused. */
static void drop_unused_mappings(struct nat *nat, const struct session_plan *plan, uint64_t now)
{
    for (int role = 0; role < 2; role++) {
        if (plan->mapping[role] != INDEX_NONE && nat->table.mapping[plan->mapping[role]].sessions == 0)
            mapping_release(nat, plan->mapping[role], false, now);
    }
}

static bool adopt_one(struct nat *nat, uint32_t slot, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    struct session_plan plan = {.mapping = {INDEX_NONE, INDEX_NONE}, .forward = {POLICY_NONE, POLICY_NONE},
                                .share = POLICY_NONE};
    const struct address *host = &session->tuple[ROLE_INITIATOR].source.address;
    enum role role;

    if (!is_sound(nat, session, now) || table_find(&nat->table, &session->tuple[0], &role) != INDEX_NONE ||
        table_find(&nat->table, &session->tuple[1], &role) != INDEX_NONE)
        return false;
    if (!adopt_sides(nat, session, &plan)) {
        drop_unused_mappings(nat, &plan, now);
        return false;
    }
    session->host = INDEX_NONE;
    if (session->direction != DIRECTION_INBOUND && nat_is_shared(nat, host))
        session->host = host_get(&nat->table, host, UINT32_MAX); /* the limit is for new sessions */
    session->epoch = nat->epoch;
    session->share = plan.share;
    memcpy(session->forward, plan.forward, sizeof(session->forward));
    memcpy(session->mapping, plan.mapping, sizeof(session->mapping));
    for (int side = 0; side < 2; side++) {
        if (plan.mapping[side] != INDEX_NONE)
            nat->table.mapping[plan.mapping[side]].sessions++;
    }
    session->offload = OFFLOAD_NO;
    table_readmit(&nat->table, slot, session->last_seen + session_idle_limit(nat, session) * UINT64_C(1000));
    return true;
}

uint32_t nat_adopt(struct nat *nat, uint64_t now, uint32_t *refused)
{
    uint32_t adopted = 0;

    *refused = 0;
    for (uint32_t slot = 0; slot < nat->table.capacity; slot++) {
        if (nat->table.session[slot].live != SLOT_CANDIDATE)
            continue;
        if (adopt_one(nat, slot, now)) {
            adopted++;
        } else {
            nat->table.session[slot].live = SLOT_FREE;
            (*refused)++;
        }
    }
    table_end_adoption(&nat->table);
    nat->counters.adopted += adopted;
    return adopted;
}
