/*
 * outside.c - what the outside may have: sessions that remotes have opened
 */
#include "outside.h"

#include "census.h"
#include "table_internal.h"

#include <stdlib.h>
#include <string.h>

#define REMOTE_COUNTERS 16384
#define PER_REMOTE_MIN  4096

#define FORWARD_COUNTERS (POLICY_NONE + 1u) /* the last is of sessions by none: never read */

bool outside_init(struct nat *nat)
{
    nat->outside.remote = calloc(REMOTE_COUNTERS, sizeof(*nat->outside.remote));
    nat->outside.forward = calloc(FORWARD_COUNTERS, sizeof(*nat->outside.forward));
    return nat->outside.remote != NULL && nat->outside.forward != NULL;
}

void outside_fini(struct nat *nat)
{
    free(nat->outside.remote);
    free(nat->outside.forward);
}

size_t outside_memory(void)
{
    return REMOTE_COUNTERS * sizeof(struct remote_count) + FORWARD_COUNTERS * sizeof(uint32_t);
}

/* Limits of 0 are none: the table has no more. */
uint32_t outside_limit(const struct policy *policy)
{
    const struct limits *limits = policy_limits_const(policy);

    return limits->sessions_from_outside > 0 ? limits->sessions_from_outside : limits->sessions;
}

uint32_t outside_limit_of_remote(const struct policy *policy)
{
    const struct limits *limits = policy_limits_const(policy);

    return limits->sessions_per_remote > 0 ? limits->sessions_per_remote : limits->sessions;
}

static struct remote_count *count_of(const struct nat *nat, compact_address remote)
{
    const struct table_key key = {{remote, 0, 0, 0}, 0, NODE_REMOTE, 0};

    return &nat->outside.remote[table_hash(&nat->table, &key) % REMOTE_COUNTERS];
}

/* As host_take_token, but it takes none. A rate of 0 is no limit. */
static bool has_token(struct rate_bucket *bucket, uint32_t rate, uint64_t now)
{
    uint32_t passed = (uint32_t)now - bucket->filled;
    uint64_t full = rate * UINT64_C(1000), tokens = bucket->tokens + (uint64_t)passed * rate;

    bucket->tokens = (uint32_t)(tokens < full ? tokens : full);
    bucket->filled = (uint32_t)now;
    return rate == 0 || bucket->tokens >= 1000;
}

static void take_token(struct rate_bucket *bucket, uint32_t rate)
{
    if (rate > 0)
        bucket->tokens -= 1000;
}

static enum drop_reason rate_refuses(const struct nat *nat, struct remote_count *count,
                                     uint16_t forward, uint64_t now)
{
    if (!has_token(&count->bucket, policy_limits_const(nat->policy)->new_sessions_per_remote, now))
        return DROP_REMOTE_RATE;
    if (forward != POLICY_NONE &&
        !has_token(policy_forward_bucket(nat->policy, forward),
                   policy_forward(nat->policy, forward)->new_sessions, now))
        return DROP_FORWARD_RATE;
    return DROP_NONE;
}

enum drop_reason outside_refuses(struct nat *nat, const struct address *remote, uint16_t forward,
                                 uint64_t now)
{
    const struct limits *limits = policy_limits_const(nat->policy);
    struct remote_count *count = count_of(nat, compact_address_of(remote));
    uint32_t most = forward == POLICY_NONE ? 0 : policy_forward(nat->policy, forward)->sessions;
    enum drop_reason reason;

    if (limits->sessions_per_remote > 0 && count->sessions >= limits->sessions_per_remote)
        return DROP_REMOTE_LIMIT;
    if (most > 0 && nat->outside.forward[forward] >= most)
        return DROP_FORWARD_LIMIT;
    reason = rate_refuses(nat, count, forward, now);
    if (reason == DROP_NONE && limits->sessions_from_outside > 0 &&
        nat->outside.sessions >= limits->sessions_from_outside)
        reason = DROP_OUTSIDE_LIMIT;
    return reason;
}

/* What one limit refuses costs no token of another, but for the last one: there may be room. */
enum drop_reason outside_admit(struct nat *nat, const struct address *remote, uint16_t forward,
                               uint64_t now)
{
    enum drop_reason reason = outside_refuses(nat, remote, forward, now);

    if (reason != DROP_NONE && reason != DROP_OUTSIDE_LIMIT)
        return reason;
    take_token(&count_of(nat, compact_address_of(remote))->bucket,
               policy_limits_const(nat->policy)->new_sessions_per_remote);
    if (forward != POLICY_NONE)
        take_token(policy_forward_bucket(nat->policy, forward),
                   policy_forward(nat->policy, forward)->new_sessions);
    return reason;
}

/* POLICY_NONE: it is not by a forward, or of a policy before this one. */
static uint16_t counted_forward(const struct nat *nat, const struct session *session)
{
    return session->epoch == nat->epoch ? session_forward(session, ROLE_RESPONDER) : POLICY_NONE;
}

void outside_enter(struct nat *nat, struct session *session)
{
    struct remote_count *count = count_of(nat, session->sent[ROLE_INITIATOR].source);

    session->has_remote = true;
    count->sessions++;
    count->latest = session->sent[ROLE_INITIATOR].source;
    nat->outside.sessions++;
    nat->outside.forward[counted_forward(nat, session)]++;
    census_remote(&nat->table, session, CENSUS_MORE);
}

void outside_leave(struct nat *nat, struct session *session)
{
    if (!session->has_remote)
        return;
    session->has_remote = false;
    count_of(nat, session->sent[ROLE_INITIATOR].source)->sessions--;
    nat->outside.sessions--;
    nat->outside.forward[counted_forward(nat, session)]--;
    census_remote(&nat->table, session, CENSUS_LESS);
}

void outside_begin_review(struct nat *nat)
{
    memset(nat->outside.forward, 0, FORWARD_COUNTERS * sizeof(*nat->outside.forward));
}

void outside_reviewed(struct nat *nat, const struct session *session)
{
    if (session->has_remote)
        nat->outside.forward[session_forward(session, ROLE_RESPONDER)]++;
}

struct nat_most nat_busiest_remote(const struct nat *nat)
{
    struct nat_most most = {.count = 0};

    for (size_t i = 0; i < REMOTE_COUNTERS; i++) {
        const struct remote_count *count = &nat->outside.remote[i];

        if (count->sessions > most.count)
            most = (struct nat_most){compact_address_expand(count->latest), count->sessions};
    }
    return most;
}

bool outside_adds_up(const struct nat *nat)
{
    uint32_t of_remotes = 0, of_forwards = 0;

    for (size_t i = 0; i < REMOTE_COUNTERS; i++)
        of_remotes += nat->outside.remote[i].sessions;
    for (size_t i = 0; i < policy_forward_count(nat->policy); i++)
        of_forwards += nat->outside.forward[i];
    return of_remotes == nat->outside.sessions && of_forwards <= of_remotes;
}

uint32_t nat_forward_use(const struct nat *nat, uint16_t forward)
{
    return nat->outside.forward[forward];
}
