/*
 * rules.c - the contents of the kernel's rules, from a policy and the external addresses
 */
#include "rules.h"

#include "hosts.h"
#include "portreeve/handover.h"
#include "portreeve/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * What the sets of the ruleset contain, for one policy. The arrays are allocated; free them with
 * contents_free.
 */
struct contents {
    struct prefix *sources;
    struct address *targets;
    struct address_range *closed;
    struct prefix *exempt;
    /* the uplinks as they are now; then the names that they had or will have */
    struct interface interfaces[2 * CONFIG_UPLINKS_MAX];
    struct port_range *published[PROTOCOL_PORTS_COUNT], *bound[PROTOCOL_PORTS_COUNT];
    struct ruleset_contents view;
};

static void contents_free(struct contents *contents)
{
    free(contents->sources);
    free(contents->targets);
    free(contents->closed);
    free(contents->exempt);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        free(contents->published[p]);
        free(contents->bound[p]);
    }
}

/* A name that is too long can only be an alternative one, which no rule can compare. */
static void fill_interfaces(struct interface *interfaces, const struct gateway *gateway)
{
    const size_t count = gateway->config.external_count;

    for (size_t i = 0; i < count; i++) {
        const char *name = gateway->config.external[i];

        interfaces[i] = gateway->uplink[i].interface;
        interfaces[count + i] = (struct interface){0};
        if (strlen(name) < sizeof(interfaces[count + i].name))
            memcpy(interfaces[count + i].name, name, strlen(name));
    }
}

/* The hosts, in arrays that stay the contents' own. */
static bool contents_fill_hosts(struct contents *contents, const struct policy *policy)
{
    struct ruleset_contents *view = &contents->view;

    view->sources = contents->sources = hosts_sources(policy, &view->source_count);
    view->targets = contents->targets = hosts_targets(policy, &view->target_count);
    view->closed = contents->closed = hosts_closed(policy, &view->closed_count);
    view->exempt = contents->exempt = hosts_exempt(policy, &view->exempt_count);
    return view->sources != NULL && view->targets != NULL && view->closed != NULL &&
           view->exempt != NULL;
}

static bool contents_fill(struct contents *contents, const struct gateway *gateway,
                          const struct policy *policy)
{
    fill_interfaces(contents->interfaces, gateway);
    contents->view = (struct ruleset_contents){
        .interfaces = contents->interfaces,
        .interface_count = 2 * gateway->config.external_count,
        .uplink_count = gateway->config.external_count,
        .external = gateway->external,
        .external_count = gateway->external_count,
        .other_uplinks = gateway->other_uplink,
        .other_uplink_count = gateway->other_uplink_count,
    };
    if (!contents_fill_hosts(contents, policy))
        return false;
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        struct port_range *published = calloc(POLICY_PUBLISHED_MAX, sizeof(*published)),
                          *bound = calloc(POLICY_PUBLISHED_MAX, sizeof(*bound));

        contents->published[p] = published;
        contents->bound[p] = bound;
        if (published == NULL || bound == NULL)
            return false;
        contents->view.published[p].ranges = published;
        contents->view.published[p].count =
            policy_published(policy, protocol_table[p].number, published, POLICY_PUBLISHED_MAX);
        contents->view.bound[p].ranges = bound;
        contents->view.bound[p].count =
            own_ports_ranges(&gateway->bound_ports[p], bound, POLICY_PUBLISHED_MAX);
    }
    return true;
}

static void log_contents(const struct ruleset_contents *contents, bool install)
{
    log_debug("rules %s: external addresses %zu, sources %zu, targets %zu, other uplinks %zu",
              install ? "installed" : "updated", contents->external_count, contents->source_count,
              contents->target_count, contents->other_uplink_count);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        log_debug("published %s ports: ranges %zu", protocol_table[p].name,
                  contents->published[p].count);
}

/*
 * Where a service manager keeps the socket that the table belongs to, the table ends with the
 * service: it stays when the daemon is restarted or killed, and goes when the service is stopped.
 * Elsewhere it outlives the daemon, so that one that was killed leaves the gateway closed. The
 * variable is for tests: as on a kernel that has no owners of tables.
 */
static enum ruleset_life table_life(void)
{
    if (getenv("PORTREEVE_SHARED_TABLE") != NULL)
        return RULESET_SHARED;
    return handover_has_store() ? RULESET_ENDS_WITH_SOCKET : RULESET_OUTLIVES_SOCKET;
}

static uint32_t longest(uint32_t one, uint32_t other, uint32_t third)
{
    uint32_t most = one > other ? one : other;

    return most > third ? most : third;
}

/* Sessions end a few seconds late at most: a timer is late, or the kernel's counters are asked. */
static void fill_answers(struct ruleset_options *options, const struct timeouts *timeouts)
{
    const uint32_t late = 60;

    options->answers.udp = timeouts->udp + late;
    options->answers.established = timeouts->tcp_established + late;
    options->answers.transitory =
        longest(timeouts->tcp_transitory, timeouts->tcp_opening, timeouts->tcp_closing) + late;
}

int gateway_write_rules(struct gateway *gateway, const struct policy *policy, bool install,
                        struct error *error)
{
    struct ruleset_options options = {.life = table_life(),
                                      .first_queue = gateway->config.queue,
                                      .queue_count = gateway->worker_count,
                                      .hairpin_mark = gateway->config.hairpin_mark,
                                      .offload_sessions = gateway->offload_sessions};
    struct contents contents = {0};
    int result = -ENOMEM;

    contents.view.new_per_remote = policy_limits_const(policy)->new_sessions_per_remote;

    fill_answers(&options, policy_timeouts_const(policy));
    if (!contents_fill(&contents, gateway, policy))
        error_set(error, "not enough memory for the rules");
    else if (install)
        result = ruleset_install(gateway->ruleset, &options, &contents.view, error);
    else
        result = ruleset_update(gateway->ruleset, &contents.view, error);
    if (result == 0)
        log_contents(&contents.view, install);
    contents_free(&contents);
    return result;
}
