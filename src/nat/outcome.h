/*
 * outcome.h - how the exchange of a session came to its end (enum outcome)
 *
 * An outcome is for people to read. It changes no state and no timer: the FIN and RST that it comes
 * from do that by themselves, and an ICMP error must not (RFC 5508 REQ-6), because anyone on the
 * way can send one. What passes afterwards takes it back.
 */
#ifndef NAT_OUTCOME_H
#define NAT_OUTCOME_H

#include "nat_internal.h"

/* What a TCP segment of this side says that moves a session from one state to the other. */
enum outcome outcome_of_change(enum session_state before, enum session_state after, enum role from);

/*
 * What an ICMP error about a packet of the initiator says to a session in this state. Only an
 * answer proves that packets arrive, so an established TCP connection waits (RFC 1122 section
 * 4.2.3.9).
 */
enum outcome outcome_of_error(uint8_t protocol, enum session_state state, uint8_t type,
                              uint8_t code);

/*
 * The session has this outcome now, `waited_ms` after the last packet before it; `icmp` is the
 * error that tells it, or NULL. The event is published: at once, or when the kernel has reported
 * the last packets that it has rewritten.
 */
void outcome_set(struct nat *nat, uint32_t slot, enum outcome outcome,
                 const struct icmp_report *icmp, uint64_t waited_ms, uint64_t now);

/* Publishes the event of an outcome that has not been told yet. */
void outcome_tell(struct nat *nat, uint32_t slot, uint64_t now);

/* A packet of the responder has passed: what an ICMP error has said does not hold any more. */
void outcome_doubt(struct session *session, enum role from);

#endif
