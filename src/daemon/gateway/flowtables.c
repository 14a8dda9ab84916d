/*
 * flowtables.c - keeps what is translated out of other programs' flowtables
 *
 * As long as there is a flowtable, new connections get a helper of connection tracking
 * (ruleset_set_flowtables), and older ones of our hosts are deleted from connection tracking
 * (tracked_forget), also when other hosts become ours. Where there can be no helper, connections
 * are dropped: nothing leaves with a private source. Nothing of that exists on a host without a
 * flowtable: it costs connection tracking.
 */
#include "flowtables.h"

#include "hosts.h"
#include "portreeve/log.h"
#include "portreeve/neighbours.h"
#include "portreeve/tracked.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define NOTICE "flowtable"

/* News may be missed, and the walk is repeated. */
#define PAUSE_MS 2000

/*
 * A connection whose first packet is between our chain and its confirmation while the rules are
 * installed gets no helper and is not in the list yet. The next walks find it.
 */
#define WALKS 3

/* To remove the helper. Another network namespace may use it, too. */
#define TRIES 5

#define OWN_MAX 256

struct finds {
    struct neighbour list[8];
    size_t count;
};

static void take(void *context, const struct neighbour *neighbour)
{
    struct finds *finds = context;

    if (finds->count < sizeof(finds->list) / sizeof(finds->list[0]))
        finds->list[finds->count++] = *neighbour;
}

/* Connections of the gateway itself are never forwarded. */
static size_t collect_own(struct address *own)
{
    struct ifaddrs *interfaces;
    size_t count = 0;

    if (getifaddrs(&interfaces) < 0)
        return 0;
    for (const struct ifaddrs *one = interfaces; one != NULL && count < OWN_MAX;
         one = one->ifa_next) {
        if (one->ifa_addr != NULL && one->ifa_addr->sa_family == AF_INET)
            own[count++] = address_from_ipv4(
                ntohl(((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr.s_addr));
    }
    freeifaddrs(interfaces);
    return count;
}

/* Another number for other bytes (FNV-1a). */
static uint32_t mix(uint32_t sum, const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ ((const uint8_t *)data)[i]) * 16777619u;
    return sum;
}

static uint32_t sum_of(const struct tracked_scope *scope)
{
    uint32_t sum = 2166136261u;

    for (size_t i = 0; i < scope->source_count; i++) {
        sum = mix(sum, &scope->sources[i].address, sizeof(scope->sources[i].address));
        sum = mix(sum, &scope->sources[i].length, sizeof(scope->sources[i].length));
    }
    return mix(sum, scope->targets, scope->target_count * sizeof(*scope->targets));
}

static void walk(struct gateway *gateway, struct tracked_scope *scope)
{
    const uint32_t hosts = sum_of(scope);
    struct address own[OWN_MAX];
    struct error error = {0};
    int deleted;

    if (gateway->flowtables.hosts != hosts)
        gateway->flowtables.walks = WALKS;
    gateway->flowtables.hosts = hosts;
    if (gateway->flowtables.walks == 0)
        return;
    gateway->flowtables.walks--;
    scope->own = own;
    scope->own_count = collect_own(own);
    deleted = tracked_forget(scope, &error);
    if (deleted < 0)
        log_warning("%s", error.text);
    else if (deleted > 0)
        log_info("%d connections deleted from connection tracking, so that no flowtable has them",
                 deleted);
}

/* As a scope wants them. Free it. NULL without memory. */
static uint32_t *collect_targets(const struct policy *policy, size_t *count)
{
    struct address *addresses = hosts_targets(policy, count);
    uint32_t *targets = addresses != NULL ? calloc(*count + 1, sizeof(*targets)) : NULL;

    if (targets != NULL) {
        for (size_t i = 0; i < *count; i++)
            targets[i] = address_to_ipv4(&addresses[i]);
        tracked_sort(targets, *count);
    }
    free(addresses);
    return targets;
}

static void forget_older(struct gateway *gateway)
{
    struct tracked_scope scope = {0};
    struct prefix *sources = hosts_sources(gateway->active, &scope.source_count);
    uint32_t *targets = collect_targets(gateway->active, &scope.target_count);

    if (sources != NULL && targets != NULL) {
        scope.sources = sources;
        scope.targets = targets;
        walk(gateway, &scope);
    }
    free(sources);
    free(targets);
}

static const char *consequence(const struct gateway *gateway)
{
    if (ruleset_get_flowtables(gateway->ruleset) == FLOWTABLES_CLOSED)
        return "portreeve cannot keep connections out of it here, so it drops those of shares and "
               "forwards";
    return "what it takes over leaves with private sources";
}

static void notice(struct gateway *gateway, const struct finds *finds)
{
    bool avoided = ruleset_get_flowtables(gateway->ruleset) == FLOWTABLES_AVOIDED;

    notices_begin(&gateway->notices, NOTICE);
    for (size_t i = 0; i < finds->count && !avoided; i++)
        notices_add(&gateway->notices, NOTICE, "flowtable %.48s of table %s %.48s: %s. Delete it",
                    finds->list[i].name, neighbour_family(&finds->list[i]), finds->list[i].table,
                    consequence(gateway));
    notices_end(&gateway->notices, NOTICE);
}

/* A kernel that cannot have the helper will not have it a moment later. */
static void begin_to_keep_out(struct gateway *gateway, const struct neighbour *flowtable)
{
    struct error error = {0};

    if (!gateway->flowtables.failed) {
        if (ruleset_set_flowtables(gateway->ruleset, FLOWTABLES_AVOIDED, &error) == 0) {
            gateway->flowtables.walks = WALKS;
            log_notice("flowtable %.48s of table %s %.48s: connections of shares and forwards stay "
                       "out of it",
                       flowtable->name, neighbour_family(flowtable), flowtable->table);
            return;
        }
        log_warning("%s", error.text);
        gateway->flowtables.failed = true;
    }
    if (ruleset_get_flowtables(gateway->ruleset) == FLOWTABLES_CLOSED)
        return;
    if (ruleset_set_flowtables(gateway->ruleset, FLOWTABLES_CLOSED, &error) < 0)
        log_warning("%s", error.text);
    gateway->flowtables.walks = WALKS;
}

static void keep_out(struct gateway *gateway, const struct finds *finds)
{
    gateway->flowtables.gone_since = 0;
    if (ruleset_get_flowtables(gateway->ruleset) != FLOWTABLES_AVOIDED)
        begin_to_keep_out(gateway, &finds->list[0]);
    if (ruleset_get_flowtables(gateway->ruleset) != FLOWTABLES_IGNORED)
        forget_older(gateway);
}

/* The counters of rules go with them. */
static void keep_count(struct gateway *gateway)
{
    struct ruleset_hits hits;

    if (ruleset_get_flowtables(gateway->ruleset) == FLOWTABLES_CLOSED &&
        ruleset_read_hits(gateway->ruleset, &hits) == 0) {
        gateway->former_hits.closed += hits.closed;
        gateway->hits.closed = 0;
    }
}

static void let_go(struct gateway *gateway)
{
    bool avoids = ruleset_get_flowtables(gateway->ruleset) != FLOWTABLES_IGNORED;
    struct error error = {0};
    int result;

    if (gateway->flowtables.gone_since == 0)
        gateway->flowtables.gone_since = gateway_now();
    if (avoids && gateway_now() - gateway->flowtables.gone_since < GATEWAY_HOLD_MS)
        return;
    if (avoids) {
        gateway->flowtables.tries = TRIES;
        gateway->flowtables.failed = false;
        keep_count(gateway);
    }
    if (gateway->flowtables.tries == 0)
        return;
    result = ruleset_set_flowtables(gateway->ruleset, FLOWTABLES_IGNORED, &error);
    gateway->flowtables.tries = result == 0 ? 0 : gateway->flowtables.tries - 1;
    if (result < 0)
        log_warning("%s", error.text);
    else if (avoids)
        log_notice("there is no flowtable any more: connections are not kept out of one");
}

void gateway_check_flowtables(struct gateway *gateway)
{
    struct finds finds = {.count = 0};
    struct error error = {0};

    if (gateway->neighbours == NULL || (!neighbours_flowtables_changed(gateway->neighbours) &&
                                        gateway_now() < gateway->flowtables.due))
        return;
    gateway->flowtables.due = gateway_now() + PAUSE_MS;
    if (neighbours_read_flowtables(gateway->neighbours, take, &finds, &error) < 0) {
        log_warning("%s", error.text);
        return;
    }
    if (finds.count > 0)
        keep_out(gateway, &finds);
    else
        let_go(gateway);
    notice(gateway, &finds);
}
