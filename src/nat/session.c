/*
 * session.c - all sessions begin and end here
 *
 * Every change of the table passes session_open, session_change_state and session_close: events are
 * published here, and a second gateway would be informed from here.
 */
#include "session.h"

#include "census.h"
#include "event_internal.h"
#include "forward_count.h"
#include "mapping.h"
#include "offload_entries.h"
#include "outcome.h"
#include "outside.h"
#include "session_facts.h"

/*
 * A full table removes closed sessions first, then unanswered ones, and never established ones.
 */
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

/* Counts one more session of this host, if its limits allow it. */
static enum drop_reason take_host(struct nat *nat, const struct address *host, uint64_t now)
{
    const struct limits *limits = policy_limits_const(nat->policy);
    uint32_t index = host_get(&nat->table, host, limits->sessions_per_host);

    if (index == INDEX_NONE)
        return DROP_HOST_LIMIT;
    if (limits->new_sessions_per_host > 0 &&
        !host_take_token(&nat->table, index, limits->new_sessions_per_host, now)) {
        host_put(&nat->table, index);
        return DROP_HOST_RATE;
    }
    return DROP_NONE;
}

/* Of so many of the oldest unanswered sessions, one of the outside is taken. */
#define EVICTION_LOOKS 16

static uint32_t find_unanswered_from_outside(const struct nat *nat)
{
    uint32_t slot = table_oldest(&nat->table, AGE_UNANSWERED);

    for (int looks = 0; slot != INDEX_NONE && looks < EVICTION_LOOKS; looks++) {
        if (nat->table.session[slot].has_remote)
            return slot;
        slot = table_younger(&nat->table, slot);
    }
    return INDEX_NONE;
}

static bool evict_from_outside(struct nat *nat, uint64_t now)
{
    uint32_t slot = find_unanswered_from_outside(nat);

    if (slot != INDEX_NONE)
        session_close(nat, slot, CLOSE_EVICTED, now);
    return slot != INDEX_NONE;
}

/* Where the outside has all that it may have, its unanswered sessions give way. */
static enum drop_reason admit_remote(struct nat *nat, const struct address *remote,
                                     uint16_t forward, uint64_t now)
{
    enum drop_reason reason = outside_admit(nat, remote, forward, now);

    return reason == DROP_OUTSIDE_LIMIT && evict_from_outside(nat, now) ? DROP_NONE : reason;
}

/* The session counts from here on. */
static void enter_opener(struct nat *nat, struct session *session, const struct opener *opener)
{
    if (opener->host != NULL) {
        session->has_host = true;
        session->sent[ROLE_INITIATOR].source = compact_address_of(opener->host);
    } else if (opener->remote != NULL) {
        session->sent[ROLE_INITIATOR].source = compact_address_of(opener->remote);
        session->epoch = nat->epoch;
        session_set_side(session, ROLE_RESPONDER, INDEX_NONE, opener->forward);
        outside_enter(nat, session);
    }
}

enum drop_reason session_reserve(struct nat *nat, const struct opener *opener, uint64_t now,
                                 uint32_t *slot)
{
    enum drop_reason reason = DROP_NONE;

    if (opener->host != NULL)
        reason = take_host(nat, opener->host, now);
    else if (opener->remote != NULL)
        reason = admit_remote(nat, opener->remote, opener->forward, now);
    if (reason != DROP_NONE)
        return reason;
    *slot = table_allocate(&nat->table);
    if (*slot == INDEX_NONE && evict_one(nat, now))
        *slot = table_allocate(&nat->table);
    if (*slot == INDEX_NONE) {
        if (opener->host != NULL)
            host_put(&nat->table, host_find(&nat->table, opener->host));
        return DROP_TABLE_FULL;
    }
    enter_opener(nat, &nat->table.session[*slot], opener);
    return DROP_NONE;
}

static bool can_evict(const struct nat *nat)
{
    return table_oldest(&nat->table, AGE_CLOSED) != INDEX_NONE ||
           table_oldest(&nat->table, AGE_UNANSWERED) != INDEX_NONE;
}

static enum drop_reason host_refuses(struct nat *nat, const struct address *host, uint64_t now)
{
    const struct limits *limits = policy_limits_const(nat->policy);
    uint32_t index = host_find(&nat->table, host);
    enum drop_reason reason = DROP_NONE;

    if (index == INDEX_NONE)
        return DROP_NONE;
    if (nat->table.host[index].sessions >= limits->sessions_per_host)
        reason = DROP_HOST_LIMIT;
    else if (limits->new_sessions_per_host > 0 &&
             !host_has_token(&nat->table, index, limits->new_sessions_per_host, now))
        reason = DROP_HOST_RATE;
    return reason;
}

enum drop_reason session_refuses(struct nat *nat, const struct opener *opener, uint64_t now)
{
    enum drop_reason reason = DROP_NONE;

    if (opener->host != NULL)
        reason = host_refuses(nat, opener->host, now);
    else if (opener->remote != NULL)
        reason = outside_refuses(nat, opener->remote, opener->forward, now);
    if (reason == DROP_OUTSIDE_LIMIT && find_unanswered_from_outside(nat) != INDEX_NONE)
        reason = DROP_NONE;
    if (reason == DROP_NONE && nat->table.live == nat->table.capacity && !can_evict(nat))
        reason = DROP_TABLE_FULL;
    return reason;
}

/* The session is no longer its host's, nor a remote's. */
static void put_opener(struct nat *nat, struct session *session)
{
    struct address host = session_source(session, ROLE_INITIATOR).address;

    if (session->has_host) {
        census_host(&nat->table, session, CENSUS_LESS);
        host_put(&nat->table, host_find(&nat->table, &host));
    }
    session->has_host = false;
    outside_leave(nat, session);
}

void session_abandon(struct nat *nat, uint32_t slot)
{
    put_opener(nat, &nat->table.session[slot]);
    table_cancel(&nat->table, slot);
}

void session_fill(struct nat *nat, struct session *session, const struct session_plan *plan)
{
    session_set_share(session, plan->share);
    for (int role = 0; role < 2; role++) {
        session_set_side(session, (enum role)role, plan->mapping[role], plan->forward[role]);
        if (plan->mapping[role] != INDEX_NONE)
            nat->table.mapping[plan->mapping[role]].sessions++;
    }
}

void session_open(struct nat *nat, uint32_t slot, const struct session_plan *plan, uint64_t now)
{
    struct session *session = &nat->table.session[slot];

    session_set_tuples(session, plan->tuple);
    session_fill(nat, session, plan);
    session->epoch = nat->epoch;
    session->direction = plan->direction & 3;
    session->state = plan->tuple[0].protocol == PROTOCOL_TCP ? STATE_OPENING : STATE_UNANSWERED;
    table_activate(&nat->table, slot, session_idle_limit(nat, session), now);
    nat->counters.opened++;
    forward_count_opened(nat, plan->forward[ROLE_RESPONDER]);
    event_publish(nat, EVENT_OPENED, slot, now);
}

/* The side that opens the connection is one of a share's hosts, which counts what it opens. */
static bool opener_counts(const struct nat *nat, const struct session *session, enum role opener)
{
    enum role remote = session->direction == DIRECTION_OUTBOUND ? ROLE_RESPONDER : ROLE_INITIATOR;
    struct address host = session_source(session, opener).address;

    return (session->direction == DIRECTION_HAIRPIN || opener != remote) &&
           policy_is_shared(nat->policy, &host);
}

enum drop_reason session_reopen(struct nat *nat, uint32_t slot, enum role opener, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    struct address host = session_source(session, opener).address;
    bool counts = opener_counts(nat, session, opener),
         is_remote =
             !counts && session->direction ==
                            (opener == ROLE_INITIATOR ? DIRECTION_INBOUND : DIRECTION_OUTBOUND);
    enum drop_reason reason = DROP_NONE;

    if (counts)
        reason = take_host(nat, &host, now);
    else if (is_remote)
        reason = admit_remote(nat, &host, session_forward(session, (enum role) !opener), now);
    if (reason != DROP_NONE)
        return reason;
    if (opener == ROLE_RESPONDER) {
        session->tcp = (struct tcp_track){0};
        table_reverse(&nat->table, slot);
    }
    session->has_host = counts;
    if (counts)
        census_host(&nat->table, session, CENSUS_MORE);
    if (is_remote)
        outside_enter(nat, session);
    return DROP_NONE;
}

/* Counts a live session as its host's, whatever the limit. */
static void enter_host(struct nat *nat, struct session *session)
{
    struct address host = session_source(session, ROLE_INITIATOR).address;

    session->has_host = host_get(&nat->table, &host, UINT32_MAX) != INDEX_NONE;
    if (session->has_host)
        census_host(&nat->table, session, CENSUS_MORE);
}

/*
 * A closed session waits for late packets only, so it does not count as its opener's. After an RST
 * it may continue (RFC 7857 section 2.2); then it counts again, whatever the limit.
 */
static void count_by_state(struct nat *nat, struct session *session)
{
    if (session_age_list(session) == AGE_CLOSED)
        put_opener(nat, session);
    else if (!session->has_host && opener_counts(nat, session, ROLE_INITIATOR))
        enter_host(nat, session);
    else if (!session->has_remote && session->direction == DIRECTION_INBOUND)
        outside_enter(nat, session);
}

void session_close(struct nat *nat, uint32_t slot, enum close_reason reason, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    uint32_t mapping[2] = {session_mapping(session, ROLE_INITIATOR),
                           session_mapping(session, ROLE_RESPONDER)};
    bool tracked_close = session->state == STATE_CLOSED || session->state == STATE_RESET;

    outcome_tell(nat, slot, now);
    event_publish_close(nat, slot, reason, now);
    offload_end(nat, slot);
    nat->counters.closed[reason]++;
    put_opener(nat, session);
    table_remove(&nat->table, slot);
    for (int role = 0; role < 2; role++) {
        if (mapping[role] == INDEX_NONE)
            continue;
        nat->table.mapping[mapping[role]].sessions--;
        mapping_release_unused(nat, mapping[role], !tracked_close, now);
    }
}

void session_change_state(struct nat *nat, uint32_t slot, enum session_state state, enum role from,
                          uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    uint32_t before = session_idle_limit(nat, session), after;
    enum outcome outcome = outcome_of_change((enum session_state)session->state, state, from);
    enum age_list list = session_age_list(session);
    uint64_t waited = session_idle(session, now);

    if (session_protocol(session) == PROTOCOL_TCP)
        session->last_seen = (uint32_t)now;
    table_set_state(&nat->table, slot, state);
    if ((list == AGE_CLOSED) != (session_age_list(session) == AGE_CLOSED))
        count_by_state(nat, session);
    after = session_idle_limit(nat, session);
    if (after < before)
        table_rearm(&nat->table, slot, now + after * UINT64_C(1000));
    offload_state_changed(nat, slot);
    if (state == STATE_ESTABLISHED)
        event_publish(nat, EVENT_ESTABLISHED, slot, now);
    outcome_set(nat, slot, outcome, NULL, waited, now);
}

void session_saw_reset(struct nat *nat, uint32_t slot, const struct tcp_segment *segment,
                       enum role from, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    enum session_state state = (enum session_state)session->state, next;

    if (!tcp_reset_is_plausible(&session->tcp, state, segment, from))
        return;
    next = tcp_next_state(state, segment->flags, from);
    if (next != state)
        session_change_state(nat, slot, next, from, now);
}

void session_check_deadline(struct nat *nat, uint32_t slot, uint64_t now)
{
    const struct session *session = &nat->table.session[slot];
    uint64_t due = session_due(nat, session, now);

    if (due <= now)
        session_close(nat, slot, CLOSE_EXPIRED, now);
    else
        table_rearm(&nat->table, slot, due);
}
