/*
 * explain.c - what the translator would do with the first packet of a connection
 */
#include "portreeve/explain.h"

#include "external.h"
#include "open.h"
#include "session.h"

/* A first packet, as far as opening asks. */
static void make_first(const struct nat *nat, const struct explain_question *question,
                       struct packet *packet, struct packet_view *view)
{
    uint32_t interface = nat->uplink[question->uplink].interface;
    bool hairpin = policy_is_shared(nat->policy, &question->from.address);

    *packet = (struct packet){.hook = question->from_outside ? HOOK_INBOUND : HOOK_OUTBOUND,
                              .in_interface = question->from_outside && !hairpin ? interface : 0,
                              .out_interface = question->from_outside ? 0 : interface};
    *view = (struct packet_view){.protocol = question->protocol,
                                 .tcp_flags = question->protocol == PROTOCOL_TCP ? TCP_SYN : 0,
                                 .icmp_type = ICMP_ECHO_REQUEST,
                                 .tuple = {question->from, question->to, question->protocol, 0}};
}

/* True if the uplink has a port for the host, one that it has already or a free one. */
static bool has_port(struct nat *nat, const struct explain_question *question, uint16_t share,
                     uint64_t now)
{
    uint32_t used, size;

    if (mapping_find_internal(&nat->table, question->protocol, &question->from, question->uplink) !=
            INDEX_NONE ||
        (question->protocol == PROTOCOL_TCP && !policy_share(nat->policy, share)->never_overload))
        return true;
    nat_pool_use(nat, share, question->protocol, now, &used, &size);
    return used < size;
}

static void explain_outbound(struct nat *nat, const struct explain_question *question,
                             const struct packet_view *view, uint64_t now,
                             struct explanation *explanation)
{
    const struct opener opener = {.host = &question->from.address, .forward = POLICY_NONE};

    explanation->share = policy_share_of(nat->policy, &question->from.address);
    explanation->is_ours =
        explanation->share != POLICY_NONE && policy_translates(nat->policy, &view->tuple);
    if (!explanation->is_ours)
        return;
    explanation->reason = session_refuses(nat, &opener, now);
    if (explanation->reason != DROP_NONE)
        return;
    if (external_nth(nat, question->uplink, 0) == EXTERNAL_ADDRESSES_MAX)
        explanation->reason = DROP_NO_EXTERNAL_ADDRESS;
    else if (!has_port(nat, question, explanation->share, now))
        explanation->reason = DROP_POOL_DRY;
}

void nat_explain(struct nat *nat, const struct explain_question *question, uint64_t now,
                 struct explanation *explanation)
{
    struct packet packet;
    struct packet_view view;

    *explanation = (struct explanation){.forward = POLICY_NONE, .share = POLICY_NONE};
    make_first(nat, question, &packet, &view);
    if (question->from_outside)
        open_explain_inbound(nat, &packet, &view, now, explanation);
    else
        explain_outbound(nat, question, &view, now, explanation);
}

#define LATELY_MS   (10 * 60 * 1000)
#define PATIENCE_MS 1000

static bool is_to(const struct session *session, uint8_t protocol, uint16_t external_port)
{
    return session->live == SLOT_LIVE && session->direction != DIRECTION_OUTBOUND &&
           session_protocol(session) == protocol &&
           session_destination(session, ROLE_INITIATOR).port == external_port;
}

static void count(const struct session *session, uint64_t now, struct explain_seen *seen)
{
    enum outcome outcome = (enum outcome)session->outcome;
    bool refused = outcome == OUTCOME_REFUSED || outcome == OUTCOME_REFUSED_BY_ICMP,
         unreachable = outcome == OUTCOME_UNREACHABLE,
         waits = session->state == STATE_OPENING || session->state == STATE_UNANSWERED,
         established = !refused && !unreachable && !waits && session->state != STATE_ANSWERED_SYN;
    uint64_t age = stored_age(session->created, now);

    if (age >= LATELY_MS)
        return;
    seen->established += established;
    seen->refused += refused;
    seen->unreachable += unreachable;
    seen->unanswered += outcome == OUTCOME_NONE && waits && age >= PATIENCE_MS;
    if (seen->tries++ == 0 || age < seen->last_age_ms) {
        seen->last_age_ms = age;
        seen->last_is_established = established;
        seen->last_is_refused = refused;
        seen->last_is_unreachable = unreachable;
    }
}

void nat_explain_seen(const struct nat *nat, uint8_t protocol, uint16_t external_port,
                      uint32_t from, uint32_t slots, uint64_t now, struct explain_seen *seen)
{
    for (uint32_t slot = from; slots > 0 && slot < nat->table.capacity; slot++, slots--) {
        if (is_to(&nat->table.session[slot], protocol, external_port))
            count(&nat->table.session[slot], now, seen);
    }
}
