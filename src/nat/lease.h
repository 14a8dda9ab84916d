/*
 * lease.h - mappings that stay without sessions, until a time
 *
 * A mapping ends with its last session. A lease keeps it beyond that: for a host that has asked for
 * a port (RFC 6887 section 11), for a connection that is expected, for a second gateway. Leases lie
 * behind the sessions in the memory that outlives the process, because sessions do not contain
 * them.
 *
 * There are few of them, and they change rarely, so a walk over all of them finds one. The
 * filtering still decides who may send to the mapping.
 */
#ifndef NAT_LEASE_H
#define NAT_LEASE_H

#include "table.h"

struct nat;

struct lease {
    compact_address internal, external;
    uint16_t internal_port, external_port;
    uint8_t protocol; /* as in the IP header */
    uint8_t live;     /* enum slot_use; written last */
    uint16_t check;   /* seal.h */
    uint32_t created; /* of the mapping, in units of 64 milliseconds (stored_age) */
    uint32_t mapping; /* its slot; means nothing to another run */
    uint64_t expires; /* milliseconds */
};

_Static_assert(sizeof(struct lease) == 32, "a lease has no padding that a file would keep");

struct leases {
    struct lease *lease; /* table.lease_capacity of them */
    uint32_t live;
    uint64_t next_expiry; /* milliseconds; none expires before */
};

/* Takes over the room; what an earlier run left there are candidates. */
void lease_init(struct nat *nat, struct lease *room);

/* Writes the lease of a mapping that is allowed; false when there is no room. */
bool lease_enter(struct nat *nat, uint32_t mapping, uint64_t expires);

/* Gives a lease the check value (seal.h) of what it is; true when it has it. */
void lease_seal(struct lease *lease);
bool lease_is_whole(const struct lease *lease);

/* Ends those whose time has come. */
void lease_expire(struct nat *nat, uint64_t now);

/* Ends those whose mapping the policy or the addresses no longer allow. */
void lease_review(struct nat *nat, uint64_t now);

#endif
