/*
 * external.h - the gateway's external addresses, by slot (0 .. EXTERNAL_ADDRESSES_MAX - 1)
 */
#ifndef NAT_EXTERNAL_H
#define NAT_EXTERNAL_H

#include "nat_internal.h"

/* The slot of an external address, or EXTERNAL_ADDRESSES_MAX. */
size_t external_find(const struct nat *nat, const struct address *address);

/* True when the address is one of the gateway's external ones. */
static inline bool external_has(const struct nat *nat, const struct address *address)
{
    return external_find(nat, address) < EXTERNAL_ADDRESSES_MAX;
}

/* True when the packet came in by the external interface. */
static inline bool external_receives(const struct nat *nat, const struct packet *packet)
{
    return packet->in_interface == nat->external_interface;
}

/*
 * True when a packet at the outbound hook leaves to the outside from a source that must not be seen
 * there: by the external interface, or by another uplink.
 */
bool external_must_hide(struct nat *nat, const struct packet *packet, const struct address *source,
                        const struct address *destination);

/*
 * Paired pooling (RFC 4787 REQ-2): a host keeps to one external address, chosen by its own. Its
 * rank among the valid ones; external_nth gives the slot of a rank, or EXTERNAL_ADDRESSES_MAX.
 */
size_t external_paired_rank(const struct nat *nat, const struct address *internal);
size_t external_nth(const struct nat *nat, size_t rank);

/* The ports of one external address and protocol. */
struct port_space *external_port_space(const struct nat *nat, size_t slot, uint8_t protocol);

/* The hold-down of the policy also applies to ports that rest already. */
void external_apply_port_hold(struct nat *nat);

/* Makes the slots of all addresses but these invalid. False when there were none. */
bool external_retire_others(struct nat *nat, const struct address *addresses, size_t count);

/* Gives a slot to each of these addresses that has none; false when there are too few free ones. */
bool external_enter(struct nat *nat, const struct address *addresses, size_t count);

#endif
