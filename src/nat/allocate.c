/*
 * allocate.c - the external endpoint of an internal one: which address, which port, and what
 * happens when the pool is dry
 *
 * A pool of 16384 ports and closed connections that linger for minutes would serve fewer than 70
 * new connections a second. So a pool that has no free port first takes back the port of the
 * connection that closed longest ago (RFC 6888 REQ-8 asks no hold-down of tracked TCP), then lets a
 * TCP mapping share a port with another one as long as no two sessions become the same (RFC 7857
 * section 3; closed connections on shared ports give way), and only then drops the packet. A live
 * connection never loses its port.
 *
 * With [limits] mappings-per-host = auto, the pool looks dry to a host that has four times as many
 * of its ports as are free (host_has_its_part). So a host alone gets four fifths of a pool, N
 * greedy ones get 4 parts of 4N + 1 each, and there is always room for one more. What matters is
 * what is free now, so nobody is limited before the pool is nearly full. The rule is known from the
 * buffers of switches (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory
 * Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998). Rejected: a fixed number for
 * each host. It is too small for the only host of a pool, or too large for one of many.
 */
#include "allocate.h"

#include "external.h"
#include "mapping.h"
#include "session.h"

/* How many closed connections are looked at for a port of the right pool before giving up. */
#define RECLAIM_LOOKS 256
/* How many ports are tried for sharing. */
#define OVERLOAD_TRIES 64
/* So many times the free ports of a pool may a host have, */
#define PART_OF_HOST 4
/* and in any case this many: hosts that need few ports get the last ones. */
#define FEW_PORTS 64

/* What the caller asks for. */
struct request {
    uint8_t uplink;
    uint8_t protocol;
    const struct endpoint *internal;
    const struct endpoint
        *remote; /* of the packet that asks; NULL: none, the port is for a lease */
    uint16_t share;
    uint32_t held; /* mappings of this protocol that the host has already */
    uint64_t now;
};

static const struct share *share_of(const struct nat *nat, const struct request *request)
{
    return policy_share(nat->policy, request->share);
}

static uint16_t allocate_port(struct nat *nat, const struct request *request, size_t external_index)
{
    return ports_allocate_like(external_port_space(nat, external_index, request->protocol),
                               policy_pool(nat->policy, request->share, request->protocol),
                               request->internal->port, share_of(nat, request)->keep_parity,
                               &nat->random, request->now);
}

/* True when the host may not have more of this address' ports, although there are free ones. */
static bool host_has_its_part(const struct nat *nat, const struct request *request,
                              size_t external_index)
{
    struct port_space *space = external_port_space(nat, external_index, request->protocol);
    const struct pool *pool = policy_pool(nat->policy, request->share, request->protocol);

    return policy_limits_const(nat->policy)->mappings_auto && request->held >= FEW_PORTS &&
           !ports_has_free(space, pool, request->held / PART_OF_HOST + 1, request->now) &&
           ports_has_free(space, pool, 1, request->now);
}

/* True when the end of this session would free a port that the request may have. */
static bool would_free_port(const struct nat *nat, const struct session *session,
                            const struct request *request, size_t external_index)
{
    const struct pool *pool = policy_pool(nat->policy, request->share, request->protocol);

    for (int role = 0; role < 2; role++) {
        uint32_t index = session_mapping(session, (enum role)role);
        const struct mapping *mapping;
        uint16_t share;

        if (index == INDEX_NONE)
            continue;
        mapping = &nat->table.mapping[index];
        share = mapping_share(nat, index);
        if (mapping->sessions == 1 && !mapping->leased && share != POLICY_NONE &&
            mapping->protocol == request->protocol && mapping->external_index == external_index &&
            policy_pool(nat->policy, share, request->protocol) == pool &&
            !mapping_shares_port(nat, index))
            return true;
    }
    return false;
}

/* Takes back the port of the connection that closed longest ago. False when there is none. */
static bool reclaim_port(struct nat *nat, const struct request *request, size_t external_index)
{
    uint32_t slot = table_oldest(&nat->table, AGE_CLOSED);

    for (int looks = 0; looks < RECLAIM_LOOKS && slot != INDEX_NONE; looks++) {
        if (would_free_port(nat, &nat->table.session[slot], request, external_index)) {
            session_close(nat, slot, CLOSE_RECLAIMED, request->now);
            return true;
        }
        slot = table_younger(&nat->table, slot);
    }
    return false;
}

/*
 * A port that another mapping has (not one that rests) and that has no session with this remote, or
 * only a closed one, which is then removed. 0 when none is found.
 */
static uint16_t overload_port(struct nat *nat, const struct request *request, size_t external_index)
{
    const struct pool *pool = policy_pool(nat->policy, request->share, request->protocol);
    uint32_t closed = INDEX_NONE;
    uint16_t port_of_closed = 0;

    for (int tries = 0; tries < OVERLOAD_TRIES && pool->size > 0; tries++) {
        uint32_t port = pool->first +
                        random_below(&nat->random, (uint32_t)(pool->last - pool->first) + 1),
                 slot;
        struct endpoint external = {nat->external[external_index], (uint16_t)port};
        struct tuple answer = {*request->remote, external, request->protocol, 0};
        enum role role;

        if (!pool_contains(pool, (uint16_t)port) ||
            mapping_find_external(nat, request->protocol, &external) == INDEX_NONE)
            continue;
        slot = table_find(&nat->table, &answer, &role);
        if (slot == INDEX_NONE)
            return (uint16_t)port;
        if (session_age_list(&nat->table.session[slot]) == AGE_CLOSED) {
            closed = slot;
            port_of_closed = (uint16_t)port;
        }
    }
    if (closed != INDEX_NONE)
        session_close(nat, closed, CLOSE_RECLAIMED, request->now);
    return port_of_closed;
}

/*
 * Takes such a port. Its owner may have ended with the closed connection; then the new mapping owns
 * the port. 0 when there is none.
 */
static uint16_t share_port(struct nat *nat, const struct request *request, size_t external_index,
                           struct mapping *mapping)
{
    struct endpoint external = {nat->external[external_index],
                                overload_port(nat, request, external_index)};

    if (external.port == 0)
        return 0;
    mapping->is_overload = mapping_find_external(nat, request->protocol, &external) != INDEX_NONE;
    if (!mapping->is_overload)
        ports_take(external_port_space(nat, external_index, request->protocol), external.port);
    return external.port;
}

/* A port of this external address; 0 when it is dry, or the host has its part of it (*has_part). */
static uint16_t port_of(struct nat *nat, const struct request *request, size_t external_index,
                        bool *has_part)
{
    uint16_t port = 0;

    *has_part = host_has_its_part(nat, request, external_index);
    if (!*has_part)
        port = allocate_port(nat, request, external_index);
    if (port == 0 && reclaim_port(nat, request, external_index))
        port = allocate_port(nat, request, external_index);
    return port;
}

/* Fills the mapping's external side, in the order that the head of this file gives. */
static enum drop_reason find_external(struct nat *nat, const struct request *request,
                                      struct mapping *mapping)
{
    const uint8_t uplink = request->uplink;
    size_t rank = external_paired_rank(nat, uplink, &request->internal->address),
           paired = external_nth(nat, uplink, rank), index = paired;
    size_t count = nat->uplink[uplink].address_count,
           tried = share_of(nat, request)->soft_pairing ? count : 1;
    bool has_part = false;
    uint16_t port = 0;

    if (paired == EXTERNAL_ADDRESSES_MAX)
        return DROP_NO_EXTERNAL_ADDRESS;
    for (size_t i = 0; i < tried && port == 0; i++) {
        index = external_nth(nat, uplink, (rank + i) % count);
        port = port_of(nat, request, index, &has_part);
    }
    if (port == 0 && request->protocol == PROTOCOL_TCP && request->remote != NULL &&
        !share_of(nat, request)->never_overload) {
        index = paired;
        port = share_port(nat, request, index, mapping);
    }
    if (port == 0)
        return has_part ? DROP_HOST_LIMIT : DROP_POOL_DRY;
    mapping->external_port = port;
    mapping->external_index = (uint8_t)index;
    return DROP_NONE;
}

static enum drop_reason mapping_make(struct nat *nat, struct request *request, uint32_t *index)
{
    struct mapping mapping = {.internal = compact_address_of(&request->internal->address),
                              .internal_port = request->internal->port,
                              .created = (uint32_t)(request->now >> 6),
                              .protocol = request->protocol,
                              .uplink = request->uplink & 0x7fu};
    uint32_t limit = policy_limits_const(nat->policy)->mappings_per_host;
    uint32_t host = host_get_mapping(&nat->table, &request->internal->address, request->protocol,
                                     limit == 0 ? UINT32_MAX : limit);
    enum drop_reason reason;

    if (host == INDEX_NONE)
        return DROP_HOST_LIMIT;
    request->held = nat->table.host[host].mappings[protocol_index(request->protocol)] - 1;
    reason = find_external(nat, request, &mapping);
    if (reason != DROP_NONE) {
        host_put_mapping(&nat->table, host, request->protocol);
        return reason;
    }
    *index = mapping_enter(nat, &mapping);
    if (*index == INDEX_NONE) {
        if (!mapping.is_overload)
            ports_release(external_port_space(nat, mapping.external_index, mapping.protocol),
                          mapping.external_port, false, request->now);
        host_put_mapping(&nat->table, host, request->protocol);
        return DROP_TABLE_FULL;
    }
    nat->counters.overloaded += mapping.is_overload;
    return DROP_NONE;
}

enum drop_reason allocate_external_side(struct nat *nat, uint8_t uplink, uint8_t protocol,
                                        const struct endpoint *internal,
                                        const struct endpoint *remote, uint64_t now,
                                        struct external_side *side)
{
    struct request request = {
        .uplink = uplink, .protocol = protocol, .internal = internal, .remote = remote, .now = now};

    *side = (struct external_side){.mapping = INDEX_NONE,
                                   .share = policy_share_of(nat->policy, &internal->address)};
    side->forward = policy_forward_to(nat->policy, protocol, internal, &side->external.port);
    if (side->forward != POLICY_NONE) {
        size_t index =
            external_nth(nat, uplink, external_paired_rank(nat, uplink, &internal->address));

        if (index == EXTERNAL_ADDRESSES_MAX)
            return DROP_NO_EXTERNAL_ADDRESS;
        side->external.address = nat->external[index];
        return DROP_NONE;
    }
    if (side->share == POLICY_NONE)
        return DROP_NONE;
    side->mapping = mapping_find_internal(&nat->table, protocol, internal, uplink);
    if (side->mapping == INDEX_NONE || mapping_share(nat, side->mapping) == POLICY_NONE) {
        enum drop_reason reason;

        request.share = side->share;
        reason = mapping_make(nat, &request, &side->mapping);
        if (reason != DROP_NONE)
            return reason;
    }
    side->external = mapping_external(nat, &nat->table.mapping[side->mapping]);
    return DROP_NONE;
}
