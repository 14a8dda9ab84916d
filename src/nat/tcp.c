#include "portreeve/tcp.h"
#include "portreeve/packet.h"

static const char *const state_names[STATE_COUNT] = {
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

const char *session_state_name(enum session_state state)
{
    return state_names[state];
}

bool tcp_may_open(uint8_t flags)
{
    return (flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static enum session_state after_fin(enum session_state state, enum role from)
{
    bool initiator_done = state == STATE_CLOSING_BY_INITIATOR || from == ROLE_INITIATOR;
    bool responder_done = state == STATE_CLOSING_BY_RESPONDER || from == ROLE_RESPONDER;

    if (initiator_done && responder_done)
        return STATE_CLOSED;
    return initiator_done ? STATE_CLOSING_BY_INITIATOR : STATE_CLOSING_BY_RESPONDER;
}

/* True when an RST may turn out to be forged: before the handshake, and after the end, there is nothing to go back to. */
static bool was_established(enum session_state state)
{
    return state == STATE_RESET || (state >= STATE_ESTABLISHED && state < STATE_CLOSED);
}

enum session_state tcp_next_state(enum session_state state, uint8_t flags, enum role from)
{
    if (flags & TCP_RST)
        return was_established(state) ? STATE_RESET : STATE_CLOSED;
    if ((state == STATE_CLOSED || state == STATE_RESET) && from == ROLE_INITIATOR && tcp_may_open(flags))
        return STATE_OPENING;
    if (state == STATE_RESET)
        state = STATE_ESTABLISHED;
    if (state == STATE_OPENING && from == ROLE_RESPONDER && flags & TCP_SYN)
        return STATE_ANSWERED_SYN;
    if (state == STATE_ANSWERED_SYN && from == ROLE_INITIATOR && flags & TCP_ACK)
        state = STATE_ESTABLISHED;
    if (flags & TCP_FIN && state >= STATE_ESTABLISHED && state < STATE_CLOSED)
        return after_fin(state, from);
    return state;
}

uint32_t session_timeout(const struct timeouts *timeouts, uint8_t protocol, enum session_state state)
{
    if (protocol == PROTOCOL_ICMP)
        return timeouts->icmp;
    if (protocol == PROTOCOL_UDP)
        return timeouts->udp;
    switch (state) {
    case STATE_ESTABLISHED:
    case STATE_CLOSING_BY_INITIATOR:
    case STATE_CLOSING_BY_RESPONDER:
        return timeouts->tcp_established;
    default:
        return timeouts->tcp_transitory;
    }
}
