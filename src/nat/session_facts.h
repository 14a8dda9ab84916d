/*
 * session_facts.h - what follows from a session and the policy
 */
#ifndef NAT_SESSION_FACTS_H
#define NAT_SESSION_FACTS_H

#include "nat_internal.h"

/* The policy that the indexes of shares and forwards in this session mean. */
static inline const struct policy *session_policy(const struct nat *nat,
                                                  const struct session *session)
{
    return session->epoch == nat->epoch ? nat->policy : nat->policy_before;
}

/*
 * True in the states in which nothing is left to decide; only such sessions are offloaded.
 */
static inline bool session_is_settled(const struct session *session)
{
    return session->state == STATE_ESTABLISHED || session->state == STATE_ANSWERED;
}

/*
 * True when the internal endpoint sees the remote with another source port than the remote has
 * (other_port.h): then both ends of each packet are rewritten, in one pass.
 */
static inline bool session_has_other_port(const struct session *session)
{
    enum role remote = session->direction == DIRECTION_INBOUND ? ROLE_INITIATOR : ROLE_RESPONDER;

    return session->direction != DIRECTION_HAIRPIN &&
           session->sent[remote].source_port != session->sent[!remote].destination_port;
}

/* True when the kernel may rewrite its packets by itself: it is settled, or UDP without an answer.
 */
static inline bool session_may_be_offloaded(const struct session *session)
{
    return session->direction != DIRECTION_HAIRPIN &&
           protocol_has_ports(session_protocol(session)) && !session_has_other_port(session) &&
           (session_is_settled(session) || session->state == STATE_UNANSWERED);
}

/* The endpoints of a session by viewpoint; a hairpin's are its initiator's. */
void session_endpoints(const struct session *session, struct endpoint *internal,
                       struct endpoint *external, struct endpoint *remote);

/* The internal and the external endpoint of the side that has this role. */
struct endpoint session_internal(const struct session *session, enum role role);
struct endpoint session_external(const struct session *session, enum role role);

/*
 * The uplink that the session's external address belongs to (of a hairpin's, the initiator's);
 * NAT_UPLINKS_MAX when the address is not known any more.
 */
uint8_t session_uplink(const struct nat *nat, const struct session *session);

/* Seconds this session may be idle in its state. */
uint32_t session_idle_limit(const struct nat *nat, const struct session *session);

/* When this session ends if nothing keeps it alive, milliseconds. */
uint64_t session_due(const struct nat *nat, const struct session *session, uint64_t now);

/* Whether packets of this side keep the session alive (an RST never does). */
bool session_refreshed_by(const struct nat *nat, const struct session *session, enum role from);

/*
 * True when the forward delivers to what this side of the session is, and lets the initiator in.
 * `allow` does not apply to sessions that the target itself has opened.
 */
bool session_forward_allows(const struct nat *nat, const struct session *session, enum role role,
                            uint16_t forward);

#endif
