/*
 * lease.c - mappings that stay without sessions, until a time
 */
#include "lease.h"

#include "allocate.h"
#include "census.h"
#include "mapping.h"
#include "nat_internal.h"
#include "seal.h"

void lease_init(struct nat *nat, struct lease *room)
{
    nat->leases = (struct leases){.lease = room, .next_expiry = UINT64_MAX};
    for (uint32_t i = 0; i < nat->table.lease_capacity; i++) {
        if (room[i].live != SLOT_FREE)
            room[i].live = SLOT_CANDIDATE;
    }
}

/* The lease of this mapping; INDEX_NONE: a free slot. NULL when there is none. */
static struct lease *find(const struct nat *nat, uint32_t mapping)
{
    for (uint32_t i = 0; i < nat->table.lease_capacity; i++) {
        struct lease *lease = &nat->leases.lease[i];

        if (mapping == INDEX_NONE ? lease->live == SLOT_FREE
                                  : lease->live == SLOT_LIVE && lease->mapping == mapping)
            return lease;
    }
    return NULL;
}

static uint16_t seal_of(const struct lease *lease)
{
    uint64_t sum = seal_word(2, (uint64_t)lease->internal << 32 | lease->external);

    sum = seal_word(sum, (uint64_t)lease->internal_port << 48 |
                             (uint64_t)lease->external_port << 32 | lease->created);
    return seal_end(seal_word(seal_word(sum, lease->protocol), lease->expires));
}

void lease_seal(struct lease *lease)
{
    lease->check = seal_of(lease);
}

bool lease_is_whole(const struct lease *lease)
{
    return lease->check == seal_of(lease);
}

bool lease_enter(struct nat *nat, uint32_t index, uint64_t expires)
{
    struct mapping *mapping = &nat->table.mapping[index];
    const struct endpoint external = mapping_external(nat, mapping);
    struct lease *lease = find(nat, mapping->leased ? index : INDEX_NONE);

    if (lease == NULL)
        return false;
    if (!mapping->leased) {
        *lease = (struct lease){
            .internal = mapping->internal,
            .external = compact_address_of(&external.address),
            .internal_port = mapping->internal_port,
            .external_port = external.port,
            .protocol = mapping->protocol,
            .created = mapping->created,
            .mapping = index,
        };
        nat->leases.live++;
        census_lease(&nat->table, index, CENSUS_MORE);
    }
    lease->expires = expires;
    lease_seal(lease);
    mapping->leased = true;
    if (expires < nat->leases.next_expiry)
        nat->leases.next_expiry = expires;
    __atomic_store_n(&lease->live, SLOT_LIVE, __ATOMIC_RELEASE); /* a crash before: no lease */
    return true;
}

static void end(struct nat *nat, struct lease *lease, uint64_t now)
{
    __atomic_store_n(&lease->live, SLOT_FREE, __ATOMIC_RELEASE);
    nat->leases.live--;
    census_lease(&nat->table, lease->mapping, CENSUS_LESS);
    nat->table.mapping[lease->mapping].leased = false;
    mapping_release_unused(nat, lease->mapping, true, now);
}

void lease_expire(struct nat *nat, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    if (now < nat->leases.next_expiry)
        return;
    for (uint32_t i = 0; i < nat->table.lease_capacity; i++) {
        struct lease *lease = &nat->leases.lease[i];

        if (lease->live == SLOT_LIVE && lease->expires <= now)
            end(nat, lease, now);
        else if (lease->live == SLOT_LIVE && lease->expires < next)
            next = lease->expires;
    }
    nat->leases.next_expiry = next;
}

void lease_review(struct nat *nat, uint64_t now)
{
    for (uint32_t i = 0; nat->leases.live > 0 && i < nat->table.lease_capacity; i++) {
        struct lease *lease = &nat->leases.lease[i];

        if (lease->live == SLOT_LIVE && mapping_share(nat, lease->mapping) == POLICY_NONE)
            end(nat, lease, now);
    }
}

/* The first uplink that has an address, or the first one. */
static uint8_t usable_uplink(const struct nat *nat)
{
    for (uint8_t i = 0; i < nat->uplink_count; i++) {
        if (nat->uplink[i].address_count > 0)
            return i;
    }
    return 0;
}

enum drop_reason nat_lease(struct nat *nat, uint8_t protocol, const struct endpoint *internal,
                           uint64_t expires, uint64_t now, struct endpoint *external)
{
    struct external_side side;
    enum drop_reason reason =
        allocate_external_side(nat, usable_uplink(nat), protocol, internal, NULL, now, &side);

    if (reason != DROP_NONE)
        return reason;
    if (side.mapping == INDEX_NONE && side.forward == POLICY_NONE)
        return DROP_NOT_ALLOWED;
    *external = side.external;
    if (side.forward != POLICY_NONE)
        return DROP_NONE;
    if (nat->table.mapping[side.mapping].is_overload)
        return DROP_POOL_DRY;
    if (lease_enter(nat, side.mapping, expires))
        return DROP_NONE;
    mapping_release_unused(nat, side.mapping, false, now);
    return DROP_TABLE_FULL;
}

bool nat_end_lease(struct nat *nat, uint8_t protocol, const struct endpoint *internal, uint64_t now)
{
    bool any = false;

    for (uint8_t uplink = 0; uplink < NAT_UPLINKS_MAX; uplink++) {
        uint32_t index = mapping_find_internal(&nat->table, protocol, internal, uplink);
        struct lease *lease = index == INDEX_NONE ? NULL : find(nat, index);

        if (lease == NULL)
            continue;
        end(nat, lease, now);
        any = true;
    }
    return any;
}
