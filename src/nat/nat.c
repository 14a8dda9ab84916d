/*
 * nat.c - the life of a translator, and what is set from outside
 */
#include "nat_internal.h"

#include "external.h"
#include "offload_entries.h"
#include "outside.h"
#include "refusals.h"
#include "review.h"
#include "session.h"
#include "session_facts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* In cache lines of its own; calloc would give it any alignment. */
static void *allocate_zeroed(size_t size)
{
    void *memory = aligned_alloc(_Alignof(struct session), (size + 63) & ~(size_t)63);

    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

struct nat *nat_new(const struct policy *policy, const uint8_t secret[32], void *memory,
                    uint64_t now)
{
    struct nat *nat = calloc(1, sizeof(*nat));
    uint32_t sessions = policy_limits_const(policy)->sessions;
    struct hash_key key;

    if (nat == NULL)
        return NULL;
    memcpy(&key, secret, sizeof(key));
    memcpy(&nat->random.key, secret + sizeof(key), sizeof(key));
    nat->policy = policy;
    for (size_t i = 0; i < NAT_IP_IDS; i++)
        nat->next_ip_id[i] = (uint16_t)random_below(&nat->random, 65536);
    nat->events.next = 1;
    nat->events.event = calloc(EVENT_RING, sizeof(struct event));
    /*
     * All zeros is an empty port space, and memory of addresses that are never used is never
     * touched.
     */
    nat->ports = calloc(EXTERNAL_ADDRESSES_MAX * PROTOCOL_COUNT, sizeof(struct port_space));
    if (memory == NULL)
        memory = nat->memory = allocate_zeroed(nat_memory_needed(sessions));
    if (!outside_init(nat) || !refusals_init(nat) || nat->events.event == NULL ||
        nat->ports == NULL || memory == NULL ||
        !table_init(&nat->table, sessions, &key, memory, now)) {
        outside_fini(nat);
        refusals_fini(nat);
        free(nat->events.event);
        free(nat->ports);
        free(nat->memory);
        free(nat);
        return NULL;
    }
    lease_init(nat, (struct lease *)(void *)(nat->table.session + sessions));
    return nat;
}

void nat_free(struct nat *nat)
{
    if (nat == NULL)
        return;
    table_fini(&nat->table);
    outside_fini(nat);
    refusals_fini(nat);
    free(nat->events.event);
    free(nat->ports);
    free(nat->offload.entry);
    free(nat->memory);
    free(nat);
}

/*
 * When a session that waits for the kernel's answer is checked again; the answer comes much
 * earlier.
 */
#define ANSWER_MS 5000

bool nat_tick(struct nat *nat, uint64_t now, uint32_t budget)
{
    lease_expire(nat, now);
    for (uint32_t looks = 0; budget == 0 || looks < budget; looks++) {
        uint32_t slot = wheel_take_due(nat->table.wheel, now / 1000);
        struct session *session;
        uint64_t due;

        if (slot == INDEX_NONE)
            return false;
        session = &nat->table.session[slot];
        due = session_due(nat, session, now);
        if (due <= now && offload_must_ask(nat, slot))
            due = now + ANSWER_MS;
        table_arm(&nat->table, slot, due > now ? due : 0);
        if (due <= now)
            session_close(nat, slot, CLOSE_EXPIRED, now);
    }
    return true;
}

void nat_set_mss_limit(struct nat *nat, uint8_t uplink, uint16_t limit)
{
    assert(uplink < NAT_UPLINKS_MAX);
    nat->uplink[uplink].mss_limit = limit;
}

bool nat_kill(struct nat *nat, uint32_t slot, uint64_t id, uint64_t now)
{
    const struct session *session = &nat->table.session[slot];

    if (slot >= nat->table.capacity || session->live != SLOT_LIVE || session->id != id)
        return false;
    session_close(nat, slot, CLOSE_KILLED, now);
    return true;
}

void nat_set_policy(struct nat *nat, const struct policy *policy)
{
    review_begin(nat);
    nat->policy = policy;
    external_apply_port_hold(nat);
}

void nat_trust_sources(struct nat *nat, bool trust)
{
    nat->trusts_sources = trust;
}

bool nat_set_uplinks(struct nat *nat, const struct uplink *uplinks, size_t count)
{
    assert(count <= NAT_UPLINKS_MAX);
    nat->uplink_count = count;
    for (size_t i = 0; i < count; i++)
        nat->uplink[i].interface = uplinks[i].interface;
    if (external_retire_others(nat, uplinks, count))
        review_begin(nat);
    return external_enter(nat, uplinks, count);
}

bool nat_set_external(struct nat *nat, uint32_t interface_index, const struct address *addresses,
                      size_t count)
{
    const struct uplink uplink = {interface_index, addresses, count};

    return nat_set_uplinks(nat, &uplink, 1);
}
