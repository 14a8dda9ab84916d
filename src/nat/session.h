/*
 * session.h - how sessions begin, change and end
 */
#ifndef NAT_SESSION_H
#define NAT_SESSION_H

#include "nat_internal.h"

/* What a new session is to be; session_open fills the rest. */
struct session_plan {
    struct tuple tuple[2];
    enum direction direction;
    uint32_t mapping[2];
    uint16_t forward[2];
    uint16_t share;
};

/* Who opens a session, and so counts it as its own. */
struct opener {
    const struct address *host;   /* of a share; NULL: nobody's or a remote's */
    const struct address *remote; /* NULL: it is opened from inside */
    uint16_t forward;             /* that the remote uses, or POLICY_NONE */
};

/*
 * Makes room for, and reserves, one session; DROP_TABLE_FULL when nothing may be evicted, the
 * reasons of outside_admit or DROP_HOST_LIMIT and DROP_HOST_RATE when its opener has too many. Then
 * either session_open or session_abandon.
 */
enum drop_reason session_reserve(struct nat *nat, const struct opener *opener, uint64_t now,
                                 uint32_t *slot);
void session_abandon(struct nat *nat, uint32_t slot);

/* Why session_reserve would refuse now, without reserving, evicting or counting anything. */
enum drop_reason session_refuses(struct nat *nat, const struct opener *opener, uint64_t now);
void session_open(struct nat *nat, uint32_t slot, const struct session_plan *plan, uint64_t now);

/* Writes the plan's share, mappings and forwards into a session; counts it in the mappings. */
void session_fill(struct nat *nat, struct session *session, const struct session_plan *plan);

/*
 * `opener` opens a new connection between the endpoints of a closed one (RFC 5382 REQ-2: any valid
 * sequence of packets). If that is the responder, the roles change, so that the handshake is
 * tracked from the side that opens it. The new connection counts as its opener's, with the reasons
 * of session_reserve, and nothing has changed.
 */
enum drop_reason session_reopen(struct nat *nat, uint32_t slot, enum role opener, uint64_t now);

/*
 * Moves a session to another state, after a packet of this side; arms its timer anew if the
 * deadline is earlier now, and publishes the event. What changes the state of a TCP session also
 * keeps it alive.
 */
void session_change_state(struct nat *nat, uint32_t slot, enum session_state state, enum role from,
                          uint64_t now);

/* An RST of this side, judged by what is known of the sequence numbers now. */
void session_saw_reset(struct nat *nat, uint32_t slot, const struct tcp_segment *segment,
                       enum role from, uint64_t now);

/* Ends the session if it has expired, otherwise arms its timer anew. */
void session_check_deadline(struct nat *nat, uint32_t slot, uint64_t now);

/* All sessions end here. */
void session_close(struct nat *nat, uint32_t slot, enum close_reason reason, uint64_t now);

#endif
