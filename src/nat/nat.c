#include "portreeve/nat.h"
#include "nat_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct nat *nat_new(const struct policy *policy, const uint8_t secret[32], struct session *memory,
                    uint64_t now)
{
    struct nat *nat = calloc(1, sizeof(*nat));
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
    nat->ports = calloc(EXTERNAL_ADDRESSES_MAX * 3, sizeof(struct port_space));
    if (nat->events.event == NULL || nat->ports == NULL ||
        !table_init(&nat->table, policy_limits_const(policy)->sessions, &key, memory, now)) {
        free(nat->events.event);
        free(nat->ports);
        free(nat);
        return NULL;
    }
    return nat;
}

void nat_free(struct nat *nat)
{
    if (nat == NULL)
        return;
    table_fini(&nat->table);
    free(nat->events.event);
    free(nat->ports);
    free(nat->offload.entry);
    free(nat);
}

/* When a session is looked at again that waits for the kernel's answer, which comes long before. */
#define ANSWER_MS 5000

bool nat_tick(struct nat *nat, uint64_t now, uint32_t budget)
{
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

size_t nat_memory(const struct nat *nat)
{
    return sizeof(*nat) + table_memory(&nat->table) + EVENT_RING * sizeof(struct event) +
           EXTERNAL_ADDRESSES_MAX * 3 * sizeof(struct port_space);
}

void nat_set_mss_limit(struct nat *nat, uint16_t limit)
{
    nat->mss_limit = limit;
}

void nat_kill(struct nat *nat, uint32_t slot, uint64_t now)
{
    session_close(nat, slot, CLOSE_KILLED, now);
}

/* Which internal and which external endpoint this role's side has in a session. */
static struct endpoint side_internal(const struct session *session, enum role role)
{
    return session_source(session, role);
}

static struct endpoint side_external(const struct session *session, enum role role)
{
    return session_destination(session, (enum role) !role);
}

bool nat_forward_allows(const struct nat *nat, const struct session *session, enum role role,
                        uint16_t forward)
{
    const struct forward *rule = policy_forward(nat->policy, forward);
    struct endpoint target = policy_forward_target(rule, side_external(session, role).port);
    struct endpoint internal = side_internal(session, role),
                    initiator = session_source(session, ROLE_INITIATOR);

    if (!endpoint_equal(&target, &internal))
        return false;
    return role == ROLE_INITIATOR || policy_forward_allows(rule, &initiator.address);
}

/*
 * True when policy and addresses give this side the external endpoint that it has. *forward is the
 * forward's index now.
 */
static bool side_still_allowed(const struct nat *nat, const struct session *session, enum role role,
                               uint16_t *forward)
{
    const struct endpoint external = side_external(session, role);
    uint32_t mapping = session_mapping(session, role);

    if (mapping != INDEX_NONE)
        return mapping_share(nat, mapping) != POLICY_NONE;
    if (!nat_is_external(nat, &external.address))
        return false;
    *forward = policy_forward_at(nat->policy, session_protocol(session), external.port);
    return *forward != POLICY_NONE && nat_forward_allows(nat, session, role, *forward);
}

/* Fills what the forwards' indexes are now. */
static bool session_still_allowed(const struct nat *nat, const struct session *session,
                                  uint16_t forward[2])
{
    for (int role = 0; role < 2; role++) {
        forward[role] = POLICY_NONE;
        if (session->side[role] == SIDE_NONE)
            continue; /* the remote's side */
        if (!side_still_allowed(nat, session, (enum role)role, &forward[role]))
            return false;
    }
    return true;
}

/* True when every external endpoint of the session has an address that the gateway has. */
static bool has_valid_addresses(const struct nat *nat, const struct session *session)
{
    for (int role = 0; role < 2; role++) {
        struct address external = side_external(session, (enum role)role).address;

        if (session->side[role] != SIDE_NONE && !nat_is_external(nat, &external))
            return false;
    }
    return true;
}

/* Takes a session of an older epoch into this one, or ends it. True when it lives on. */
static bool review_session(struct nat *nat, uint32_t slot, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    enum role owner = session->direction == DIRECTION_INBOUND ? ROLE_RESPONDER : ROLE_INITIATOR;
    struct address internal = side_internal(session, owner).address;
    uint16_t forward[2];

    if (!session_still_allowed(nat, session, forward)) {
        session_close(nat, slot, has_valid_addresses(nat, session) ? CLOSE_POLICY : CLOSE_ADDRESS,
                      now);
        nat->review_ended++;
        return false;
    }
    for (int role = 0; role < 2; role++)
        session_set_side(session, (enum role)role, session_mapping(session, (enum role)role),
                         forward[role]);
    if (session_share(session) != POLICY_NONE)
        session_set_share(session, policy_share_of(nat->policy, &internal));
    session->epoch = nat->epoch;
    table_rearm(&nat->table, slot, session_due(nat, session, now));
    return true;
}

static uint32_t reviewed(struct nat *nat, uint32_t slot, uint64_t now)
{
    if (slot == INDEX_NONE || nat->table.session[slot].epoch == nat->epoch ||
        review_session(nat, slot, now))
        return slot;
    return INDEX_NONE;
}

uint32_t session_find(struct nat *nat, const struct tuple *tuple, uint64_t now, enum role *role)
{
    return reviewed(nat, table_find(&nat->table, tuple, role), now);
}

uint32_t session_find_transit(struct nat *nat, const struct tuple *transit, uint64_t now,
                              enum role *role)
{
    return reviewed(nat, table_find_transit(&nat->table, transit, role), now);
}

static void begin_review(struct nat *nat)
{
    assert(nat->policy_before == NULL);
    nat->policy_before = nat->policy;
    nat->epoch++;
    nat->review_slot = nat->review_ended = 0;
}

bool nat_review(struct nat *nat, uint64_t now, uint32_t budget, uint32_t *ended)
{
    for (uint32_t looks = 0; nat->policy_before != NULL && (budget == 0 || looks < budget);
         looks++) {
        if (nat->review_slot == nat->table.capacity) {
            nat->policy_before = NULL;
            memset(nat->external_leaves, 0, sizeof(nat->external_leaves));
        } else if (nat->table.session[nat->review_slot].live == SLOT_LIVE) {
            reviewed(nat, nat->review_slot++, now);
        } else {
            nat->review_slot++;
        }
    }
    if (ended != NULL)
        *ended = nat->review_ended;
    return nat->policy_before != NULL;
}

/* Ports that rest already rest as long as the new policy says. */
static void apply_port_hold(struct nat *nat, size_t external_index)
{
    for (size_t protocol = 0; protocol < 3; protocol++)
        nat->ports[external_index * 3 + protocol].hold_ms =
            policy_timeouts_const(nat->policy)->port_hold * 1000;
}

void nat_set_policy(struct nat *nat, const struct policy *policy)
{
    begin_review(nat);
    nat->policy = policy;
    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++)
        apply_port_hold(nat, i);
}

bool nat_must_translate(const struct nat *nat, const struct address *source,
                        const struct address *destination)
{
    uint16_t share = policy_share_of(nat->policy, source);

    return share != POLICY_NONE && !share_exempts(policy_share(nat->policy, share), destination);
}

bool nat_is_shared(const struct nat *nat, const struct address *address)
{
    return policy_share_of(nat->policy, address) != POLICY_NONE;
}

size_t nat_external_index(const struct nat *nat, const struct address *address)
{
    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_valid[i] && address_equal(&nat->external[i], address))
            return i;
    }
    return EXTERNAL_ADDRESSES_MAX;
}

static bool contains(const struct address *addresses, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&addresses[i], address))
            return true;
    }
    return false;
}

/* False when nothing has gone. */
static bool take_away_addresses(struct nat *nat, const struct address *addresses, size_t count)
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

void nat_set_external(struct nat *nat, uint32_t interface_index, const struct address *addresses,
                      size_t count)
{
    nat->external_interface = interface_index;
    if (take_away_addresses(nat, addresses, count))
        begin_review(nat);
    for (size_t n = 0; n < count; n++) {
        size_t slot = 0;

        if (nat_is_external(nat, &addresses[n]))
            continue;
        while (slot < EXTERNAL_ADDRESSES_MAX &&
               (nat->external_valid[slot] || nat->external_leaves[slot]))
            slot++;
        if (slot == EXTERNAL_ADDRESSES_MAX)
            break;
        for (size_t protocol = 0; protocol < 3; protocol++)
            ports_init(&nat->ports[slot * 3 + protocol]);
        apply_port_hold(nat, slot);
        nat->external[slot] = addresses[n];
        nat->external_valid[slot] = true;
        nat->external_count++;
    }
}

void nat_pool_use(struct nat *nat, uint16_t share, uint8_t protocol, uint64_t now, uint32_t *used,
                  uint32_t *size)
{
    const struct pool *pool = policy_pool(nat->policy, share, protocol);

    *used = *size = 0;
    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_valid[i]) {
            *used += ports_used(nat_port_space(nat, i, protocol), pool, now);
            *size += pool->size;
        }
    }
}

void nat_renew_ip_id(struct nat *nat, const struct packet *packet, const struct packet_view *view)
{
    const uint16_t smallest_segment = 48; /* bytes: TCP_MIN_SND_MSS (include/net/tcp.h) */
    const struct address *destination = &view->tuple.destination.address;
    uint16_t *next =
        &nat->next_ip_id[hash_bytes(&nat->table.key, destination, sizeof(*destination)) %
                         NAT_IP_IDS];

    if (!packet_needs_id(view))
        return;
    packet_set_id(view, *next);
    *next = (uint16_t)(*next + 1 + (packet->gso ? view->l4_length / smallest_segment : 0));
}
