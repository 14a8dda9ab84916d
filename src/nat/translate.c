/*
 * translate.c - the verdict on a packet
 *
 * Theory of operation. A packet to an external address passes the inbound hook, where its
 * destination may be rewritten. A packet that leaves passes the outbound hook, where its source may
 * be rewritten. In both: find the session whose tuple it carries, or open one if the policy allows
 * it; then give it the half of the other tuple's inverse that this hook may set. If the other half
 * differs as well, the packet is a hairpin: it passes the outbound hook too, and is found there by
 * its transit key.
 *
 * Other packets pass unchanged: those of the gateway itself and of hosts that the policy does not
 * name. Packets of a shared host that cannot be translated are dropped, because they would leave
 * with a private source.
 */
#include "external.h"
#include "forward_count.h"
#include "ip_id.h"
#include "mss.h"
#include "offload_entries.h"
#include "open.h"
#include "other_uplink.h"
#include "outcome.h"
#include "portreeve/icmp.h"
#include "refusals.h"
#include "review.h"
#include "session.h"
#include "session_facts.h"
#include "translate_icmp.h"

/* How many packets are parsed before the first one is decided. */
#define NAT_BATCH_MAX TABLE_PREFETCH_MAX

/* Lets the packet pass unchanged; returns DROP_NONE for the caller to return. */
static enum drop_reason accept_unchanged(struct nat *nat, struct packet *packet)
{
    packet->verdict = VERDICT_ACCEPT;
    nat->counters.unchanged++;
    return DROP_NONE;
}

/* Whether a packet of this side keeps the session alive. */
static bool refreshes(const struct nat *nat, const struct session *session,
                      const struct packet_view *view, enum role from)
{
    return !(view->tcp_flags & TCP_RST) && /* RFC 7857 section 7.1 */
           session_refreshed_by(nat, session, from);
}

/*
 * A SYN sets the sequence numbers that its receiver expects. In another state it is old or forged
 * (RFC 5961 section 4), and a forger would then know which RST to send next. A SYN without ACK is
 * right only before the answer.
 */
static bool is_untimely_syn(uint8_t flags, enum session_state before, enum session_state after)
{
    bool first = before == STATE_OPENING || after == STATE_OPENING,
         answers = before == STATE_ANSWERED_SYN;

    return flags & TCP_SYN && !first && !(answers && flags & TCP_ACK);
}

/* The state after a TCP segment of this side. */
static enum session_state track_tcp(struct session *session, const struct packet_view *view,
                                    enum role from)
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

/*
 * True for an RST whose sequence number cannot be judged before the kernel has reported the packets
 * that it has rewritten.
 */
static bool reset_waits(struct nat *nat, uint32_t slot, const struct packet_view *view,
                        enum role from)
{
    struct tcp_segment segment;

    if (!(view->tcp_flags & TCP_RST))
        return false;
    segment = packet_tcp_segment(view);
    return offload_suspects_reset(nat, slot, &segment, from);
}

/* State, timer and counters after a packet of this side. */
static void note_packet(struct nat *nat, uint32_t slot, const struct packet_view *view,
                        enum role from, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    enum session_state state = (enum session_state)session->state, next = state;

    session_count(session, from, 1, view->total_length);
    forward_count_bytes(nat, session, from, view->total_length, now);
    if (reset_waits(nat, slot, view, from))
        return;
    if (view->protocol == PROTOCOL_TCP && tcp_may_open(view->tcp_flags))
        offload_forget_reset(nat, slot);
    if (view->protocol == PROTOCOL_TCP)
        next = track_tcp(session, view, from);
    else if (from == ROLE_RESPONDER)
        next = STATE_ANSWERED;
    if (next != state)
        session_change_state(nat, slot, next, from, now);
    else
        outcome_doubt(session, from);
    if (refreshes(nat, session, view, from))
        session->last_seen = (uint32_t)now;
}

/* A SYN of either side may open a closed connection anew; *from is the sender's role after that. */
static enum drop_reason reopen_if_closed(struct nat *nat, uint32_t slot,
                                         const struct packet_view *view, enum role *from,
                                         uint64_t now)
{
    enum drop_reason reason;

    if (view->protocol != PROTOCOL_TCP || !tcp_may_open(view->tcp_flags) ||
        session_age_list(&nat->table.session[slot]) != AGE_CLOSED)
        return DROP_NONE;
    reason = session_reopen(nat, slot, *from, now);
    if (reason == DROP_NONE)
        *from = ROLE_INITIATOR;
    return reason;
}

/* Only a SYN offers an MSS. */
static void limit_mss(const struct nat *nat, const struct packet *packet,
                      const struct packet_view *view, uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];
    uint8_t uplink;

    if (!(view->tcp_flags & TCP_SYN) || session->direction == DIRECTION_HAIRPIN)
        return;
    uplink = session_uplink(nat, session);
    if (uplink < NAT_UPLINKS_MAX && nat->uplink[uplink].mss_limit != 0)
        mss_clamp(packet, view, nat->uplink[uplink].mss_limit);
}

/*
 * After the inbound hook: whether the kernel must give this packet, or what answers it, to the
 * outbound hook. It does so by itself for all that leaves by the external interface from a share or
 * a target. What is left are hairpins, the answers of targets to clients inside, and
 * those of targets that no share names, which may also answer directly. An ended connection has no
 * answers that matter (ruleset_passes.c).
 */
static bool needs_outbound_hook(const struct nat *nat, const struct packet *packet,
                                const struct packet_view *view, const struct session *session,
                                const struct address *destination)
{
    bool ended = view->protocol == PROTOCOL_TCP && session_age_list(session) == AGE_CLOSED &&
                 !(view->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST));

    if (external_has(nat, destination))
        return false; /* it would come back here for ever */
    if (session->direction == DIRECTION_HAIRPIN)
        return true;
    if (session->direction != DIRECTION_INBOUND || ended || packet->in_interface == 0)
        return false;
    return !external_receives(nat, packet) || !policy_is_shared(nat->policy, destination);
}

/*
 * Rewrites the half that the hook may rewrite, with what the other side sees. A remote's other port
 * (other_port.h) is rewritten as well: a port decides nothing about the route, and is changed
 * before connection tracking on the way in, and after it on the way out.
 */
static void rewrite(struct nat *nat, struct packet *packet, const struct packet_view *view,
                    uint32_t slot, enum role from)
{
    const struct tuple other = session_tuple(&nat->table.session[slot], (enum role) !from);

    if (packet->truncated) {
        packet->rewriting = (struct rewriting){
            view->tuple, packet->hook == HOOK_INBOUND ? other.source : other.destination};
        packet->transit = false;
    } else if (packet->hook == HOOK_INBOUND) {
        packet_set_destination(packet, view, &other.source);
        if (session_has_other_port(&nat->table.session[slot]))
            packet_set_source(packet, view, &other.destination);
        packet->transit = needs_outbound_hook(nat, packet, view, &nat->table.session[slot],
                                              &other.source.address);
    } else {
        packet_set_source(packet, view, &other.destination);
        if (session_has_other_port(&nat->table.session[slot]))
            packet_set_destination(packet, view, &other.source);
        ip_id_renew(nat, packet, view);
        packet->transit = false;
    }
    limit_mss(nat, packet, view, slot);
    if (!packet->truncated)
        packet_finish(packet, view);
    packet->verdict = packet->truncated ? VERDICT_REPEAT : VERDICT_REWRITTEN;
    nat->counters.packets[packet->hook]++;
    nat->counters.bytes[packet->hook] += view->total_length;
}

/* Of a packet that a queue does not carry as a whole, the kernel rewrites one end, in one pass. */
static bool kernel_can_rewrite(const struct nat *nat, const struct packet *packet,
                               const struct packet_view *view, uint32_t slot, enum role from)
{
    const struct session *session = &nat->table.session[slot];
    const struct address to = session_source(session, (enum role) !from).address;

    return session->direction != DIRECTION_HAIRPIN && !session_has_other_port(session) &&
           (packet->hook == HOOK_OUTBOUND || !needs_outbound_hook(nat, packet, view, session, &to));
}

/* A packet of this session: counts it, follows the connection, rewrites it. */
static enum drop_reason pass(struct nat *nat, struct packet *packet, const struct packet_view *view,
                             uint32_t slot, enum role from, uint64_t now)
{
    enum drop_reason reason = reopen_if_closed(nat, slot, view, &from, now);

    if (reason != DROP_NONE)
        return reason;
    if (packet->truncated && !kernel_can_rewrite(nat, packet, view, slot, from))
        return DROP_TRUNCATED;
    note_packet(nat, slot, view, from, now);
    rewrite(nat, packet, view, slot, from);
    offload_consider(nat, slot, packet, now);
    return DROP_NONE;
}

/*
 * A packet that is not to an external address, but directly to a forward's target. It is not
 * translated.
 */
static bool is_direct(const struct nat *nat, const struct packet_view *view)
{
    const struct address *to = &view->tuple.destination.address;

    return protocol_has_ports(view->protocol) && !external_has(nat, to) &&
           policy_is_target(nat->policy, to);
}

/*
 * The session that a client has with a forward's target and whose packets, behind the inbound hook,
 * are the same as those that it sends directly; or INDEX_NONE.
 */
static uint32_t find_double(struct nat *nat, const struct packet_view *view, uint64_t now)
{
    struct tuple answer = tuple_inverse(&view->tuple);
    enum role role;
    uint32_t slot = review_find(nat, &answer, now, &role);

    if (slot == INDEX_NONE)
        return review_find_transit(nat, &view->tuple, now, &role);
    return nat->table.session[slot].direction == DIRECTION_INBOUND && role == ROLE_RESPONDER
               ? slot
               : INDEX_NONE;
}

/*
 * A connection that lives is not taken over. (To a second SYN, the target's answer makes the client
 * end it first: RFC 5961 section 4.)
 */
static bool may_take_over(const struct session *session, const struct packet_view *view)
{
    return view->protocol != PROTOCOL_TCP ||
           (tcp_may_open(view->tcp_flags) && !session_is_settled(session));
}

/*
 * A client speaks directly to a forward's target, from a port from which it has used the forward:
 * the target cannot tell the two, and its answers are now to this packet. So the session ends, and
 * answers pass as they are. As long as the kernel rewrites packets of the session, this one waits.
 */
static enum drop_reason take_over(struct nat *nat, struct packet *packet,
                                  const struct packet_view *view, uint64_t now)
{
    uint32_t slot = find_double(nat, view, now);

    packet->transit = slot != INDEX_NONE && !may_take_over(&nat->table.session[slot], view);
    if (slot == INDEX_NONE)
        return accept_unchanged(nat, packet);
    if (packet->transit || offload_leaves(nat, slot)) {
        packet->verdict = VERDICT_AGAIN;
        nat->counters.unchanged += packet->transit;
        return DROP_NONE;
    }
    session_close(nat, slot, CLOSE_REPLACED, now);
    return accept_unchanged(nat, packet);
}

/* The two hooks. */

static enum drop_reason translate_inbound(struct nat *nat, struct packet *packet,
                                          struct packet_view *view, uint64_t now)
{
    enum role from = ROLE_INITIATOR;
    uint32_t slot = review_find(nat, &view->tuple, now, &from);
    enum drop_reason reason;

    if (slot == INDEX_NONE && is_direct(nat, view))
        return take_over(nat, packet, view, now);
    if (slot == INDEX_NONE || open_is_knock(nat, slot)) {
        if (!protocol_has_ports(view->protocol) ||
            !open_is_ours(nat, view->protocol, &view->tuple.destination, now) ||
            open_is_hosts(nat, view))
            return accept_unchanged(nat, packet); /* the gateway's own */
        reason = open_refused(view);
        if (reason == DROP_NONE)
            reason = open_inbound(nat, packet, view, now, &slot);
        if (reason != DROP_NONE)
            return reason;
    } else if (nat->table.session[slot].direction == DIRECTION_HAIRPIN &&
               external_forges(nat, packet)) {
        return DROP_SPOOFED_SOURCE;
    }
    return pass(nat, packet, view, slot, from, now);
}

/*
 * The second pass of a hairpin, which gets its source; the first pass has counted the packet in its
 * session.
 */
static bool translate_transit(struct nat *nat, struct packet *packet, struct packet_view *view,
                              uint64_t now)
{
    enum role from;
    uint32_t slot = review_find_transit(nat, &view->tuple, now, &from);

    if (slot == INDEX_NONE)
        return false;
    rewrite(nat, packet, view, slot, from);
    return true;
}

/*
 * What a session of an outsider gets as answer leaves with the address that the outsider called, by
 * whichever interface: its source is not private, and the path is the routes' matter.
 */
static bool may_leave(struct nat *nat, const struct packet *packet, const struct packet_view *view,
                      uint32_t slot)
{
    struct other_uplink *uplink;

    if (slot != INDEX_NONE && nat->table.session[slot].direction != DIRECTION_OUTBOUND)
        return true;
    uplink =
        other_uplink_of(nat, packet, &view->tuple.source.address, &view->tuple.destination.address);
    if (uplink != NULL)
        uplink->dropped++;
    return uplink == NULL;
}

/*
 * The route of a session that a host of ours has opened may move to another external interface. The
 * address of the former one is wrong there: providers drop it, and answers take another way. What
 * may open a session goes on in a new one, with an address of the uplink that the route chose. The
 * rest of a TCP connection cannot: it waits for the route to come back. Linux does the same for
 * masquerading (nf_nat_oif_changed), but forgets the connection.
 */
static bool is_rerouted(const struct nat *nat, const struct packet *packet, uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];
    uint8_t uplink;

    if (nat->uplink_count <= 1 || session->direction != DIRECTION_OUTBOUND)
        return false;
    uplink = external_uplink_at(nat, packet->out_interface);
    return uplink < NAT_UPLINKS_MAX && uplink != session_uplink(nat, session);
}

static enum drop_reason translate_outbound(struct nat *nat, struct packet *packet,
                                           struct packet_view *view, uint64_t now)
{
    enum role from = ROLE_INITIATOR;
    uint32_t slot = review_find(nat, &view->tuple, now, &from);
    enum drop_reason reason;

    if (slot == INDEX_NONE && translate_transit(nat, packet, view, now))
        return DROP_NONE;
    if (!may_leave(nat, packet, view, slot))
        return DROP_OTHER_UPLINK;
    if (slot != INDEX_NONE && is_rerouted(nat, packet, slot)) {
        if (open_refused(view) != DROP_NONE)
            return DROP_REROUTED;
        session_close(nat, slot, CLOSE_REROUTED, now);
        slot = INDEX_NONE;
        from = ROLE_INITIATOR;
    }
    if (slot == INDEX_NONE) {
        uint8_t uplink = external_uplink_at(nat, packet->out_interface);

        if (uplink == NAT_UPLINKS_MAX || !policy_translates(nat->policy, &view->tuple))
            return accept_unchanged(nat, packet);
        reason = open_refused(view);
        if (reason == DROP_NONE)
            reason = open_outbound(nat, uplink, view, now, &slot);
        if (reason != DROP_NONE)
            return reason;
    }
    return pass(nat, packet, view, slot, from, now);
}

/*
 * A packet that could not be parsed. The gateway and hosts that are not translated may use
 * protocols that we do not know: such packets pass.
 */
static enum drop_reason refuse(struct nat *nat, struct packet *packet,
                               const struct packet_view *view, enum drop_reason reason)
{
    if (reason == DROP_UNSUPPORTED_PROTOCOL || reason == DROP_UNSUPPORTED_ICMP) {
        const struct address *source = &view->tuple.source.address,
                             *destination = &view->tuple.destination.address;

        if (packet->hook != HOOK_OUTBOUND || !external_must_hide(nat, packet, source, destination))
            return accept_unchanged(nat, packet);
    }
    return reason;
}

static enum drop_reason decide(struct nat *nat, struct packet *packet, struct packet_view *view,
                               enum drop_reason parsed, uint64_t now)
{
    if (parsed != DROP_NONE)
        return refuse(nat, packet, view, parsed);
    if (view->is_icmp_error)
        return translate_icmp_error(nat, packet, view, now);
    if (packet->hook == HOOK_INBOUND)
        return translate_inbound(nat, packet, view, now);
    return translate_outbound(nat, packet, view, now);
}

/*
 * At most this many refusals are sent per second, for all hosts together: ICMP must not become a
 * flood (RFC 1812 section 4.3.2.8).
 */
#define REFUSAL_RATE 100

static bool take_refusal_token(struct nat *nat, uint64_t now)
{
    uint64_t earned = (now - nat->refusal_filled) * REFUSAL_RATE / 1000;

    if (earned > 0) {
        nat->refusal_tokens = earned + nat->refusal_tokens < REFUSAL_RATE
                                  ? (uint32_t)earned + nat->refusal_tokens
                                  : REFUSAL_RATE;
        nat->refusal_filled = now;
    }
    if (nat->refusal_tokens == 0)
        return false;
    nat->refusal_tokens--;
    return true;
}

/*
 * Whether the sender of a dropped packet gets a refusal: an internal host that a limit refuses. An
 * outsider learns nothing. Such a packet has been parsed: limits are met when a session is opened.
 */
static bool should_send_refusal(struct nat *nat, const struct packet *packet,
                                const struct packet_view *view, uint64_t now)
{
    if (packet->reason != DROP_POOL_DRY && packet->reason != DROP_TABLE_FULL &&
        packet->reason != DROP_HOST_LIMIT && packet->reason != DROP_HOST_RATE)
        return false;
    return !external_receives(nat, packet) &&
           policy_is_shared(nat->policy, &view->tuple.source.address) &&
           take_refusal_token(nat, now);
}

static void translate(struct nat *nat, struct packet *packet, struct packet_view *view,
                      enum drop_reason parsed, uint64_t now)
{
    packet->send_refusal = false;
    packet->reason = decide(nat, packet, view, parsed, now);
    if (packet->reason == DROP_NONE)
        return;
    packet->verdict = VERDICT_DROP;
    nat->counters.dropped[packet->reason]++;
    if (parsed == DROP_NONE && !view->is_icmp_error) {
        forward_count_refused(nat, packet, &view->tuple);
        refusals_note(nat, packet, &view->tuple, packet->reason, now);
    }
    packet->send_refusal = should_send_refusal(nat, packet, view, now);
    nat->counters.refusals_sent += packet->send_refusal;
}

/*
 * Every packet is parsed before the first one is decided: so the table can prefetch what will be
 * looked up, and the batch waits for memory once, not once per packet.
 */
static void translate_some(struct nat *nat, struct packet *packets, size_t count, uint64_t now)
{
    struct packet_view view[NAT_BATCH_MAX];
    enum drop_reason parsed[NAT_BATCH_MAX];
    struct tuple tuples[NAT_BATCH_MAX];
    size_t sought = 0;

    for (size_t i = 0; i < count; i++) {
        parsed[i] = packet_parse(&packets[i], &view[i]);
        if (parsed[i] == DROP_NONE && !view[i].is_icmp_error)
            tuples[sought++] = view[i].tuple;
    }
    if (sought > 1)
        table_prefetch(&nat->table, tuples, sought, true);
    for (size_t i = 0; i < count; i++)
        translate(nat, &packets[i], &view[i], parsed[i], now);
}

void nat_translate_batch(struct nat *nat, struct packet *packets, size_t count, uint64_t now)
{
    while (count > 0) {
        size_t some = count < NAT_BATCH_MAX ? count : NAT_BATCH_MAX;

        translate_some(nat, packets, some, now);
        packets += some;
        count -= some;
    }
}

void nat_give_up(struct nat *nat, struct packet *packet)
{
    packet->verdict = VERDICT_DROP;
    packet->reason = DROP_TRUNCATED;
    nat->counters.dropped[DROP_TRUNCATED]++;
}
