/*
 * session_facts.c - what follows from a session and the policy; nothing here changes anything
 */
#include "session_facts.h"

#include "external.h"

void session_endpoints(const struct session *session, struct endpoint *internal,
                       struct endpoint *external, struct endpoint *remote)
{
    const struct tuple initiator = session_tuple(session, ROLE_INITIATOR);
    const struct tuple responder = session_tuple(session, ROLE_RESPONDER);

    if (session->direction == DIRECTION_INBOUND) {
        *internal = responder.source;
        *external = initiator.destination;
        *remote = initiator.source;
    } else {
        *internal = initiator.source;
        *external = responder.destination;
        /* of a connection that the target opens anew, it may be another port (other_port.h) */
        *remote =
            session->direction == DIRECTION_OUTBOUND ? responder.source : initiator.destination;
    }
}

/* Which internal and which external endpoint this role's side has in a session. */
struct endpoint session_internal(const struct session *session, enum role role)
{
    return session_source(session, role);
}

struct endpoint session_external(const struct session *session, enum role role)
{
    return session_destination(session, (enum role) !role);
}

uint8_t session_uplink(const struct nat *nat, const struct session *session)
{
    enum role side = session->direction == DIRECTION_INBOUND ? ROLE_RESPONDER : ROLE_INITIATOR;
    const struct address external = session_external(session, side).address;

    return nat->uplink_count <= 1 ? 0 : external_uplink_of(nat, &external);
}

bool session_forward_allows(const struct nat *nat, const struct session *session, enum role role,
                            uint16_t forward)
{
    const struct forward *rule = policy_forward(nat->policy, forward);
    const struct endpoint internal = session_internal(session, role),
                          initiator = session_source(session, ROLE_INITIATOR);

    if (!policy_forward_delivers(rule, session_external(session, role).port, &internal))
        return false;
    return role == ROLE_INITIATOR || policy_forward_allows(rule, &initiator.address);
}

uint32_t session_idle_limit(const struct nat *nat, const struct session *session)
{
    return session_timeout(policy_timeouts_const(nat->policy), session_protocol(session),
                           session->sent[ROLE_INITIATOR].destination_port,
                           (enum session_state)session->state);
}

uint64_t session_due(const struct nat *nat, const struct session *session, uint64_t now)
{
    return session_last_seen(session, now) + session_idle_limit(nat, session) * UINT64_C(1000);
}

bool session_refreshed_by(const struct nat *nat, const struct session *session, enum role from)
{
    enum role remote = session->direction == DIRECTION_INBOUND ? ROLE_INITIATOR : ROLE_RESPONDER;

    if (session_protocol(session) == PROTOCOL_TCP || from != remote ||
        session->direction == DIRECTION_HAIRPIN || session_share(session) == POLICY_NONE)
        return true;
    return !policy_share(session_policy(nat, session), session_share(session))->no_inbound_refresh;
}
