/*
 * view.c - a session by viewpoint: internal, external, remote, out and in
 */
#include "external.h"
#include "mapping.h"
#include "nat_internal.h"
#include "offload_entries.h"
#include "session_facts.h"

#include <string.h>

const char *direction_name(enum direction direction)
{
    static const char *const names[DIRECTION_COUNT] = {
        [DIRECTION_OUTBOUND] = "outbound",
        [DIRECTION_INBOUND] = "inbound",
        [DIRECTION_HAIRPIN] = "hairpin",
    };

    return names[direction];
}

const char *session_state_name(enum session_state state)
{
    static const char *const names[STATE_COUNT] = {
        [STATE_UNANSWERED] = "unanswered",
        [STATE_ANSWERED] = "answered",
        [STATE_OPENING] = "opening",
        [STATE_ANSWERED_SYN] = "opening",
        [STATE_ESTABLISHED] = "established",
        [STATE_CLOSING_BY_INITIATOR] = "closing",
        [STATE_CLOSING_BY_RESPONDER] = "closing",
        [STATE_CLOSED] = "closed",
        [STATE_RESET] = "reset",
    };

    return names[state];
}

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[OUTCOME_COUNT] = {
        [OUTCOME_CLOSED] = "closed",
        [OUTCOME_REFUSED] = "refused",
        [OUTCOME_REFUSED_BY_ICMP] = "refused",
        [OUTCOME_RESET_BY_INITIATOR] = "reset",
        [OUTCOME_RESET_BY_RESPONDER] = "reset",
        [OUTCOME_UNREACHABLE] = "unreachable",
    };

    return names[outcome];
}

const struct endpoint *session_initiator(const struct session_view *session)
{
    return session->direction == DIRECTION_INBOUND ? &session->remote : &session->internal;
}

const struct endpoint *session_responder(const struct session_view *session)
{
    switch (session->direction) {
    case DIRECTION_INBOUND:
        return &session->internal;
    case DIRECTION_HAIRPIN:
        return &session->peer;
    default:
        return &session->remote;
    }
}

const struct endpoint *session_ended_by(const struct session_view *session)
{
    switch (session->outcome) {
    case OUTCOME_RESET_BY_INITIATOR:
        return session_initiator(session);
    case OUTCOME_REFUSED:
    case OUTCOME_RESET_BY_RESPONDER:
        return session_responder(session);
    default:
        return NULL;
    }
}

static void copy_name(char out[POLICY_NAME_MAX], const char *name)
{
    memcpy(out, name, POLICY_NAME_MAX);
}

static void view_names(const struct nat *nat, const struct session *session,
                       struct session_view *view)
{
    const struct policy *policy = session_policy(nat, session);
    uint16_t forward = session_forward(session, ROLE_RESPONDER), share = session_share(session);

    if (forward == POLICY_NONE)
        forward = session_forward(session, ROLE_INITIATOR);
    if (share != POLICY_NONE)
        copy_name(view->share, policy_share(policy, share)->name);
    if (forward != POLICY_NONE)
        copy_name(view->forward, policy_forward(policy, forward)->name);
}

bool nat_view(const struct nat *nat, uint32_t slot, uint64_t now, struct session_view *view)
{
    const struct session *session = &nat->table.session[slot];
    enum role out;
    uint64_t limit;

    /* There are more mappings than sessions: nat_slots. */
    if (slot >= nat->table.capacity || session->live != SLOT_LIVE)
        return false;
    out = session->direction == DIRECTION_INBOUND ? ROLE_RESPONDER : ROLE_INITIATOR;
    memset(view, 0, sizeof(*view));
    view->id = session->id;
    view->protocol = session_protocol(session);
    view->state = (enum session_state)session->state;
    view->direction = (enum direction)session->direction;
    view->outcome = (enum outcome)session->outcome;
    session_endpoints(session, &view->internal, &view->external, &view->remote);
    if (session->direction == DIRECTION_HAIRPIN)
        view->peer = session_source(session, ROLE_RESPONDER);
    view->remote_inside = session_destination(session, out);
    view->uplink = session_uplink(nat, session);
    view_names(nat, session, view);
    limit = session_idle_limit(nat, session) * UINT64_C(1000);
    view->age_ms = stored_age(session->created, now);
    view->idle_ms = session_idle(session, now);
    if (view->age_ms < view->idle_ms)
        view->age_ms = view->idle_ms; /* the age is known to 64 milliseconds only */
    view->expires_in_ms = limit > view->idle_ms ? limit - view->idle_ms : 0;
    view->packets_out = session_packets(session, out);
    view->packets_in = session_packets(session, (enum role) !out);
    view->bytes_out = session->bytes[out];
    view->bytes_in = session->bytes[!out];
    view->offloaded = offload_is_live(nat, session);
    return true;
}

bool nat_view_mapping(const struct nat *nat, uint32_t index, uint64_t now,
                      struct mapping_view *view)
{
    const struct mapping *mapping = &nat->table.mapping[index];

    if (mapping->protocol == 0)
        return false;
    *view = (struct mapping_view){
        .internal = mapping_internal(mapping),
        .external = mapping_external(nat, mapping),
        .protocol = mapping->protocol,
        .share = mapping_share(nat, index),
        .sessions = mapping->sessions,
        .age_ms = stored_age(mapping->created, now),
        .uplink = mapping->uplink,
    };
    return true;
}

/*
 * One of the mappings that share a port whose owner has ended (RFC 7857 section 3). That is rare,
 * so all mappings are looked at.
 */
static uint32_t find_sharer(const struct nat *nat, uint8_t protocol, size_t slot, uint16_t port)
{
    for (uint32_t i = 0; i < nat->table.mapping_capacity; i++) {
        const struct mapping *mapping = &nat->table.mapping[i];

        if (mapping->protocol == protocol && mapping->external_index == slot &&
            mapping->external_port == port)
            return i;
    }
    return INDEX_NONE;
}

bool nat_view_port(const struct nat *nat, uint8_t protocol, uint16_t external_port, uint64_t now,
                   struct mapping_view *view)
{
    for (size_t slot = 0; slot < EXTERNAL_ADDRESSES_MAX; slot++) {
        uint32_t holder;

        if (!nat->external_valid[slot])
            continue;
        holder = ports_holder(external_port_space(nat, slot, protocol), external_port);
        if (holder == INDEX_NONE)
            continue;
        if (holder >= HOLDER_SHARED)
            holder = find_sharer(nat, protocol, slot, external_port);
        if (holder != INDEX_NONE)
            return nat_view_mapping(nat, holder, now, view);
    }
    return false;
}
