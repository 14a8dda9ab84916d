/*
 * tcp.h - the states of a session, and how TCP packets move one through them (RFC 7857 section 2, after RFC 6146)
 *
 *   OPENING ------- responder's SYN ------> ANSWERED_SYN --- initiator's ACK ---> ESTABLISHED
 *   ESTABLISHED --- FIN of one side ------> CLOSING -------- FIN of the other --> CLOSED
 *   both of these - RST ------------------> RESET ---------- anything but RST --> ESTABLISHED
 *   any other ----- RST ------------------> CLOSED
 *   CLOSED, RESET - initiator's SYN ------> OPENING
 *
 * A session counts as established only when the initiator has acknowledged the responder's SYN: with a forged
 * source nobody can, so a SYN flood through a forward never leaves the transitory timeout. Simultaneous open (RFC
 * 5382 REQ-2) passes the same states: each side's SYN counts, and the initiator's SYN-ACK is its acknowledgement.
 * A side that sends on after an RST was not reset (RFC 7857 section 2.2 keeps the state four minutes for that); an RST
 * before the handshake ends the session for good, or SYN, RST, ACK from a forged source would pass as established.
 */
#ifndef PORTREEVE_TCP_H
#define PORTREEVE_TCP_H

#include "portreeve/policy.h"

/* Which side of a session a packet comes from; also the index of its tuple. */
enum role {
    ROLE_INITIATOR,
    ROLE_RESPONDER,
};

enum session_state {
    STATE_UNANSWERED, /* UDP, ICMP: only the initiator has spoken */
    STATE_ANSWERED,   /* UDP, ICMP */
    STATE_OPENING,
    STATE_ANSWERED_SYN,
    STATE_ESTABLISHED,
    STATE_CLOSING_BY_INITIATOR, /* the initiator has sent its FIN */
    STATE_CLOSING_BY_RESPONDER,
    STATE_CLOSED,
    STATE_RESET,
    STATE_COUNT
};

/* The word a user sees: "opening" for both of its states, "closing" likewise. */
const char *session_state_name(enum session_state state);

/* True when a packet with these flags may open a session: SYN, and neither ACK, RST nor FIN. */
bool tcp_may_open(uint8_t flags);

/* The state after a packet with these flags from this side. */
enum session_state tcp_next_state(enum session_state state, uint8_t flags, enum role from);

/* Seconds without traffic after which a session in this state ends. */
uint32_t session_timeout(const struct timeouts *timeouts, uint8_t protocol, enum session_state state);

#endif
