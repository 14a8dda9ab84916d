/*
 * external.c - the gateway's external addresses: their slots, and the port spaces of each
 *
 * An address keeps its slot while the gateway has it, and mappings name the slot. When an address
 * is gone, sessions may still name its slot until a review has ended them; only then is it free.
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

bool external_must_hide(struct nat *nat, const struct packet *packet, const struct address *source,
                        const struct address *destination)
{
    if (packet->out_interface == nat->external_interface)
        return policy_must_translate(nat->policy, source, destination);
    return other_uplink_of(nat, packet, source, destination) != NULL;
}

size_t external_nth(const struct nat *nat, size_t rank)
{
    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_valid[i] && rank-- == 0)
            return i;
    }
    return EXTERNAL_ADDRESSES_MAX;
}

size_t external_paired_rank(const struct nat *nat, const struct address *internal)
{
    return nat->external_count == 0
               ? 0
               : hash_bytes(&nat->table.key, internal, sizeof(*internal)) % nat->external_count;
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

static bool contains(const struct address *addresses, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&addresses[i], address))
            return true;
    }
    return false;
}

bool external_retire_others(struct nat *nat, const struct address *addresses, size_t count)
{
    bool any = false;

    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_valid[i] && !contains(addresses, count, &nat->external[i])) {
            nat->external_valid[i] = false;
            nat->external_leaves[i] = any = true;
            nat->external_count--;
        }
    }
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

bool external_enter(struct nat *nat, const struct address *addresses, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        size_t slot = free_slot(nat);

        if (external_has(nat, &addresses[n]))
            continue;
        if (slot == EXTERNAL_ADDRESSES_MAX)
            return false;
        for (size_t protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
            ports_init(&nat->ports[slot * PROTOCOL_COUNT + protocol]);
        apply_port_hold(nat, slot);
        nat->external[slot] = addresses[n];
        nat->external_valid[slot] = true;
        nat->external_count++;
    }
    return true;
}
