/*
 * shortage.c - pools, the session table and the limits of hosts that are nearly used up
 *
 * Packets are not slowed down: everything is found out once a second. Whether a pool is short is
 * known without counting its ports, as a rule (nat_pool_is_short). The hosts are looked at in
 * steps; who holds most of a pool is asked only when its notice is written.
 */
#include "shortage.h"

#include "portreeve/text.h"

#include <stdio.h>
#include <string.h>

#define HIGH_PERCENT 80
#define LOW_PERCENT  70
#define STAYS_MS     60000

/* Hosts that are looked at before the lock is released: 16 KiB. */
#define HOSTS_AT_ONCE 512

struct hosts {
    struct nat_most sessions, mappings;
    uint64_t all_sessions;
};

/* Looks at all hosts; mappings are those of the protocol and of the share's pool (nat_most_of). */
static struct hosts look_at_hosts(struct gateway *gateway, uint16_t share, uint8_t protocol)
{
    struct nat_survey survey = {.share = share, .protocol = protocol};
    bool more = true;

    while (more) {
        more = nat_survey_hosts(gateway_lock(gateway), &survey, HOSTS_AT_ONCE);
        gateway_unlock(gateway);
    }
    return (struct hosts){survey.sessions, survey.mappings, survey.all_sessions};
}

static bool reaches(uint32_t used, uint32_t size, uint32_t percent)
{
    return size > 0 && (uint64_t)used * 100 >= (uint64_t)size * percent;
}

/* How much must be used now for this notice to be there. */
static uint32_t mark_of(const struct shortage *shortage)
{
    return shortage->is_high ? LOW_PERCENT : HIGH_PERCENT;
}

/* True when the notice must be written, or written anew because someone else holds most. */
static bool is_news(const struct shortage *shortage, const struct nat_most *most, uint64_t now)
{
    return !shortage->is_high || (now - shortage->said >= STAYS_MS && most->count > 0 &&
                                  !address_equal(&most->host, &shortage->most.host));
}

static void end_if_old(struct shortage *shortage, uint64_t now)
{
    if (now - shortage->said >= STAYS_MS)
        shortage->is_high = false;
}

/* ---- pools ---- */

static void check_pool(struct shortage *shortage, struct gateway *gateway, uint16_t share,
                       uint8_t protocol, uint64_t now)
{
    struct nat_pool_level level;
    bool is_short =
        nat_pool_is_short(gateway_lock(gateway), share, protocol, mark_of(shortage), now, &level);
    bool ask = !shortage->is_high || now - shortage->said >= STAYS_MS;
    struct nat_most most;

    gateway_unlock(gateway);
    if (!is_short) {
        end_if_old(shortage, now);
        return;
    }
    if (!ask)
        return;
    most = look_at_hosts(gateway, share, protocol).mappings;
    if (is_news(shortage, &most, now))
        *shortage = (struct shortage){
            .used = level.used, .size = level.size, .address = level.address, .most = most};
    shortage->is_high = true;
    shortage->said = now;
}

static void note_pool(const struct shortage *shortage, struct notices *notices,
                      const struct share *share, const struct protocol *protocol)
{
    const char *what = protocol_has_ports(protocol->number) ? "ports" : "ids";
    char external[ADDRESS_TEXT_MAX], host[ADDRESS_TEXT_MAX], holder[ADDRESS_TEXT_MAX + 64] = "";

    if (shortage->most.count > 0)
        snprintf(holder, sizeof(holder), "; %s holds the most: %u",
                 text_format_address(&shortage->most.host, host), shortage->most.count);
    notices_add(notices, "pool-nearly-dry",
                "[share %s]: %u of the %u %s %s of %s are in use or rest (%u %%)%s", share->name,
                shortage->used, shortage->size, protocol->name, what,
                text_format_address(&shortage->address, external),
                (unsigned)((uint64_t)shortage->used * 100 / shortage->size), holder);
}

/* Shares with the same ports have one pool, which is told of once. */
static bool has_pool_of_earlier(const struct policy *policy, uint16_t share)
{
    for (uint16_t earlier = 0; earlier < share; earlier++) {
        if (policy_pool(policy, earlier, PROTOCOL_TCP) == policy_pool(policy, share, PROTOCOL_TCP))
            return true;
    }
    return false;
}

static void check_pools(struct shortages *shortages, struct gateway *gateway,
                        struct notices *notices, uint64_t now)
{
    const struct policy *policy = gateway_policy(gateway);

    notices_begin(notices, "pool-nearly-dry");
    for (uint16_t share = 0; share < policy_share_count(policy); share++) {
        for (enum protocol_index p = 0; p < PROTOCOL_COUNT; p++) {
            struct shortage *shortage = &shortages->pool[share][p];

            if (has_pool_of_earlier(policy, share))
                shortage->is_high = false;
            else
                check_pool(shortage, gateway, share, protocol_table[p].number, now);
            if (shortage->is_high)
                note_pool(shortage, notices, policy_share(policy, share), &protocol_table[p]);
        }
    }
    notices_end(notices, "pool-nearly-dry");
}

/* ---- the table ---- */

static void check_table(struct shortage *shortage, struct gateway *gateway,
                        const struct hosts *hosts, uint64_t now)
{
    struct nat_summary summary;

    nat_summarize(gateway_lock(gateway), &summary);
    gateway_unlock(gateway);
    if (!reaches(summary.sessions, summary.sessions_max, mark_of(shortage))) {
        end_if_old(shortage, now);
        return;
    }
    if (!is_news(shortage, &hosts->sessions, now))
        return;
    *shortage = (struct shortage){
        .is_high = true,
        .said = now,
        .used = summary.sessions,
        .size = summary.sessions_max,
        .most = hosts->sessions,
        .most_from_inside = hosts->all_sessions >= summary.sessions / 2,
    };
}

static void note_table(const struct shortage *shortage, struct notices *notices)
{
    char host[ADDRESS_TEXT_MAX];

    if (!shortage->is_high)
        notices_clear(notices, "table-nearly-full");
    else if (shortage->most_from_inside)
        notices_set(notices, "table-nearly-full",
                    "the session table is %u %% full: raise [limits] sessions; %s has opened the "
                    "most of its %u sessions: %u",
                    (unsigned)((uint64_t)shortage->used * 100 / shortage->size),
                    text_format_address(&shortage->most.host, host), shortage->used,
                    shortage->most.count);
    else
        notices_set(notices, "table-nearly-full",
                    "the session table is %u %% full: raise [limits] sessions; most of its %u "
                    "sessions are closed, or were opened from outside",
                    (unsigned)((uint64_t)shortage->used * 100 / shortage->size), shortage->used);
}

/* ---- the limits of hosts ---- */

/* `limit` 0: there is none. */
static void check_host(struct shortage *shortage, const struct nat_most *most, uint32_t limit,
                       uint64_t now)
{
    if (!reaches(most->count, limit, mark_of(shortage)) ||
        (shortage->is_high && shortage->size != limit)) {
        end_if_old(shortage, now);
        return;
    }
    if (is_news(shortage, most, now))
        *shortage = (struct shortage){
            .is_high = true, .said = now, .used = most->count, .size = limit, .most = *most};
}

static void note_host(const struct shortage *shortage, struct notices *notices, const char *what,
                      const char *key)
{
    char host[ADDRESS_TEXT_MAX];

    if (shortage->is_high)
        notices_add(notices, "host-near-limit",
                    "%s has %u of the %u %s that one host may have: [limits] %s",
                    text_format_address(&shortage->most.host, host), shortage->used, shortage->size,
                    what, key);
}

/* ---- what the outside may have ---- */

/* Who holds most is asked only if it can matter: that is a look at a megabyte. */
static void check_outside(struct shortages *shortages, struct gateway *gateway, uint64_t now)
{
    struct nat *nat = gateway_lock(gateway);
    struct nat_most remote = {.count = 0}, all;
    struct nat_summary summary;

    nat_summarize(nat, &summary);
    if (reaches(summary.outside, summary.remote_max, LOW_PERCENT) ||
        reaches(summary.outside, summary.outside_max, LOW_PERCENT))
        remote = nat_busiest_remote(nat);
    gateway_unlock(gateway);
    all = (struct nat_most){remote.host, summary.outside};
    check_host(&shortages->remote, &remote, summary.remote_max, now);
    check_host(&shortages->outside, &all, summary.outside_max, now);
}

static void note_outside(const struct shortages *shortages, struct notices *notices)
{
    const struct shortage *remote = &shortages->remote, *outside = &shortages->outside;
    char text[ADDRESS_TEXT_MAX];

    notices_begin(notices, "outside-near-limit");
    if (remote->is_high)
        notices_add(notices, "outside-near-limit",
                    "%s outside has %u of the %u sessions that one remote may have: [limits] "
                    "sessions-per-remote",
                    text_format_address(&remote->most.host, text), remote->used, remote->size);
    if (outside->is_high)
        notices_add(notices, "outside-near-limit",
                    "remotes have %u of the %u sessions that the outside may have: [limits] "
                    "sessions-from-outside; %s has the most",
                    outside->used, outside->size, text_format_address(&outside->most.host, text));
    notices_end(notices, "outside-near-limit");
}

/* The forward that is nearest to its limit. */
static void check_forwards(struct shortages *shortages, struct gateway *gateway, uint64_t now)
{
    const struct policy *policy = gateway_policy(gateway);
    const struct forward *fullest = NULL;
    struct nat_most most = {.count = 0};

    for (uint16_t i = 0; i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);
        uint32_t used;

        if (forward->sessions == 0)
            continue;
        used = nat_forward_use(gateway_lock(gateway), i);
        gateway_unlock(gateway);
        if (fullest == NULL ||
            (uint64_t)used * fullest->sessions > (uint64_t)most.count * forward->sessions) {
            fullest = forward;
            most.count = used;
        }
    }
    if (fullest != NULL && strcmp(fullest->name, shortages->forward_name) != 0) {
        shortages->forward.is_high = false;
        snprintf(shortages->forward_name, sizeof(shortages->forward_name), "%s", fullest->name);
    }
    check_host(&shortages->forward, &most, fullest != NULL ? fullest->sessions : 0, now);
}

static void note_forward(const struct shortages *shortages, struct notices *notices)
{
    const struct shortage *forward = &shortages->forward;

    if (!forward->is_high)
        notices_clear(notices, "forward-near-limit");
    else
        notices_set(notices, "forward-near-limit",
                    "forward '%s' has %u of the %u sessions that it may have",
                    shortages->forward_name, forward->used, forward->size);
}

void shortages_check(struct shortages *shortages, struct gateway *gateway, struct notices *notices,
                     uint64_t now)
{
    const struct limits *limits = policy_limits_const(gateway_policy(gateway));
    struct hosts hosts = look_at_hosts(gateway, POLICY_NONE, 0);

    check_pools(shortages, gateway, notices, now);
    check_table(&shortages->table, gateway, &hosts, now);
    note_table(&shortages->table, notices);
    check_host(&shortages->host_sessions, &hosts.sessions, limits->sessions_per_host, now);
    check_host(&shortages->host_mappings, &hosts.mappings, limits->mappings_per_host, now);
    notices_begin(notices, "host-near-limit");
    note_host(&shortages->host_sessions, notices, "sessions", "sessions-per-host");
    note_host(&shortages->host_mappings, notices, "external ports", "mappings-per-host");
    notices_end(notices, "host-near-limit");
    check_outside(shortages, gateway, now);
    note_outside(shortages, notices);
    check_forwards(shortages, gateway, now);
    note_forward(shortages, notices);
}
