/*
 * flowtables.c - keeps what is translated out of other programs' flowtables
 *
 * As long as there is a flowtable, new connections get a helper of connection tracking
 * (ruleset_avoid_flowtables), and older ones of our hosts are deleted from connection tracking
 * (tracked_forget), also when other hosts become ours. Nothing of that exists on a host without a
 * flowtable: it costs connection tracking.
 */
#include "flowtables.h"

#include "hosts.h"
#include "portreeve/log.h"
#include "portreeve/neighbours.h"
#include "portreeve/tracked.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netfilter.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define NOTICE "flowtable"

/* News may be missed, and the walk is repeated. */
#define PAUSE_MS 2000

/* A reload of another program's rules may take its flowtable away for a moment. */
#define HOLD_MS 30000

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

static void walk(struct gateway *gateway, const struct tracked_scope *scope)
{
    struct error error = {0};
    int deleted;

    if (gateway->flowtables.hosts != sum_of(scope))
        gateway->flowtables.walks = WALKS;
    gateway->flowtables.hosts = sum_of(scope);
    if (gateway->flowtables.walks == 0)
        return;
    gateway->flowtables.walks--;
    deleted = tracked_forget(scope, &error);
    if (deleted < 0)
        log_warning("%s", error.text);
    else if (deleted > 0)
        log_info("%d connections deleted from connection tracking, so that no flowtable has them",
                 deleted);
}

static void forget_older(struct gateway *gateway)
{
    const struct policy *policy = gateway->active;
    size_t sources = hosts_collect_sources(policy, NULL),
           targets = hosts_collect_targets(policy, NULL);
    struct address own[OWN_MAX];
    struct tracked_scope scope = {.source_count = sources,
                                  .target_count = targets,
                                  .own = own,
                                  .own_count = collect_own(own)};
    struct prefix *source = calloc(sources + 1, sizeof(*source));
    struct address *target = calloc(targets + 1, sizeof(*target));

    if (source != NULL && target != NULL) {
        hosts_collect_sources(policy, source);
        hosts_collect_targets(policy, target);
        scope.sources = source;
        scope.targets = target;
        walk(gateway, &scope);
    }
    free(source);
    free(target);
}

static const char *family_name(uint8_t family)
{
    return family == NFPROTO_IPV4 ? "ip" : "inet";
}

static void say_unguarded(struct gateway *gateway, const struct finds *finds)
{
    notices_begin(&gateway->notices, NOTICE);
    for (size_t i = 0; i < finds->count && !ruleset_avoids_flowtables(gateway->ruleset); i++)
        notices_add(&gateway->notices, NOTICE,
                    "flowtable %.48s of table %s %.48s: what it takes over leaves with private "
                    "sources. Keep the hosts of shares and forwards out of its \"flow add\" rule",
                    finds->list[i].name, family_name(finds->list[i].family), finds->list[i].table);
    notices_end(&gateway->notices, NOTICE);
}

static void keep_out(struct gateway *gateway, const struct finds *finds)
{
    struct error error = {0};

    gateway->flowtables.gone_since = 0;
    if (!ruleset_avoids_flowtables(gateway->ruleset)) {
        if (ruleset_avoid_flowtables(gateway->ruleset, true, &error) == 0) {
            gateway->flowtables.walks = WALKS;
            log_notice("flowtable %.48s of table %s %.48s: connections of shares and forwards stay "
                       "out of it",
                       finds->list[0].name, family_name(finds->list[0].family),
                       finds->list[0].table);
        } else if (!gateway->flowtables.failed) {
            log_warning("%s", error.text);
            gateway->flowtables.failed = true;
        }
    }
    if (ruleset_avoids_flowtables(gateway->ruleset))
        forget_older(gateway);
}

static void let_go(struct gateway *gateway)
{
    bool avoids = ruleset_avoids_flowtables(gateway->ruleset);
    struct error error = {0};
    int result;

    if (gateway->flowtables.gone_since == 0)
        gateway->flowtables.gone_since = gateway_now();
    if (avoids && gateway_now() - gateway->flowtables.gone_since < HOLD_MS)
        return;
    if (avoids)
        gateway->flowtables.tries = TRIES;
    if (gateway->flowtables.tries == 0)
        return;
    result = ruleset_avoid_flowtables(gateway->ruleset, false, &error);
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
    say_unguarded(gateway, &finds);
}
