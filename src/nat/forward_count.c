/*
 * forward_count.c - counts the use of forwards (portreeve/forward_use.h)
 */
#include "forward_count.h"

#include "external.h"
#include "session_facts.h"

void forward_count_bytes(const struct nat *nat, const struct session *session, enum role from,
                         uint64_t bytes, uint64_t now)
{
    uint16_t forward = session_forward(session, ROLE_RESPONDER);
    struct forward_use *use;

    if (forward == POLICY_NONE)
        return;
    use = policy_forward_use(session_policy(nat, session), forward);
    *(from == ROLE_INITIATOR ? &use->bytes_in : &use->bytes_out) += bytes;
    if (use->first_used == 0)
        use->first_used = now;
    use->last_used = now;
}

void forward_count_opened(const struct nat *nat, uint16_t forward)
{
    if (forward != POLICY_NONE)
        policy_forward_use(nat->policy, forward)->opened++;
}

void forward_count_refused(const struct nat *nat, const struct packet *packet,
                           const struct tuple *sent)
{
    uint16_t forward;

    if (packet->hook != HOOK_INBOUND || !protocol_has_ports(sent->protocol) ||
        !external_has(nat, &sent->destination.address))
        return;
    forward = policy_forward_at(nat->policy, sent->protocol, sent->destination.port);
    if (forward != POLICY_NONE)
        policy_forward_use(nat->policy, forward)->refused[packet->reason]++;
}
