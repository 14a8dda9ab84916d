/*
 * translate_icmp.c - ICMP errors about translated packets (RFC 5508 section 4)
 *
 * An error quotes a packet that we rewrote and that the reporter saw. Its inverse is therefore the
 * tuple of a session, and what was sent before we rewrote it is that session's other tuple. An
 * error changes no state and refreshes nothing (RFC 5508 REQ-6). What it says is noted for people.
 */
#include "translate_icmp.h"

#include "external.h"
#include "ip_id.h"
#include "open.h"
#include "outcome.h"
#include "portreeve/icmp.h"
#include "review.h"

static enum drop_reason done(struct nat *nat, struct packet *packet, const struct packet_view *view)
{
    packet->verdict = VERDICT_REWRITTEN;
    nat->counters.packets[packet->hook]++;
    nat->counters.bytes[packet->hook] += view->total_length;
    return DROP_NONE;
}

/*
 * An error about no session. The gateway's own (about its own traffic) pass; a shared host's must
 * not leave with its private source; one about a port that is ours was meant for a session that no
 * longer exists.
 */
static enum drop_reason without_session(struct nat *nat, struct packet *packet,
                                        const struct packet_view *view,
                                        const struct icmp_embedded *embedded, uint64_t now)
{
    const struct tuple *quoted = &embedded->tuple;
    bool drop;

    if (packet->hook == HOOK_INBOUND)
        drop = protocol_index(quoted->protocol) != PROTOCOL_COUNT &&
               open_is_ours(nat, quoted->protocol, &quoted->source, now);
    else
        drop = external_must_hide(nat, packet, &view->tuple.source.address,
                                  &view->tuple.destination.address);
    if (drop)
        return DROP_ICMP_NO_SESSION;
    packet->verdict = VERDICT_ACCEPT;
    nat->counters.unchanged++;
    return DROP_NONE;
}

/*
 * What an error says about a packet of this side. That the initiator has gone before the answer
 * came says nothing about the responder.
 */
static void note_error(struct nat *nat, uint32_t slot, enum role sender,
                       const struct packet_view *view, uint64_t now)
{
    const struct session *session = &nat->table.session[slot];
    const struct icmp_report report = {view->tuple.source.address, view->icmp_type,
                                       view->icmp_code};
    enum outcome outcome = outcome_of_error(
        session_protocol(session), (enum session_state)session->state, report.type, report.code);

    if (sender == ROLE_INITIATOR && outcome != OUTCOME_NONE)
        outcome_set(nat, slot, outcome, &report, session_idle(session, now), now);
}

/*
 * What we sent to the outside, and in hairpins, has an external source. What the inside got from us
 * never has, except in hairpins, whose errors go to an external address. An error that quotes the
 * other side's view is forged: rewriting it would send it to the remote, or send it out with the
 * remote's address.
 */
static bool quotes_external_source(const struct nat *nat, const struct icmp_embedded *embedded)
{
    return external_find(nat, &embedded->tuple.source.address) < EXTERNAL_ADDRESSES_MAX;
}

/* On a one-armed gateway, the interface does not tell. */
static bool is_from_inside(const struct nat *nat, const struct packet_view *view)
{
    return nat->trusts_sources && policy_is_shared(nat->policy, &view->tuple.source.address);
}

static enum drop_reason translate_inbound_error(struct nat *nat, struct packet *packet,
                                                const struct packet_view *view,
                                                const struct icmp_embedded *embedded, uint64_t now)
{
    struct tuple seen = tuple_inverse(&embedded->tuple);
    enum role role;
    uint32_t slot = review_find(nat, &seen, now, &role);
    const struct session *session;
    struct tuple other;

    if (slot == INDEX_NONE || open_is_knock(nat, slot) || !quotes_external_source(nat, embedded))
        return without_session(nat, packet, view, embedded, now);
    note_error(nat, slot, (enum role) !role, view, now);
    session = &nat->table.session[slot];
    other = session_tuple(session, (enum role) !role);
    icmp_rewrite_error(view, embedded, &other, NULL, &other.source.address);
    packet->transit =
        false; /* the outbound hook gets every error, and knows it by what it quotes */
    return done(nat, packet, view);
}

/*
 * The gateway's kernel reports on a hairpin between its two passes (no route to the target, its TTL
 * ended): it quotes a packet that neither side knows. The error for the sender quotes the packet
 * that it sent.
 */
static bool translate_transit_error(struct nat *nat, struct packet *packet,
                                    const struct packet_view *view,
                                    const struct icmp_embedded *embedded, uint64_t now)
{
    enum role role;
    uint32_t slot = review_find_transit(nat, &embedded->tuple, now, &role);
    struct tuple sent;

    if (slot == INDEX_NONE ||
        !address_equal(&embedded->tuple.source.address, &view->tuple.destination.address))
        return false;
    note_error(nat, slot, role, view, now);
    sent = session_tuple(&nat->table.session[slot], role);
    icmp_rewrite_error(view, embedded, &sent, NULL, NULL);
    done(nat, packet, view);
    return true;
}

/*
 * An error about a hairpin that has passed the inbound hook: the packet that it quotes has been
 * restored, so it is as its sender sent it. What came from outside keeps its source.
 */
static uint32_t find_restored(struct nat *nat, const struct packet *packet,
                              const struct packet_view *view, const struct icmp_embedded *embedded,
                              uint64_t now, enum role *role)
{
    uint32_t slot = external_receives(nat, packet) && !is_from_inside(nat, view)
                        ? INDEX_NONE
                        : review_find(nat, &embedded->tuple, now, role);

    return slot != INDEX_NONE && nat->table.session[slot].direction == DIRECTION_HAIRPIN
               ? slot
               : INDEX_NONE;
}

/*
 * The source address of the error as the outside sees it: the address that the original packet was
 * sent to.
 */
static enum drop_reason translate_outbound_error(struct nat *nat, struct packet *packet,
                                                 const struct packet_view *view,
                                                 const struct icmp_embedded *embedded, uint64_t now)
{
    struct tuple seen = tuple_inverse(&embedded->tuple);
    const struct address *source = NULL;
    struct tuple original;
    enum role role;
    uint32_t slot = find_restored(nat, packet, view, embedded, now, &role);
    bool restored = slot != INDEX_NONE;

    if (!restored)
        slot = review_find(nat, &seen, now, &role);
    if (slot == INDEX_NONE && translate_transit_error(nat, packet, view, embedded, now))
        return DROP_NONE;
    if (slot == INDEX_NONE || open_is_knock(nat, slot) ||
        (!restored && quotes_external_source(nat, embedded)))
        return without_session(nat, packet, view, embedded, now);
    if (!restored)
        role = (enum role) !role;
    note_error(nat, slot, role, view, now);
    original = session_tuple(&nat->table.session[slot], role);
    if (external_find(nat, &view->tuple.source.address) == EXTERNAL_ADDRESSES_MAX)
        source = &original.destination.address;
    icmp_rewrite_error(view, embedded, &original, source, NULL);
    ip_id_renew(nat, packet, view);
    packet->transit = false;
    return done(nat, packet, view);
}

enum drop_reason translate_icmp_error(struct nat *nat, struct packet *packet,
                                      struct packet_view *view, uint64_t now)
{
    struct icmp_embedded embedded;
    enum drop_reason reason = icmp_parse_error(view, &embedded);

    if (reason != DROP_NONE)
        return reason;
    if (embedded.is_icmp_error)
        return without_session(nat, packet, view, &embedded, now);
    return packet->hook == HOOK_INBOUND
               ? translate_inbound_error(nat, packet, view, &embedded, now)
               : translate_outbound_error(nat, packet, view, &embedded, now);
}
