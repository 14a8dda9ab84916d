/*
 * open.c - which packets may open a session, and what the session is then
 *
 * From inside: whatever a share's host sends, and what a forward's target sends from its forwarded
 * endpoint. From outside: what a forward or a mapping delivers, if the allow list or the filtering
 * permits it. A hairpin is both.
 */
#include "open.h"

#include "allocate.h"
#include "external.h"
#include "mapping.h"
#include "other_port.h"
#include "session.h"

/* What is in the way of a new session. */

#define KEYS_IN_THE_WAY 3

/*
 * A knock, or a session that only waits for the last packets of a closed connection, gives way to a
 * new session. A new connection of the same endpoints would have opened it anew.
 */
static bool gives_way(const struct nat *nat, uint32_t slot)
{
    return open_is_knock(nat, slot) || session_age_list(&nat->table.session[slot]) == AGE_CLOSED;
}

/*
 * The sessions that have one of the plan's keys: both tuples and, for a hairpin, the key of its
 * second pass. With several external addresses, the targets of two forwards could already have a
 * session by another address, and the second pass can only tell one. False when one of them does
 * not give way.
 */
static bool finds_room(const struct nat *nat, const struct session_plan *plan,
                       uint32_t in_the_way[KEYS_IN_THE_WAY])
{
    const struct tuple *sent = plan->tuple,
                       transit = {sent[0].source, sent[1].source, sent[0].protocol, 0};
    enum role role;

    in_the_way[0] = table_find(&nat->table, &sent[0], &role);
    in_the_way[1] = table_find(&nat->table, &sent[1], &role);
    in_the_way[2] = plan->direction == DIRECTION_HAIRPIN
                        ? table_find_transit(&nat->table, &transit, &role)
                        : INDEX_NONE;
    for (int i = 0; i < KEYS_IN_THE_WAY; i++) {
        if (in_the_way[i] != INDEX_NONE && !gives_way(nat, in_the_way[i]))
            return false;
    }
    return true;
}

/*
 * The last resort for a session from outside: its target sees the remote with another port. Not for
 * the gateway's own, whose answers come by more hooks than one, nor for hairpins, whose second pass
 * finds them by what the first has left.
 */
static bool take_other_port(struct nat *nat, struct session_plan *plan,
                            uint32_t in_the_way[KEYS_IN_THE_WAY])
{
    const struct tuple *sent = &plan->tuple[ROLE_INITIATOR];

    return plan->direction == DIRECTION_INBOUND && protocol_has_ports(sent->protocol) &&
           !external_has(nat, &sent->source.address) &&
           other_port_choose(nat, &plan->tuple[ROLE_RESPONDER]) &&
           finds_room(nat, plan, in_the_way);
}

/* Opens the session, and only then ends what gives way, because it uses the same mappings. */
static void open_over_others(struct nat *nat, uint32_t slot, const struct session_plan *plan,
                             const uint32_t in_the_way[KEYS_IN_THE_WAY], uint64_t now)
{
    session_open(nat, slot, plan, now);
    for (int i = 0; i < KEYS_IN_THE_WAY; i++) {
        bool again =
            (i > 0 && in_the_way[i] == in_the_way[0]) || (i > 1 && in_the_way[i] == in_the_way[1]);

        if (in_the_way[i] != INDEX_NONE && !again)
            session_close(nat, in_the_way[i], CLOSE_REPLACED, now);
    }
}

/* Opening from inside. */

enum drop_reason open_outbound(struct nat *nat, uint8_t uplink, const struct packet_view *view,
                               uint64_t now, uint32_t *slot)
{
    const struct tuple *sent = &view->tuple;
    struct session_plan plan = {.direction = DIRECTION_OUTBOUND,
                                .mapping = {INDEX_NONE, INDEX_NONE},
                                .forward = {POLICY_NONE, POLICY_NONE}};
    struct opener opener = {.forward = POLICY_NONE};
    struct external_side side;
    enum drop_reason reason;
    uint32_t in_the_way[KEYS_IN_THE_WAY];

    if (policy_is_shared(nat->policy, &sent->source.address))
        opener.host = &sent->source.address;
    reason = session_reserve(nat, &opener, now, slot);
    if (reason != DROP_NONE)
        return reason;
    reason = allocate_external_side(nat, uplink, sent->protocol, &sent->source, &sent->destination,
                                    now, &side);
    if (reason == DROP_NONE) {
        plan.tuple[ROLE_INITIATOR] = *sent;
        plan.tuple[ROLE_RESPONDER] =
            (struct tuple){sent->destination, side.external, sent->protocol, 0};
        if (!finds_room(nat, &plan, in_the_way))
            reason = DROP_TUPLE_COLLISION;
    }
    if (reason != DROP_NONE) {
        if (side.mapping != INDEX_NONE)
            mapping_release_unused(nat, side.mapping, false, now);
        session_abandon(nat, *slot);
        return reason;
    }
    plan.mapping[ROLE_INITIATOR] = side.mapping;
    plan.forward[ROLE_INITIATOR] = side.forward;
    plan.share = side.share;
    open_over_others(nat, *slot, &plan, in_the_way, now);
    return DROP_NONE;
}

enum drop_reason open_refused(const struct packet_view *view)
{
    if (view->protocol == PROTOCOL_TCP && !tcp_may_open(view->tcp_flags))
        return DROP_NOT_SYN;
    if (view->protocol == PROTOCOL_ICMP && view->icmp_type != ICMP_ECHO_REQUEST &&
        view->icmp_type != ICMP_TIMESTAMP_REQUEST)
        return DROP_ICMP_NO_SESSION;
    return DROP_NONE;
}

/* Opening from outside, and hairpins. */

bool open_is_ours(const struct nat *nat, uint8_t protocol, const struct endpoint *external,
                  uint64_t now)
{
    size_t slot = external_find(nat, &external->address);

    if (protocol_has_ports(protocol) &&
        policy_forward_at(nat->policy, protocol, external->port) != POLICY_NONE)
        return true;
    if (slot == EXTERNAL_ADDRESSES_MAX) /* not now: the kernel's rules change at another time */
        return policy_is_published(nat->policy, protocol, external->port);
    return ports_is_taken(external_port_space(nat, slot, protocol), external->port, now);
}

/*
 * Two internal hosts of this gateway that know each other's external endpoint both send (RFC 5128
 * section 3.3: hole punching). The filtering of the second host drops the first packet. But its
 * sender has now sent something, so the second host's packet must be permitted. A session without
 * an internal host at its far end remembers that: a knock. It ends when a session of both hosts
 * replaces it.
 */
bool open_is_knock(const struct nat *nat, uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];
    struct address called = session_destination(session, ROLE_INITIATOR).address;

    return session->direction == DIRECTION_OUTBOUND && external_has(nat, &called);
}

/* Turns a plan that the filtering does not permit into a knock. */
static void plan_knock(const struct tuple *sent, const struct external_side *initiator,
                       struct session_plan *plan)
{
    plan->direction = DIRECTION_OUTBOUND;
    plan->tuple[ROLE_RESPONDER] =
        (struct tuple){sent->destination, initiator->external, sent->protocol, 0};
    plan->mapping[ROLE_INITIATOR] = initiator->mapping;
    plan->forward[ROLE_INITIATOR] = initiator->forward;
    plan->share = initiator->share;
}

/*
 * RFC 4787 REQ-8: may this remote send to the mapping? Remotes of other mappings that share the
 * port (RFC 7857 section 3) do not count.
 */
static bool filter_admits(const struct nat *nat, uint16_t share, const struct mapping *mapping,
                          const struct endpoint *remote)
{
    const struct tuple sought = {*remote, mapping_external(nat, mapping), mapping->protocol, 0};
    const struct endpoint internal = mapping_internal(mapping);
    struct endpoint caller;
    enum role role;
    uint32_t slot;

    switch (share_filtering(policy_share(nat->policy, share), mapping->protocol)) {
    case FILTERING_ENDPOINT_INDEPENDENT:
        return true;
    case FILTERING_ADDRESS_DEPENDENT:
        return table_has_spoken_to(&nat->table, mapping->protocol, &internal, &remote->address);
    default: /* the session that it needs would have been found, but for a knock of the host that is
                called */
        slot = table_find(&nat->table, &sought, &role);
        if (slot == INDEX_NONE)
            return false;
        caller = session_source(&nat->table.session[slot], ROLE_INITIATOR);
        return endpoint_equal(&caller, &internal);
    }
}

/*
 * Finds the internal host at the external endpoint that the packet is sent to, and whether `remote`
 * (as that host would see it) may reach it.
 */
static enum drop_reason find_inside(const struct nat *nat, const struct tuple *sent,
                                    const struct endpoint *remote, struct endpoint *internal,
                                    struct external_side *side)
{
    *side = (struct external_side){.external = sent->destination,
                                   .mapping = INDEX_NONE,
                                   .forward = POLICY_NONE,
                                   .share = POLICY_NONE};
    side->forward = policy_forward_at(nat->policy, sent->protocol, sent->destination.port);
    if (side->forward != POLICY_NONE) {
        const struct forward *forward = policy_forward(nat->policy, side->forward);

        *internal = policy_forward_target(forward, sent->destination.port);
        return policy_forward_allows(forward, &sent->source.address) ? DROP_NONE : DROP_NOT_ALLOWED;
    }
    side->mapping = mapping_find_external(nat, sent->protocol, &sent->destination);
    if (side->mapping != INDEX_NONE)
        side->share = mapping_share(nat, side->mapping);
    if (side->share == POLICY_NONE)
        return DROP_NO_SESSION;
    *internal = mapping_internal(&nat->table.mapping[side->mapping]);
    return filter_admits(nat, side->share, &nat->table.mapping[side->mapping], remote)
               ? DROP_NONE
               : DROP_FILTERED;
}

/*
 * A hairpin: the initiator is seen by its own external endpoint (RFC 4787 REQ-9a), which may have
 * to be made first; of several uplinks, by that at the uplink whose address it has called. The
 * target is looked up after that, with the remote that it will see.
 */
static enum drop_reason plan_hairpin(struct nat *nat, const struct tuple *sent, uint64_t now,
                                     struct session_plan *plan, struct external_side *initiator)
{
    uint8_t uplink = external_uplink_of(nat, &sent->destination.address);
    struct external_side responder;
    struct endpoint internal;
    enum drop_reason reason;

    reason = allocate_external_side(nat, uplink, sent->protocol, &sent->source, &sent->destination,
                                    now, initiator);
    if (reason != DROP_NONE)
        return reason;
    reason = find_inside(nat, sent, &initiator->external, &internal, &responder);
    if (reason != DROP_NONE)
        return reason;
    plan->direction = DIRECTION_HAIRPIN;
    plan->tuple[ROLE_RESPONDER] = (struct tuple){internal, initiator->external, sent->protocol, 0};
    plan->mapping[ROLE_INITIATOR] = initiator->mapping;
    plan->mapping[ROLE_RESPONDER] = responder.mapping;
    plan->forward[ROLE_INITIATOR] = initiator->forward;
    plan->forward[ROLE_RESPONDER] = responder.forward;
    plan->share = initiator->share;
    return DROP_NONE;
}

bool open_is_hosts(const struct nat *nat, const struct packet_view *view)
{
    const struct tuple *sent = &view->tuple;
    struct external_side responder;
    struct endpoint internal;

    return policy_keeps_port(nat->policy, sent->protocol, sent->destination.port) &&
           policy_forward_at(nat->policy, sent->protocol, sent->destination.port) == POLICY_NONE &&
           (open_refused(view) != DROP_NONE ||
            find_inside(nat, sent, &sent->source, &internal, &responder) != DROP_NONE);
}

static enum drop_reason plan_inbound(struct nat *nat, const struct tuple *sent,
                                     struct session_plan *plan)
{
    struct external_side responder;
    struct endpoint internal;
    enum drop_reason reason = find_inside(nat, sent, &sent->source, &internal, &responder);

    if (reason != DROP_NONE)
        return reason;
    plan->direction = DIRECTION_INBOUND;
    plan->tuple[ROLE_RESPONDER] = (struct tuple){internal, sent->source, sent->protocol, 0};
    plan->mapping[ROLE_RESPONDER] = responder.mapping;
    plan->forward[ROLE_RESPONDER] = responder.forward;
    plan->share = responder.share;
    return DROP_NONE;
}

/*
 * Whether the addresses and the policy permit the packet, before any session is reserved: nothing
 * is evicted for a packet that is dropped. A hairpin is checked again later, with the remote that
 * its target will see.
 */
static enum drop_reason judge_inbound(const struct nat *nat, const struct packet *packet,
                                      const struct tuple *sent, bool hairpin,
                                      struct endpoint *internal, struct external_side *responder)
{
    enum drop_reason reason;

    if ((hairpin && external_forges(nat, packet)) ||
        (external_receives(nat, packet) && external_has(nat, &sent->source.address)))
        return DROP_SPOOFED_SOURCE;
    if (!external_has(
            nat,
            &sent->destination.address)) /* not now: the kernel's rules change at another time */
        return DROP_NO_EXTERNAL_ADDRESS;
    reason = find_inside(nat, sent, &sent->source, internal, responder);
    return hairpin && reason == DROP_FILTERED ? DROP_NONE : reason;
}

static struct opener opener_of(const struct nat *nat, const struct tuple *sent, bool hairpin,
                               uint16_t forward)
{
    return (struct opener){
        .host = policy_is_shared(nat->policy, &sent->source.address) ? &sent->source.address : NULL,
        .remote = hairpin ? NULL : &sent->source.address,
        .forward = forward};
}

void open_explain_inbound(struct nat *nat, const struct packet *packet,
                          const struct packet_view *view, uint64_t now,
                          struct explanation *explanation)
{
    const struct tuple *sent = &view->tuple;
    bool hairpin = policy_translates(nat->policy, sent);
    struct external_side responder = {.forward = POLICY_NONE, .share = POLICY_NONE};
    struct opener opener;
    enum role role;
    uint32_t slot = table_find(&nat->table, sent, &role);

    explanation->forward = policy_forward_at(nat->policy, sent->protocol, sent->destination.port);
    if (slot != INDEX_NONE && !gives_way(nat, slot)) { /* one that is there needs no permission */
        explanation->is_ours = true;
        explanation->share = session_share(&nat->table.session[slot]);
        explanation->internal = session_source(&nat->table.session[slot], (enum role) !role);
        return;
    }
    explanation->is_ours =
        open_is_ours(nat, sent->protocol, &sent->destination, now) && !open_is_hosts(nat, view);
    if (!explanation->is_ours)
        return;
    explanation->reason =
        judge_inbound(nat, packet, sent, hairpin, &explanation->internal, &responder);
    explanation->share = responder.share;
    opener = opener_of(nat, sent, hairpin, responder.forward);
    if (explanation->reason == DROP_NONE)
        explanation->reason = session_refuses(nat, &opener, now);
}

enum drop_reason open_inbound(struct nat *nat, const struct packet *packet,
                              const struct packet_view *view, uint64_t now, uint32_t *slot)
{
    const struct tuple *sent = &view->tuple;
    bool hairpin = policy_translates(nat->policy, sent);
    struct session_plan plan = {.tuple = {*sent},
                                .mapping = {INDEX_NONE, INDEX_NONE},
                                .forward = {POLICY_NONE, POLICY_NONE}};
    struct external_side initiator = {.mapping = INDEX_NONE}, responder;
    struct endpoint internal;
    struct opener opener;
    uint32_t in_the_way[KEYS_IN_THE_WAY] = {INDEX_NONE, INDEX_NONE, INDEX_NONE};
    enum drop_reason reason;
    bool may_open;

    reason = judge_inbound(nat, packet, sent, hairpin, &internal, &responder);
    if (reason != DROP_NONE)
        return reason;
    opener = opener_of(nat, sent, hairpin, responder.forward);
    reason = session_reserve(nat, &opener, now, slot);
    if (reason != DROP_NONE)
        return reason;
    reason =
        hairpin ? plan_hairpin(nat, sent, now, &plan, &initiator) : plan_inbound(nat, sent, &plan);
    may_open = reason == DROP_NONE;
    if (hairpin && reason == DROP_FILTERED) { /* otherwise an eviction has ended the session that
                                                 permitted this remote */
        plan_knock(sent, &initiator, &plan);
        may_open = true;
    }
    if (may_open && !finds_room(nat, &plan, in_the_way) &&
        !take_other_port(nat, &plan, in_the_way)) {
        reason = DROP_TUPLE_COLLISION;
        may_open = false;
    } else if (reason == DROP_FILTERED && in_the_way[0] != INDEX_NONE) {
        nat->table.session[in_the_way[0]].last_seen = (uint32_t)now; /* knocks again */
        may_open = false;
    }
    if (may_open) {
        open_over_others(nat, *slot, &plan, in_the_way, now);
    } else {
        if (initiator.mapping != INDEX_NONE)
            mapping_release_unused(nat, initiator.mapping, false, now);
        session_abandon(nat, *slot);
    }
    return reason;
}
