/*
 * view.c - a session by viewpoint: internal, external, remote, out and in
 */
#include "nat_internal.h"

#include <string.h>

static void copy_name(char out[POLICY_NAME_MAX], const char *name)
{
    memcpy(out, name, POLICY_NAME_MAX);
}

static void view_names(const struct nat *nat, const struct session *session, struct session_view *view)
{
    const struct policy *policy = session_policy(nat, session);
    uint16_t forward = session->forward[ROLE_RESPONDER];

    if (forward == POLICY_NONE)
        forward = session->forward[ROLE_INITIATOR];
    if (session->share != POLICY_NONE)
        copy_name(view->share, policy_share(policy, session->share)->name);
    if (forward != POLICY_NONE)
        copy_name(view->forward, policy_forward(policy, forward)->name);
}

void session_endpoints(const struct session *session, struct endpoint *internal, struct endpoint *external,
                       struct endpoint *remote)
{
    const struct tuple *initiator = &session->tuple[ROLE_INITIATOR], *responder = &session->tuple[ROLE_RESPONDER];

    if (session->direction == DIRECTION_INBOUND) {
        *internal = responder->source;
        *external = initiator->destination;
        *remote = initiator->source;
    } else {
        *internal = initiator->source;
        *external = responder->destination;
        *remote = initiator->destination;
    }
}

bool nat_view(const struct nat *nat, uint32_t slot, uint64_t now, struct session_view *view)
{
    const struct session *session = &nat->table.session[slot];
    enum role out = session->direction == DIRECTION_INBOUND ? ROLE_RESPONDER : ROLE_INITIATOR;
    uint64_t limit;

    if (session->live != SLOT_LIVE)
        return false;
    memset(view, 0, sizeof(*view));
    view->id = session->id;
    view->protocol = session->tuple[0].protocol;
    view->state = (enum session_state)session->state;
    view->direction = (enum direction)session->direction;
    session_endpoints(session, &view->internal, &view->external, &view->remote);
    if (session->direction == DIRECTION_HAIRPIN)
        view->peer = session->tuple[ROLE_RESPONDER].source;
    view_names(nat, session, view);
    limit = session_idle_limit(nat, session) * UINT64_C(1000);
    view->age_ms = now > session->created ? now - session->created : 0;
    view->idle_ms = now > session->last_seen ? now - session->last_seen : 0;
    view->expires_in_ms = limit > view->idle_ms ? limit - view->idle_ms : 0;
    view->packets_out = session->packets[out];
    view->packets_in = session->packets[!out];
    view->bytes_out = session->bytes[out];
    view->bytes_in = session->bytes[!out];
    view->offloaded = offload_is_live(nat, session);
    return true;
}
