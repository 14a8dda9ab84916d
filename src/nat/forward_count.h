/*
 * forward_count.h - counts the use of forwards (portreeve/forward_use.h)
 */
#ifndef NAT_FORWARD_COUNT_H
#define NAT_FORWARD_COUNT_H

#include "nat_internal.h"
#include "portreeve/forward_use.h"

/* `bytes` of the session's packets, sent by this side, if it is a use of a forward. */
void forward_count_bytes(const struct nat *nat, const struct session *session, enum role from,
                         uint64_t bytes, uint64_t now);

/* A new session, by this forward of the policy of now, or POLICY_NONE. */
void forward_count_opened(const struct nat *nat, uint16_t forward);

/* A dropped packet, if it was sent to the port of a forward at an external address. */
void forward_count_refused(const struct nat *nat, const struct packet *packet,
                           const struct tuple *sent);

#endif
