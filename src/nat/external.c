/*
 * external.c - the gateway's external addresses: their slots, and the port spaces of each
 *
 * An address keeps its slot while its uplink has it, and mappings name the slot. When an address
 * is gone, or has become another uplink's, sessions may still name its slot until a review has
 * ended them; only then is it free. An address that rests is valid for the sessions that have it,
 * and no new mapping gets it.
 */
#include "external.h"

#include "other_uplink.h"

#include <assert.h>

struct port_space *external_port_space(const struct nat *nat, size_t slot, uint8_t protocol)
{
    enum protocol_index index = protocol_index(protocol);

    assert(index < PROTOCOL_COUNT);
    return &nat->ports[slot * PROTOCOL_COUNT + index];
}

size_t external_find(const struct nat *nat, const struct address *address)
{
    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_valid[i] && address_equal(&nat->external[i], address))
            return i;
    }
    return EXTERNAL_ADDRESSES_MAX;
}

uint8_t external_uplink_of(const struct nat *nat, const struct address *address)
{
    size_t slot = external_find(nat, address);

    for (size_t i = 0; slot == EXTERNAL_ADDRESSES_MAX && i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_leaves[i] && address_equal(&nat->external[i], address))
            slot = i;
    }
    return slot < EXTERNAL_ADDRESSES_MAX ? nat->external_uplink[slot] : NAT_UPLINKS_MAX;
}

bool external_must_hide(struct nat *nat, const struct packet *packet, const struct address *source,
                        const struct address *destination)
{
    if (external_uplink_at(nat, packet->out_interface) < NAT_UPLINKS_MAX)
        return policy_must_translate(nat->policy, source, destination);
    return other_uplink_of(nat, packet, source, destination) != NULL;
}

static bool is_given(const struct nat *nat, size_t slot)
{
    return nat->external_valid[slot] && !nat->external_rests[slot];
}

static void count_given(struct nat *nat)
{
    nat->external_count = 0;
    for (size_t i = 0; i < NAT_UPLINKS_MAX; i++)
        nat->uplink[i].address_count = 0;
    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (is_given(nat, i)) {
            nat->external_count++;
            nat->uplink[nat->external_uplink[i]].address_count++;
        }
    }
}

size_t external_nth(const struct nat *nat, uint8_t uplink, size_t rank)
{
    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (is_given(nat, i) && nat->external_uplink[i] == uplink && rank-- == 0)
            return i;
    }
    return EXTERNAL_ADDRESSES_MAX;
}

size_t external_paired_rank(const struct nat *nat, uint8_t uplink, const struct address *internal)
{
    size_t count = nat->uplink[uplink].address_count;

    return count == 0 ? 0 : hash_bytes(&nat->table.key, internal, sizeof(*internal)) % count;
}

static void apply_port_hold(struct nat *nat, size_t slot)
{
    for (size_t protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
        nat->ports[slot * PROTOCOL_COUNT + protocol].hold_ms =
            policy_timeouts_const(nat->policy)->port_hold * 1000;
}

void external_apply_port_hold(struct nat *nat)
{
    for (size_t slot = 0; slot < EXTERNAL_ADDRESSES_MAX; slot++)
        apply_port_hold(nat, slot);
}

/* True when the address in this slot is still one of its uplink's. */
static bool stays(const struct nat *nat, size_t slot, const struct uplink *uplinks, size_t count)
{
    uint8_t number = nat->external_uplink[slot];

    for (size_t i = 0; number < count && i < uplinks[number].address_count; i++) {
        if (address_equal(&uplinks[number].addresses[i], &nat->external[slot]))
            return true;
    }
    return false;
}

bool external_retire_others(struct nat *nat, const struct uplink *uplinks, size_t count)
{
    bool any = false;

    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_valid[i] && !stays(nat, i, uplinks, count)) {
            nat->external_valid[i] = false;
            nat->external_leaves[i] = any = true;
        }
    }
    count_given(nat);
    return any;
}

/* The first slot that no address has and no session may still name, or EXTERNAL_ADDRESSES_MAX. */
static size_t free_slot(const struct nat *nat)
{
    size_t slot = 0;

    while (slot < EXTERNAL_ADDRESSES_MAX &&
           (nat->external_valid[slot] || nat->external_leaves[slot]))
        slot++;
    return slot;
}

static bool enter(struct nat *nat, uint8_t uplink, const struct address *address)
{
    size_t slot = free_slot(nat);

    if (external_has(nat, address)) /* of two uplinks with one address, the first one has it */
        return true;
    if (slot == EXTERNAL_ADDRESSES_MAX)
        return false;
    for (size_t protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
        ports_init(&nat->ports[slot * PROTOCOL_COUNT + protocol]);
    apply_port_hold(nat, slot);
    nat->external[slot] = *address;
    nat->external_uplink[slot] = uplink;
    nat->external_valid[slot] = true;
    nat->external_rests[slot] = false;
    return true;
}

bool external_enter(struct nat *nat, const struct uplink *uplinks, size_t count)
{
    bool complete = true;

    for (uint8_t number = 0; number < count; number++) {
        for (size_t i = 0; i < uplinks[number].address_count; i++)
            complete = enter(nat, number, &uplinks[number].addresses[i]) && complete;
    }
    count_given(nat);
    return complete;
}

static bool contains(const struct address *addresses, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&addresses[i], address))
            return true;
    }
    return false;
}

void nat_rest_external(struct nat *nat, const struct address *addresses, size_t count)
{
    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++)
        nat->external_rests[i] = contains(addresses, count, &nat->external[i]);
    count_given(nat);
}
