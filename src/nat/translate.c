/*
 * translate.c - the verdict
 *
 * Theory of operation. A packet to an external address comes by the inbound hook, where its destination may be
 * rewritten; a packet that leaves comes by the outbound hook, where its source may. Either way: find the session whose tuple
 * it carries, or open one if the policy allows; then give it the half of the other tuple's inverse that this hook may
 * set. If the other half differs as well, the packet is a hairpin: it gets the transit mark, comes by the outbound hook
 * once more, and is found there by its transit key.
 *
 * What is not ours is accepted as it came. Traffic of the gateway itself, and of hosts the policy does not name, is
 * none of our business; traffic of a shared host that cannot be translated is dropped, for it would leave with a private
 * source.
 */
#include "nat_internal.h"
#include "portreeve/icmp.h"
#include "portreeve/mss.h"

static bool is_external(const struct nat *nat, const struct address *address)
{
    return nat_external_index(nat, address) < EXTERNAL_ADDRESSES_MAX;
}

static bool from_outside(const struct nat *nat, const struct packet *packet)
{
    return packet->in_interface == nat->external_interface;
}

/* Accepts the packet as it came; says so in the caller's return value. */
static enum drop_reason accept_unchanged(struct nat *nat, struct packet *packet)
{
    packet->verdict = VERDICT_ACCEPT;
    nat->counters.unchanged++;
    return DROP_NONE;
}

/* Whether a packet of this side keeps the session alive. */
static bool refreshes(const struct nat *nat, const struct session *session, const struct packet_view *view,
                      enum role from)
{
    enum role remote = session->direction == DIRECTION_INBOUND ? ROLE_INITIATOR : ROLE_RESPONDER;

    if (view->tcp_flags & TCP_RST)
        return false; /* RFC 7857 section 7.1 */
    if (view->protocol == PROTOCOL_TCP || from != remote || session->direction == DIRECTION_HAIRPIN ||
        session->share == POLICY_NONE)
        return true;
    return !policy_share(nat->policy, session->share)->no_inbound_refresh;
}

/*
 * A SYN says which sequence numbers its receiver is to expect. Out of season it is old or forged (RFC 5961 section 4), and
 * whoever forged it would know which RST to send next. One without ACK is in season only before the answer.
 */
static bool is_untimely_syn(uint8_t flags, enum session_state before, enum session_state after)
{
    bool first = before == STATE_OPENING || after == STATE_OPENING, answers = before == STATE_ANSWERED_SYN;

    return flags & TCP_SYN && !first && !(answers && flags & TCP_ACK);
}

/* The state after a TCP segment of this side. */
static enum session_state track_tcp(struct session *session, const struct packet_view *view, enum role from)
{
    const uint8_t window_scale = 3, most = 14; /* RFC 7323 section 2.2, 2.3 */
    enum session_state state = (enum session_state)session->state, next;
    struct tcp_segment segment = packet_tcp_segment(view);

    if (segment.flags & TCP_SYN) {
        const uint8_t *shift = tcp_option(view->l4, window_scale, 3);

        segment.scale = shift == NULL ? 0 : *shift < most ? *shift : most;
    }
    if (segment.flags & TCP_RST && !tcp_reset_is_plausible(&session->tcp, state, &segment, from))
        return state;
    next = tcp_next_state(state, segment.flags, from);
    if (state == STATE_ANSWERED_SYN && next >= STATE_ESTABLISHED && !(segment.flags & TCP_RST) &&
        !tcp_acknowledges_syn(&session->tcp, &segment, from))
        return state;
    if (next == STATE_OPENING && state != STATE_OPENING)
        session->tcp = (struct tcp_track){0}; /* another connection of the same endpoints */
    if (!is_untimely_syn(segment.flags, state, next))
        tcp_observe(&session->tcp, &segment, from);
    return next;
}

/* State, timer and counters after a packet of this side. */
static void session_saw(struct nat *nat, uint32_t slot, const struct packet_view *view, enum role from, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    enum session_state state = (enum session_state)session->state, next = state;

    session->packets[from]++;
    session->bytes[from] += view->total_length;
    if (view->protocol == PROTOCOL_TCP)
        next = track_tcp(session, view, from);
    else if (from == ROLE_RESPONDER)
        next = STATE_ANSWERED;
    if (refreshes(nat, session, view, from) || (next != state && view->protocol == PROTOCOL_TCP))
        session->last_seen = now;
    if (next != state)
        session_change_state(nat, slot, next, now);
}

/*
 * The role of a packet's sender; it changes when the responder of a closed connection opens a new one (RFC 5382 REQ-2: any
 * valid sequence of packets).
 */
static enum role role_of_sender(struct nat *nat, uint32_t slot, const struct packet_view *view, enum role from)
{
    enum session_state state = (enum session_state)nat->table.session[slot].state;

    if (from == ROLE_INITIATOR || view->protocol != PROTOCOL_TCP || !tcp_may_open(view->tcp_flags) ||
        (state != STATE_CLOSED && state != STATE_RESET))
        return from;
    session_reverse(nat, slot);
    return ROLE_INITIATOR;
}

/* Rewrites the half that the hook may rewrite, with what the other side is to see. */
static void rewrite(struct nat *nat, struct packet *packet, const struct packet_view *view, uint32_t slot,
                    enum role from)
{
    const struct tuple *other = &nat->table.session[slot].tuple[!from];

    if (packet->hook == HOOK_INBOUND) {
        packet_set_destination(packet, view, &other->source);
        packet->transit =
            nat->table.session[slot].direction == DIRECTION_HAIRPIN || packet_passes_twice(packet, view);
    } else {
        packet_set_source(packet, view, &other->destination);
        nat_renew_ip_id(nat, packet, view);
        packet->transit = false;
    }
    if (nat->mss_limit != 0 && nat->table.session[slot].direction != DIRECTION_HAIRPIN)
        mss_clamp(packet, view, nat->mss_limit);
    packet_finish(packet, view);
    packet->verdict = VERDICT_REWRITTEN;
    nat->counters.packets[packet->hook]++;
    nat->counters.bytes[packet->hook] += view->total_length;
}

/* Opening from inside. */

static enum drop_reason open_outbound(struct nat *nat, const struct packet_view *view, uint64_t now, uint32_t *slot)
{
    const struct tuple *sent = &view->tuple;
    struct session_plan plan = {.direction = DIRECTION_OUTBOUND, .mapping = {INDEX_NONE, INDEX_NONE},
                                .forward = {POLICY_NONE, POLICY_NONE}};
    struct external_side side;
    enum drop_reason reason;
    enum role role;

    reason = session_reserve(nat, nat_is_shared(nat, &sent->source.address) ? &sent->source.address : NULL, now, slot);
    if (reason != DROP_NONE)
        return reason;
    reason = session_external_side(nat, sent->protocol, &sent->source, &sent->destination, now, &side);
    if (reason == DROP_NONE) {
        plan.tuple[ROLE_INITIATOR] = *sent;
        plan.tuple[ROLE_RESPONDER] = (struct tuple){sent->destination, side.external, sent->protocol, 0};
        if (table_find(&nat->table, &plan.tuple[ROLE_RESPONDER], &role) != INDEX_NONE)
            reason = DROP_TUPLE_COLLISION;
    }
    if (reason != DROP_NONE) {
        session_abandon(nat, *slot);
        return reason;
    }
    plan.mapping[ROLE_INITIATOR] = side.mapping;
    plan.forward[ROLE_INITIATOR] = side.forward;
    plan.share = side.share;
    session_open(nat, *slot, &plan, now);
    return DROP_NONE;
}

/* Why a packet without a session may not open one; DROP_NONE when it may. */
static enum drop_reason opening_refused(const struct packet_view *view)
{
    if (view->protocol == PROTOCOL_TCP && !tcp_may_open(view->tcp_flags))
        return DROP_NOT_SYN;
    if (view->protocol == PROTOCOL_ICMP && view->icmp_type != ICMP_ECHO_REQUEST &&
        view->icmp_type != ICMP_TIMESTAMP_REQUEST)
        return DROP_ICMP_NO_SESSION;
    return DROP_NONE;
}

/* True when the policy translates what this endpoint sends there. */
static bool is_translated(const struct nat *nat, const struct tuple *sent)
{
    uint16_t port;

    if (nat_is_shared(nat, &sent->source.address))
        return nat_must_translate(nat, &sent->source.address, &sent->destination.address);
    return policy_forward_to(nat->policy, sent->protocol, &sent->source, &port) != POLICY_NONE;
}

/* Opening from outside, and hairpins. */

/*
 * Two hosts of the same gateway that learn each other's external endpoint both send, as they would anywhere (RFC 5128
 * section 3.3: hole punching). The first packet meets the other's filtering and is dropped; but its sender has spoken, so the
 * other's packet must be let in. What remembers that is a session without an inside at its far end: a knock. It ends when
 * a session of both takes its place.
 */
bool nat_is_knock(const struct nat *nat, uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];

    return session->direction == DIRECTION_OUTBOUND &&
           is_external(nat, &session->tuple[ROLE_INITIATOR].destination.address);
}

/* Turns a plan that filtering has refused into a knock. */
static void plan_knock(const struct tuple *sent, const struct external_side *initiator, struct session_plan *plan)
{
    plan->direction = DIRECTION_OUTBOUND;
    plan->tuple[ROLE_RESPONDER] = (struct tuple){sent->destination, initiator->external, sent->protocol, 0};
    plan->mapping[ROLE_INITIATOR] = initiator->mapping;
    plan->forward[ROLE_INITIATOR] = initiator->forward;
    plan->share = initiator->share;
}

/* The sessions that have the plan's tuples: false when one of them is more than a knock. */
static bool find_knocks(const struct nat *nat, const struct session_plan *plan, uint32_t knock[2])
{
    enum role role;

    for (int i = 0; i < 2; i++) {
        knock[i] = table_find(&nat->table, &plan->tuple[i], &role);
        if (knock[i] != INDEX_NONE && !nat_is_knock(nat, knock[i]))
            return false;
    }
    return true;
}

/* Opens the session, and only then ends the knocks: their mappings are its mappings. */
static void open_over_knocks(struct nat *nat, uint32_t slot, const struct session_plan *plan,
                             const uint32_t knock[2], uint64_t now)
{
    session_open(nat, slot, plan, now);
    for (int i = 0; i < 2; i++) {
        if (knock[i] != INDEX_NONE && (i == 0 || knock[1] != knock[0]))
            session_close(nat, knock[i], CLOSE_ANSWERED, now);
    }
}

/*
 * RFC 4787 REQ-8: may this remote send to the mapping? Whom another mapping on the same port has called (RFC 7857 section 3)
 * does not count.
 */
static bool filter_admits(const struct nat *nat, const struct mapping *mapping, const struct endpoint *remote)
{
    const struct tuple sought = {*remote, mapping->external, mapping->protocol, 0};
    enum role role;
    uint32_t slot;

    switch (share_filtering(policy_share(nat->policy, mapping->share), mapping->protocol)) {
    case FILTERING_ENDPOINT_INDEPENDENT:
        return true;
    case FILTERING_ADDRESS_DEPENDENT:
        return table_has_spoken_to(&nat->table, mapping->protocol, &mapping->internal, &remote->address);
    default: /* the session that it needs would have been found, but for a knock of the host that is called */
        slot = table_find(&nat->table, &sought, &role);
        return slot != INDEX_NONE &&
               endpoint_equal(&nat->table.session[slot].tuple[ROLE_INITIATOR].source, &mapping->internal);
    }
}

/*
 * Who is behind the external endpoint that the packet is sent to, and whether `remote` (as that host would see it)
 * may reach it.
 */
static enum drop_reason find_inside(const struct nat *nat, const struct tuple *sent, const struct endpoint *remote,
                                    struct endpoint *internal, struct external_side *side)
{
    *side = (struct external_side){
        .external = sent->destination, .mapping = INDEX_NONE, .forward = POLICY_NONE, .share = POLICY_NONE};
    side->forward = policy_forward_at(nat->policy, sent->protocol, sent->destination.port);
    if (side->forward != POLICY_NONE) {
        const struct forward *forward = policy_forward(nat->policy, side->forward);

        *internal = policy_forward_target(forward, sent->destination.port);
        return policy_forward_allows(forward, &sent->source.address) ? DROP_NONE : DROP_NOT_ALLOWED;
    }
    side->mapping = mapping_find_external(&nat->table, sent->protocol, &sent->destination);
    if (side->mapping == INDEX_NONE)
        return DROP_NO_SESSION;
    *internal = nat->table.mapping[side->mapping].internal;
    side->share = nat->table.mapping[side->mapping].share;
    return filter_admits(nat, &nat->table.mapping[side->mapping], remote) ? DROP_NONE : DROP_FILTERED;
}

/*
 * A hairpin: the initiator is seen by its own external endpoint (RFC 4787 REQ-9a), which may have to be made first. The
 * target is looked up after that, with the remote that it will see.
 */
static enum drop_reason plan_hairpin(struct nat *nat, const struct tuple *sent, uint64_t now,
                                     struct session_plan *plan, struct external_side *initiator)
{
    struct external_side responder;
    struct endpoint internal;
    enum drop_reason reason;
    enum role role;

    reason = session_external_side(nat, sent->protocol, &sent->source, &sent->destination, now, initiator);
    if (reason != DROP_NONE)
        return reason;
    reason = find_inside(nat, sent, &initiator->external, &internal, &responder);
    if (reason != DROP_NONE)
        return reason;
    /* With several external addresses, two forwards' targets could meet by other ones, too: the second pass knows one. */
    if (table_find_transit(&nat->table, &(struct tuple){sent->source, internal, sent->protocol, 0}, &role) !=
        INDEX_NONE)
        return DROP_TUPLE_COLLISION;
    plan->direction = DIRECTION_HAIRPIN;
    plan->tuple[ROLE_RESPONDER] = (struct tuple){internal, initiator->external, sent->protocol, 0};
    plan->mapping[ROLE_INITIATOR] = initiator->mapping;
    plan->mapping[ROLE_RESPONDER] = responder.mapping;
    plan->forward[ROLE_INITIATOR] = initiator->forward;
    plan->forward[ROLE_RESPONDER] = responder.forward;
    plan->share = initiator->share;
    return DROP_NONE;
}

static enum drop_reason plan_inbound(struct nat *nat, const struct tuple *sent, struct session_plan *plan)
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

static enum drop_reason open_inbound(struct nat *nat, const struct packet *packet, const struct packet_view *view,
                                     uint64_t now, uint32_t *slot)
{
    const struct tuple *sent = &view->tuple;
    bool shared = nat_is_shared(nat, &sent->source.address), hairpin = is_translated(nat, sent);
    struct session_plan plan = {.tuple = {*sent}, .mapping = {INDEX_NONE, INDEX_NONE},
                                .forward = {POLICY_NONE, POLICY_NONE}};
    struct external_side initiator = {.mapping = INDEX_NONE}, responder;
    struct endpoint internal;
    uint32_t knock[2] = {INDEX_NONE, INDEX_NONE};
    enum drop_reason reason;
    bool may_open;

    if (from_outside(nat, packet) && (hairpin || is_external(nat, &sent->source.address)))
        return DROP_SPOOFED_SOURCE;
    if (!is_external(nat, &sent->destination.address)) /* no more, or not yet: the kernel's rules change at another time */
        return DROP_NO_EXTERNAL_ADDRESS;
    /* Nothing is evicted for a packet that is refused. A hairpin's filter is asked again, with what its target will see. */
    reason = find_inside(nat, sent, &sent->source, &internal, &responder);
    if (reason != DROP_NONE && !(hairpin && reason == DROP_FILTERED))
        return reason;
    reason = session_reserve(nat, shared ? &sent->source.address : NULL, now, slot);
    if (reason != DROP_NONE)
        return reason;
    reason = hairpin ? plan_hairpin(nat, sent, now, &plan, &initiator) : plan_inbound(nat, sent, &plan);
    may_open = reason == DROP_NONE;
    if (hairpin && reason == DROP_FILTERED) { /* otherwise an eviction has closed the door of a remote */
        plan_knock(sent, &initiator, &plan);
        may_open = true;
    }
    if (may_open && !find_knocks(nat, &plan, knock)) {
        reason = DROP_TUPLE_COLLISION;
        may_open = false;
    } else if (reason == DROP_FILTERED && knock[0] != INDEX_NONE) {
        nat->table.session[knock[0]].last_seen = now; /* knocks again */
        may_open = false;
    }
    if (may_open) {
        open_over_knocks(nat, *slot, &plan, knock, now);
    } else {
        if (initiator.mapping != INDEX_NONE && nat->table.mapping[initiator.mapping].sessions == 0)
            mapping_release(nat, initiator.mapping, false, now);
        session_abandon(nat, *slot);
    }
    return reason;
}

/* The two hooks. */

static enum drop_reason translate_inbound(struct nat *nat, struct packet *packet, struct packet_view *view,
                                          uint64_t now)
{
    enum role from = ROLE_INITIATOR;
    uint32_t slot = table_find(&nat->table, &view->tuple, &from);
    enum drop_reason reason;

    if (slot == INDEX_NONE || nat_is_knock(nat, slot)) {
        if (view->protocol == PROTOCOL_ICMP ||
            !policy_is_published(nat->policy, view->protocol, view->tuple.destination.port))
            return accept_unchanged(nat, packet); /* the gateway's own */
        reason = opening_refused(view);
        if (reason == DROP_NONE)
            reason = open_inbound(nat, packet, view, now, &slot);
        if (reason != DROP_NONE)
            return reason;
    } else if (nat->table.session[slot].direction == DIRECTION_HAIRPIN && from_outside(nat, packet)) {
        return DROP_SPOOFED_SOURCE;
    }
    from = role_of_sender(nat, slot, view, from);
    session_saw(nat, slot, view, from, now);
    rewrite(nat, packet, view, slot, from);
    return DROP_NONE;
}

/*
 * The second pass; the packet has been counted in its session in the first. A hairpin gets its source. Of any other, which
 * passes twice for its checksum's sake, the inside's answer is a session's tuple.
 */
static enum drop_reason translate_transit(struct nat *nat, struct packet *packet, struct packet_view *view)
{
    struct tuple answer = tuple_inverse(&view->tuple);
    enum role from;
    uint32_t slot = table_find_transit(&nat->table, &view->tuple, &from);

    if (slot != INDEX_NONE) {
        rewrite(nat, packet, view, slot, from);
        return DROP_NONE;
    }
    if (table_find(&nat->table, &answer, &from) == INDEX_NONE)
        return DROP_NO_SESSION;
    packet_finish(packet, view);
    packet->transit = false;
    packet->verdict = VERDICT_REWRITTEN;
    return DROP_NONE;
}

static enum drop_reason translate_outbound(struct nat *nat, struct packet *packet, struct packet_view *view,
                                           uint64_t now)
{
    enum role from = ROLE_INITIATOR;
    uint32_t slot = table_find(&nat->table, &view->tuple, &from);
    enum drop_reason reason;

    if (slot == INDEX_NONE) {
        if (packet->out_interface != nat->external_interface || !is_translated(nat, &view->tuple))
            return accept_unchanged(nat, packet);
        reason = opening_refused(view);
        if (reason == DROP_NONE)
            reason = open_outbound(nat, view, now, &slot);
        if (reason != DROP_NONE)
            return reason;
    }
    from = role_of_sender(nat, slot, view, from);
    session_saw(nat, slot, view, from, now);
    rewrite(nat, packet, view, slot, from);
    return DROP_NONE;
}

/*
 * A packet that parsing refused. What the gateway or a host without translation sends or gets in protocols that we do
 * not know is not ours to refuse.
 */
static enum drop_reason refuse(struct nat *nat, struct packet *packet, const struct packet_view *view,
                               enum drop_reason reason)
{
    if (reason == DROP_UNSUPPORTED_PROTOCOL || reason == DROP_UNSUPPORTED_ICMP) {
        bool ours = packet->hook == HOOK_OUTBOUND && packet->out_interface == nat->external_interface &&
                    nat_must_translate(nat, &view->tuple.source.address, &view->tuple.destination.address);

        if (!ours)
            return accept_unchanged(nat, packet);
    }
    return reason;
}

static enum drop_reason decide(struct nat *nat, struct packet *packet, uint64_t now)
{
    struct packet_view view;
    enum drop_reason reason;

    if (packet->truncated)
        return DROP_TRUNCATED;
    reason = packet_parse(packet, &view);
    if (reason != DROP_NONE)
        return refuse(nat, packet, &view, reason);
    if (view.is_icmp_error)
        return translate_icmp_error(nat, packet, &view);
    if (packet->hook == HOOK_INBOUND)
        return translate_inbound(nat, packet, &view, now);
    if (packet->transit)
        return translate_transit(nat, packet, &view);
    return translate_outbound(nat, packet, &view, now);
}

/* At most this many refusals a second are told, over all hosts: ICMP must not become the flood (RFC 1812 section 4.3.2.8). */
#define TELL_RATE 100

static bool take_tell_token(struct nat *nat, uint64_t now)
{
    uint64_t earned = (now - nat->tell_filled) * TELL_RATE / 1000;

    if (earned > 0) {
        nat->tell_tokens = earned + nat->tell_tokens < TELL_RATE ? (uint32_t)earned + nat->tell_tokens : TELL_RATE;
        nat->tell_filled = now;
    }
    if (nat->tell_tokens == 0)
        return false;
    nat->tell_tokens--;
    return true;
}

/* Whether the sender of a dropped packet is told: an internal host that a limit refuses. An outsider learns nothing. */
static bool should_tell(struct nat *nat, const struct packet *packet, uint64_t now)
{
    struct packet_view view;

    if (packet->reason != DROP_POOL_DRY && packet->reason != DROP_TABLE_FULL && packet->reason != DROP_HOST_LIMIT &&
        packet->reason != DROP_HOST_RATE)
        return false;
    return packet_parse(packet, &view) == DROP_NONE && !view.is_icmp_error && !from_outside(nat, packet) &&
           nat_is_shared(nat, &view.tuple.source.address) && take_tell_token(nat, now);
}

void nat_translate(struct nat *nat, struct packet *packet, uint64_t now)
{
    packet->tell_source = false;
    packet->reason = decide(nat, packet, now);
    if (packet->reason != DROP_NONE) {
        packet->verdict = VERDICT_DROP;
        nat->counters.dropped[packet->reason]++;
        packet->tell_source = should_tell(nat, packet, now);
        nat->counters.told += packet->tell_source;
    }
}
