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

/* The uplink that has this interface, or NAT_UPLINKS_MAX. */
static inline uint8_t external_uplink_at(const struct nat *nat, uint32_t interface_index)
{
    for (uint8_t i = 0; interface_index != 0 && i < nat->uplink_count; i++) {
        if (nat->uplink[i].interface == interface_index)
            return i;
    }
    return NAT_UPLINKS_MAX;
}

/*
 * The uplink that has, or has had, this external address; NAT_UPLINKS_MAX when there is no trace
 * of it any more.
 */
uint8_t external_uplink_of(const struct nat *nat, const struct address *address);

/* True when the packet came in by an external interface. */
static inline bool external_receives(const struct nat *nat, const struct packet *packet)
{
    return external_uplink_at(nat, packet->in_interface) < NAT_UPLINKS_MAX;
}

/* True when a packet with an internal source is from outside, so that the source is forged. */
static inline bool external_forges(const struct nat *nat, const struct packet *packet)
{
    return !nat->trusts_sources && external_receives(nat, packet);
}

/*
 * True when a packet at the outbound hook leaves to the outside from a source that must not be seen
 * there: by an external interface, or by another uplink.
 */
bool external_must_hide(struct nat *nat, const struct packet *packet, const struct address *source,
                        const struct address *destination);

/*
 * Paired pooling (RFC 4787 REQ-2): a host keeps to one external address of an uplink, chosen by its
 * own. Its rank among those of the uplink that new mappings may get; external_nth gives the slot of
 * a rank, or EXTERNAL_ADDRESSES_MAX.
 */
size_t external_paired_rank(const struct nat *nat, uint8_t uplink, const struct address *internal);
size_t external_nth(const struct nat *nat, uint8_t uplink, size_t rank);

/* The ports of one external address and protocol. */
struct port_space *external_port_space(const struct nat *nat, size_t slot, uint8_t protocol);

/* The hold-down of the policy also applies to ports that rest already. */
void external_apply_port_hold(struct nat *nat);

/* Makes the slots of all addresses but these uplinks' invalid. False when there were none. */
bool external_retire_others(struct nat *nat, const struct uplink *uplinks, size_t count);

/* Gives a slot to each address of an uplink that has none; false when there are too few free ones.
 */
bool external_enter(struct nat *nat, const struct uplink *uplinks, size_t count);

#endif
