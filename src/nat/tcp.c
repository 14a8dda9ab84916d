/*
 * tcp.c - the states of a connection, and what its sequence numbers tell
 */
#include "tcp.h"
#include "portreeve/packet.h"

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

/*
 * True when an RST may turn out to be forged: before the handshake and after the end there is no
 * state to return to.
 */
static bool was_established(enum session_state state)
{
    return state == STATE_RESET || (state >= STATE_ESTABLISHED && state < STATE_CLOSED);
}

enum session_state tcp_next_state(enum session_state state, uint8_t flags, enum role from)
{
    if (flags & TCP_RST)
        return was_established(state) ? STATE_RESET : STATE_CLOSED;
    if ((state == STATE_CLOSED || state == STATE_RESET) && from == ROLE_INITIATOR &&
        tcp_may_open(flags))
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

uint32_t session_timeout(const struct timeouts *timeouts, uint8_t protocol, uint16_t port,
                         enum session_state state)
{
    uint32_t of_port = 0;

    if (protocol == PROTOCOL_ICMP)
        return timeouts->icmp;
    if (state == STATE_ANSWERED ||
        (state >= STATE_ESTABLISHED && state <= STATE_CLOSING_BY_RESPONDER))
        of_port = timeouts_of_port(timeouts, protocol, port);
    if (of_port != 0)
        return of_port;
    if (protocol == PROTOCOL_UDP)
        return timeouts->udp;
    switch (state) {
    case STATE_ESTABLISHED:
    case STATE_CLOSING_BY_INITIATOR:
    case STATE_CLOSING_BY_RESPONDER:
        return timeouts->tcp_established;
    case STATE_OPENING:
    case STATE_ANSWERED_SYN:
        return timeouts->tcp_opening != 0 ? timeouts->tcp_opening : timeouts->tcp_transitory;
    default:
        return timeouts->tcp_closing != 0 ? timeouts->tcp_closing : timeouts->tcp_transitory;
    }
}

/* True when `one` comes after `other` (RFC 9293 section 3.4: sequence numbers wrap). */
static bool is_after(uint32_t one, uint32_t other)
{
    return (int32_t)(one - other) > 0;
}

static bool is_known(const struct tcp_track *track, enum role role)
{
    return (track->scale[role] & TCP_KNOWN) != 0;
}

static uint32_t scaled(const struct tcp_track *track, enum role role, uint16_t window)
{
    return (uint32_t)window << (track->scale[role] & ~TCP_KNOWN);
}

void tcp_observe(struct tcp_track *track, const struct tcp_segment *segment, enum role from)
{
    enum role to = from == ROLE_INITIATOR ? ROLE_RESPONDER : ROLE_INITIATOR;

    if (segment->flags & TCP_RST)
        return;
    if (segment->flags & TCP_SYN) {
        track->scale[from] = (uint8_t)((track->scale[from] & TCP_KNOWN) | segment->scale);
        if (!(segment->flags & TCP_ACK) || !is_known(track, to)) {
            /* What the other side expects next if it accepts the connection. */
            track->expects[to] = segment->sequence + 1;
            track->scale[to] |= TCP_KNOWN;
            track->window[to] = 0;
        }
    }
    if (!(segment->flags & TCP_ACK) ||
        (is_known(track, from) && is_after(track->expects[from], segment->acknowledgement)))
        return;
    track->expects[from] = segment->acknowledgement;
    track->scale[from] |= TCP_KNOWN;
    track->window[from] =
        segment->flags & TCP_SYN ? segment->window : scaled(track, from, segment->window);
}

void tcp_passed_unseen(struct tcp_track *track, enum role from, uint64_t bytes)
{
    const uint32_t most = 1 << 30; /* beyond that, earlier and later could not be told apart */
    enum role to = from == ROLE_INITIATOR ? ROLE_RESPONDER : ROLE_INITIATOR;

    if (bytes > most || track->window[to] + (uint32_t)bytes > most)
        track->scale[to] &= (uint8_t)~TCP_KNOWN;
    else
        track->window[to] += (uint32_t)bytes;
}

bool tcp_acknowledges_syn(const struct tcp_track *track, const struct tcp_segment *segment,
                          enum role from)
{
    const uint32_t early = 1 << 20; /* the answering side may have sent data right after its SYN */

    return !is_known(track, from) || segment->acknowledgement - track->expects[from] < early;
}

bool tcp_reset_is_plausible(const struct tcp_track *track, enum session_state state,
                            const struct tcp_segment *segment, enum role from)
{
    enum role to = from == ROLE_INITIATOR ? ROLE_RESPONDER : ROLE_INITIATOR;

    /*
     * An answer to a SYN: it has no sequence number of its own, but acknowledges the SYN's (RFC
     * 9293 section 3.5.2).
     */
    if (state == STATE_OPENING && from == ROLE_RESPONDER)
        return !is_known(track, from) ||
               (segment->flags & TCP_ACK && segment->acknowledgement == track->expects[from]);
    if (!is_known(track, to))
        return true;
    return segment->sequence == track->expects[to] ||
           segment->sequence - track->expects[to] < track->window[to];
}

enum {
    HEADER = 20,
    OPTION_END = 0,
    OPTION_NOP = 1,
};

uint8_t *tcp_option(uint8_t *tcp, uint8_t kind, uint8_t size)
{
    size_t header_length = (size_t)(tcp[12] >> 4) * 4, at = HEADER;

    while (at < header_length && tcp[at] != OPTION_END) {
        if (tcp[at] == OPTION_NOP) {
            at++;
            continue;
        }
        /* What follows is shown for each place of an option by itself: doc/proof.md. */
        //@ split at;
        if (header_length - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > header_length - at)
            return NULL;
        if (tcp[at] == kind)
            return tcp[at + 1] == size ? tcp + at + 2 : NULL;
        at += tcp[at + 1];
    }
    return NULL;
}
