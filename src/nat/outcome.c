/*
 * outcome.c - how the exchange of a session came to its end
 */
#include "outcome.h"

#include "event_internal.h"
#include "offload_entries.h"

enum outcome outcome_of_change(enum session_state before, enum session_state after, enum role from)
{
    bool closing = before == STATE_CLOSING_BY_INITIATOR || before == STATE_CLOSING_BY_RESPONDER;

    if (after != STATE_CLOSED && after != STATE_RESET)
        return OUTCOME_NONE;
    if (after == STATE_CLOSED && closing)
        return OUTCOME_CLOSED; /* an RST would have led to STATE_RESET */
    if (before == STATE_OPENING && from == ROLE_RESPONDER)
        return OUTCOME_REFUSED;
    return from == ROLE_INITIATOR ? OUTCOME_RESET_BY_INITIATOR : OUTCOME_RESET_BY_RESPONDER;
}

/* Codes of Destination Unreachable (RFC 792, RFC 1122 section 3.2.2.1) and of Time Exceeded. */
enum {
    CODE_PROTOCOL_UNREACHABLE = 2,
    CODE_PORT_UNREACHABLE = 3,
    CODE_FRAGMENTATION_NEEDED = 4,
    CODE_TTL_EXCEEDED = 0,
};

enum outcome outcome_of_error(uint8_t protocol, enum session_state state, uint8_t type,
                              uint8_t code)
{
    if (protocol == PROTOCOL_TCP ? state != STATE_OPENING : state > STATE_ANSWERED)
        return OUTCOME_NONE;
    if (type == ICMP_TIME_EXCEEDED)
        return code == CODE_TTL_EXCEEDED ? OUTCOME_UNREACHABLE : OUTCOME_NONE;
    if (type != ICMP_DESTINATION_UNREACHABLE || code == CODE_FRAGMENTATION_NEEDED)
        return OUTCOME_NONE;
    return code == CODE_PORT_UNREACHABLE || code == CODE_PROTOCOL_UNREACHABLE
               ? OUTCOME_REFUSED_BY_ICMP
               : OUTCOME_UNREACHABLE;
}

void outcome_set(struct nat *nat, uint32_t slot, enum outcome outcome,
                 const struct icmp_report *icmp, uint64_t waited_ms, uint64_t now)
{
    struct session *session = &nat->table.session[slot];

    if (session->outcome == outcome)
        return; /* told once: a sender that tries again gets the same answer */
    if (session->outcome == OUTCOME_CLOSED)
        outcome_tell(nat, slot, now); /* another connection follows */
    session->outcome = outcome & 7;
    session->outcome_told =
        outcome != OUTCOME_NONE && (icmp != NULL || offload_entry_of(nat, session) == NULL);
    if (session->outcome_told)
        event_publish_end(nat, slot, icmp, waited_ms, now);
}

void outcome_tell(struct nat *nat, uint32_t slot, uint64_t now)
{
    struct session *session = &nat->table.session[slot];

    if (session->outcome == OUTCOME_NONE || session->outcome_told)
        return;
    session->outcome_told = true;
    event_publish_end(nat, slot, NULL, 0, now);
}

void outcome_doubt(struct session *session, enum role from)
{
    if (from == ROLE_RESPONDER &&
        (session->outcome == OUTCOME_REFUSED_BY_ICMP || session->outcome == OUTCOME_UNREACHABLE))
        session->outcome = OUTCOME_NONE;
}
