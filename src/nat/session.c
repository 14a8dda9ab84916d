/*
 * session.c - sessions and mappings begin and end here, and nowhere else
 *
 * Every change of the table passes session_open, session_change_state and session_close: events are published from
 * here, and a second gateway would be told from here.
 */
#include "nat_internal.h"

#include <string.h>

/* How many closed connections are looked at for a port of the right pool before giving up. */
#define RECLAIM_LOOKS 256

static size_t protocol_index(uint8_t protocol)
{
    switch (protocol) {
    case PROTOCOL_TCP:
        return 0;
    case PROTOCOL_UDP:
        return 1;
    default:
        return 2;
    }
}

struct port_space *nat_port_space(struct nat *nat, size_t external_index, uint8_t protocol)
{
    return &nat->ports[external_index * 3 + protocol_index(protocol)];
}

/* Paired pooling (RFC 4787 REQ-2): a host keeps to one external address, chosen by its own. */
static size_t external_index_for(const struct nat *nat, const struct address *internal)
{
    uint64_t hash = hash_bytes(&nat->table.key, internal, sizeof(*internal));
    size_t skip = nat->external_count > 0 ? hash % nat->external_count : 0;

    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_valid[i] && skip-- == 0)
            return i;
    }
    return EXTERNAL_ADDRESSES_MAX;
}

/*
 * A closed connection needs its port only to rest, so a dry pool takes the oldest one's back (RFC 6888 REQ-8: no
 * hold-down for tracked TCP). False when there is none.
 */
static bool reclaim_port(struct nat *nat, uint8_t protocol, size_t external_index, uint16_t share, uint64_t now)
{
    const struct pool *pool = policy_pool(nat->policy, share, protocol);
    uint32_t slot = table_oldest(&nat->table, AGE_CLOSED);

    for (int looks = 0; looks < RECLAIM_LOOKS && slot != INDEX_NONE; looks++) {
        const struct session *session = &nat->table.session[slot];

        for (int role = 0; role < 2; role++) {
            const struct mapping *mapping = &nat->table.mapping[session->mapping[role]];

            if (session->mapping[role] != INDEX_NONE && mapping->sessions == 1 && mapping->protocol == protocol &&
                mapping->external_index == external_index &&
                policy_pool(nat->policy, mapping->share, protocol) == pool) {
                session_close(nat, slot, CLOSE_RECLAIMED, now);
                return true;
            }
        }
        slot = table_younger(&nat->table, slot);
    }
    return false;
}

static enum drop_reason mapping_make(struct nat *nat, uint8_t protocol, const struct endpoint *internal,
                                     uint16_t share, uint64_t now, uint32_t *index)
{
    size_t external_index = external_index_for(nat, &internal->address);
    struct mapping mapping = {.internal = *internal, .protocol = protocol, .share = share, .created = now};
    const struct pool *pool = policy_pool(nat->policy, share, protocol);
    struct port_space *space;

    if (external_index == EXTERNAL_ADDRESSES_MAX)
        return DROP_NO_EXTERNAL_ADDRESS;
    space = nat_port_space(nat, external_index, protocol);
    mapping.external.address = nat->external[external_index];
    mapping.external_index = (uint8_t)external_index;
    mapping.external.port = ports_allocate(space, pool, &nat->random, now);
    if (mapping.external.port == 0 && reclaim_port(nat, protocol, external_index, share, now))
        mapping.external.port = ports_allocate(space, pool, &nat->random, now);
    if (mapping.external.port == 0)
        return DROP_POOL_DRY;
    *index = mapping_add(&nat->table, &mapping);
    if (*index == INDEX_NONE) {
        ports_release(space, mapping.external.port, false, now);
        return DROP_TABLE_FULL;
    }
    return DROP_NONE;
}

void mapping_release(struct nat *nat, uint32_t index, bool hold, uint64_t now)
{
    const struct mapping *mapping = &nat->table.mapping[index];

    ports_release(nat_port_space(nat, mapping->external_index, mapping->protocol), mapping->external.port, hold,
                  now);
    mapping_remove(&nat->table, index);
}

enum drop_reason session_external_side(struct nat *nat, uint8_t protocol, const struct endpoint *internal,
                                       uint64_t now, struct external_side *side)
{
    enum drop_reason reason;

    *side = (struct external_side){.mapping = INDEX_NONE, .share = policy_share_of(nat->policy, &internal->address)};
    side->forward = policy_forward_to(nat->policy, protocol, internal, &side->external.port);
    if (side->forward != POLICY_NONE) {
        size_t external_index = external_index_for(nat, &internal->address);

        if (external_index == EXTERNAL_ADDRESSES_MAX)
            return DROP_NO_EXTERNAL_ADDRESS;
        side->external.address = nat->external[external_index];
        return DROP_NONE;
    }
    if (side->share == POLICY_NONE)
        return DROP_NONE;
    side->mapping = mapping_find_internal(&nat->table, protocol, internal);
    if (side->mapping == INDEX_NONE) {
        reason = mapping_make(nat, protocol, internal, side->share, now, &side->mapping);
        if (reason != DROP_NONE)
            return reason;
    }
    side->external = nat->table.mapping[side->mapping].external;
    return DROP_NONE;
}

/* A full table parts with closed sessions first, then with unanswered ones; with established ones never. */
static bool evict_one(struct nat *nat, uint64_t now)
{
    for (int list = 0; list < AGE_LISTS; list++) {
        uint32_t slot = table_oldest(&nat->table, (enum age_list)list);

        if (slot != INDEX_NONE) {
            session_close(nat, slot, CLOSE_EVICTED, now);
            return true;
        }
    }
    return false;
}

enum drop_reason session_reserve(struct nat *nat, const struct address *host, uint64_t now, uint32_t *slot)
{
    uint32_t host_index = INDEX_NONE;

    if (host != NULL) {
        host_index = host_get(&nat->table, host, policy_limits_const(nat->policy)->sessions_per_host);
        if (host_index == INDEX_NONE)
            return DROP_HOST_LIMIT;
    }
    *slot = table_allocate(&nat->table);
    if (*slot == INDEX_NONE && evict_one(nat, now))
        *slot = table_allocate(&nat->table);
    if (*slot == INDEX_NONE) {
        if (host_index != INDEX_NONE)
            host_put(&nat->table, host_index);
        return DROP_TABLE_FULL;
    }
    nat->table.session[*slot].host = host_index;
    return DROP_NONE;
}

void session_abandon(struct nat *nat, uint32_t slot)
{
    if (nat->table.session[slot].host != INDEX_NONE)
        host_put(&nat->table, nat->table.session[slot].host);
    table_cancel(&nat->table, slot);
}

void session_open(struct nat *nat, uint32_t slot, const struct session_plan *plan, uint64_t now)
{
    struct session *session = &nat->table.session[slot];

    memcpy(session->tuple, plan->tuple, sizeof(session->tuple));
    memcpy(session->mapping, plan->mapping, sizeof(session->mapping));
    memcpy(session->forward, plan->forward, sizeof(session->forward));
    session->direction = (uint8_t)plan->direction;
    session->share = plan->share;
    session->state = plan->tuple[0].protocol == PROTOCOL_TCP ? STATE_OPENING : STATE_UNANSWERED;
    for (int role = 0; role < 2; role++) {
        if (session->mapping[role] != INDEX_NONE)
            nat->table.mapping[session->mapping[role]].sessions++;
    }
    table_activate(&nat->table, slot, session_idle_limit(nat, session), now);
    nat->counters.opened++;
    event_publish(nat, EVENT_OPENED, CLOSE_NONE, slot, now);
}

void session_close(struct nat *nat, uint32_t slot, enum close_reason reason, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    uint32_t mapping[2] = {session->mapping[0], session->mapping[1]}, host = session->host;
    bool tracked_close = session->state == STATE_CLOSED || session->state == STATE_RESET;

    event_publish(nat, EVENT_CLOSED, reason, slot, now);
    nat->counters.closed[reason]++;
    table_remove(&nat->table, slot);
    for (int role = 0; role < 2; role++) {
        if (mapping[role] != INDEX_NONE && --nat->table.mapping[mapping[role]].sessions == 0)
            mapping_release(nat, mapping[role], !tracked_close, now);
    }
    if (host != INDEX_NONE)
        host_put(&nat->table, host);
}

uint32_t session_idle_limit(const struct nat *nat, const struct session *session)
{
    return session_timeout(policy_timeouts_const(nat->policy), session->tuple[0].protocol,
                           (enum session_state)session->state);
}

void session_change_state(struct nat *nat, uint32_t slot, enum session_state state, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    uint32_t before = session_idle_limit(nat, session), after;

    table_set_state(&nat->table, slot, state);
    session->last_seen = now;
    after = session_idle_limit(nat, session);
    if (after < before)
        table_rearm(&nat->table, slot, now + after * UINT64_C(1000));
    if (state == STATE_ESTABLISHED)
        event_publish(nat, EVENT_ESTABLISHED, CLOSE_NONE, slot, now);
}
