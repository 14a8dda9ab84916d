/*
 * tcp.h - the states of a session, and how TCP packets move one through them (RFC 7857 section 2,
 * after RFC 6146)
 *
 *   OPENING ------- responder's SYN ------> ANSWERED_SYN --- initiator's ACK ---> ESTABLISHED
 *   ESTABLISHED --- FIN of one side ------> CLOSING -------- FIN of the other --> CLOSED
 *   both of these - RST ------------------> RESET ---------- anything but RST --> ESTABLISHED
 *   any other ----- RST ------------------> CLOSED
 *   CLOSED, RESET - initiator's SYN ------> OPENING
 *
 * A session counts as established only when the initiator has acknowledged the responder's SYN:
 * with a forged source no one can, so a SYN flood through a forward never leaves the transitory
 * timeout. Simultaneous open (RFC 5382 REQ-2) passes the same states: each side's SYN counts, and
 * the initiator's SYN-ACK is its acknowledgement. Only an RST that its receiver may believe changes
 * the state (RFC 7857 section 2.2): anyone can forge one, few can guess a sequence number within
 * the window. Others are passed on, for the endpoint to judge (RFC 5961 section 3). A side that
 * sends on after an RST was not reset (RFC 7857 section 2.2 keeps the state four minutes for that);
 * an RST before the handshake ends the session for good, or SYN, RST, ACK from a forged source
 * would pass as established.
 */
#ifndef PORTREEVE_TCP_H
#define PORTREEVE_TCP_H

#include "portreeve/view.h"

/* Which side of a session a packet comes from; also the index of its tuple. */
enum role {
    ROLE_INITIATOR,
    ROLE_RESPONDER,
};

/* True when a packet with these flags may open a session: SYN, and neither ACK, RST nor FIN. */
bool tcp_may_open(uint8_t flags);

/* The state after a packet with these flags from this side. */
enum session_state tcp_next_state(enum session_state state, uint8_t flags, enum role from);

/*
 * What the two sides have said about sequence numbers. All zeros: nothing yet, or before our time.
 */
struct tcp_track {
    uint32_t expects[2]; /* by role: the next sequence number that it wants from the other side */
    uint32_t window[2];  /* by role: how far beyond that it accepts, bytes */
    /* by role: the shift of its window field (RFC 7323); TCP_KNOWN: expects is set */
    uint8_t scale[2];
} __attribute__((packed, aligned(2))); /* no padding: every session has one */

#define TCP_KNOWN 0x80

/* The fields of a TCP header that matter, in host byte order. */
struct tcp_segment {
    uint32_t sequence, acknowledgement;
    uint16_t window;
    uint8_t flags;
    uint8_t scale; /* of a SYN: the window scale option's shift, 0 without one */
};

/* Learns from a segment of this side. Segments that are old or out of order teach nothing. */
void tcp_observe(struct tcp_track *track, const struct tcp_segment *segment, enum role from);

/*
 * Segments of this side went by unseen, `bytes` long with their headers: its receiver's window may
 * have moved that far.
 */
void tcp_passed_unseen(struct tcp_track *track, enum role from, uint64_t bytes);

/*
 * Whether this segment acknowledges the SYN that its sender was answered with; true when that SYN
 * was not seen. Who forged its source address has not seen it either, and has to guess.
 */
bool tcp_acknowledges_syn(const struct tcp_track *track, const struct tcp_segment *segment,
                          enum role from);

/* Whether the receiver may believe this RST, as far as can be told; true when nothing is known. */
bool tcp_reset_is_plausible(const struct tcp_track *track, enum session_state state,
                            const struct tcp_segment *segment, enum role from);

/*
 * The data of the option of this kind and total size in a TCP header (whose data offset is sound),
 * or NULL. Options that cannot be read hide what is behind them.
 */
uint8_t *tcp_option(uint8_t *tcp, uint8_t kind, uint8_t size);

/*
 * Seconds without traffic after which a session in this state ends. `port`: what the initiator
 * sends to (RFC 4787 REQ-5a).
 */
uint32_t session_timeout(const struct timeouts *timeouts, uint8_t protocol, uint16_t port,
                         enum session_state state);

#endif
