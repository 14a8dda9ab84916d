/*
 * gateway.c - the life of a gateway: start in order, stop in the opposite order
 */
#include "addresses.h"
#include "collisions.h"
#include "decisions.h"
#include "describe.h"
#include "forwarding.h"
#include "health.h"
#include "hold.h"
#include "neighbours.h"
#include "offload.h"
#include "policy.h"
#include "portreeve/addresses.h"
#include "portreeve/handover.h"
#include "portreeve/large_pages.h"
#include "portreeve/log.h"
#include "portreeve/register.h"
#include "portreeve/routes.h"
#include "register_file.h"
#include "reserved_ports.h"
#include "review.h"
#include "rules.h"
#include "runtime_forwards.h"
#include "saved_rules.h"
#include "state.h"
#include "state_file.h"
#include "status.h"
#include "uplinks.h"
#include "worker.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Keeps the first of several reports. */
struct first_report {
    struct error *error;
    bool is_there;
};

static void keep_first(void *context, const char *message)
{
    struct first_report *first = context;

    if (!first->is_there)
        error_set(first->error, "%s", message);
    first->is_there = true;
}

static int create_translator(struct gateway *gateway, struct error *error)
{
    struct first_report first = {.error = error};
    struct policy *saved;
    uint8_t secret[32];
    uint32_t sessions;
    bool is_fresh;
    int result = state_directory_prepare(gateway->config.lasting_directory, error);

    if (result < 0)
        return result;
    gateway->active = saved =
        runtime_forwards_load(gateway->config.lasting_directory, gateway->config.policy);
    gateway->active =
        gateway_build_roomy_policy(gateway, &gateway->config, NULL, keep_first, &first);
    policy_free(saved);
    if (gateway->active == NULL)
        return -EINVAL;
    if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret)) {
        result = -errno;
        error_set(error, "cannot get random numbers: %s", strerror(-result));
        return result;
    }
    sessions = policy_limits_const(gateway->active)->sessions;
    result =
        state_open(&gateway->state, gateway->config.state_directory, sessions, &is_fresh, error);
    if (result < 0)
        return result;
    gateway->has_left_sessions = !is_fresh;
    log_debug("%s: %s", gateway->config.state_directory,
              is_fresh ? "no sessions of an earlier run" : "sessions of an earlier run");
    gateway->nat = nat_new(gateway->active, secret, state_sessions(gateway->state), gateway_now());
    if (gateway->nat == NULL) {
        error_set(error, "not enough memory for %u sessions ([limits] sessions)", sessions);
        return -ENOMEM;
    }
    return 0;
}

/* No other thread uses the table yet; the functions still need the lock to be held. */
static void adopt_sessions(struct gateway *gateway)
{
    struct nat_summary summary;
    uint32_t adopted, refused;
    const uint64_t *why;

    if (!gateway->has_left_sessions)
        return;
    adopted = nat_adopt(gateway->nat, gateway_now(), &refused);
    gateway_offload_recall(gateway);
    nat_summarize(gateway->nat, &summary);
    why = summary.counters.not_adopted;
    if (refused == 0)
        log_notice("%u sessions of the previous run continue, 0 have ended", adopted);
    else
        log_notice("%u sessions of the previous run continue, %u have ended: %llu expired, %llu "
                   "are no longer allowed, %llu were damaged",
                   adopted, refused, (unsigned long long)why[ADOPTION_EXPIRED],
                   (unsigned long long)why[ADOPTION_NOT_ALLOWED],
                   (unsigned long long)why[ADOPTION_DAMAGED]);
}

/*
 * Half of the processors by default: the kernel's part of a packet runs on the others. On two
 * processors, two workers make bulk TCP through the queue faster and new connections slower
 * (doc/performance.md), and bulk TCP leaves the queue soon.
 */
static uint16_t worker_count(const struct config *config)
{
    cpu_set_t ours; /* a service manager or a container may allow us fewer than there are */
    unsigned processors =
        sched_getaffinity(0, sizeof(ours), &ours) < 0 ? 1 : (unsigned)CPU_COUNT(&ours);

    if (config->workers > 0)
        return config->workers;
    if (processors < 2)
        return 1;
    return (uint16_t)(processors / 2 < CONFIG_WORKERS_MAX ? processors / 2 : CONFIG_WORKERS_MAX);
}

static int open_worker(struct gateway *gateway, struct worker **worker,
                       const struct queue_options *options, struct error *error)
{
    int result = worker_open(worker, gateway, options, error);

    if (result == 0)
        log_debug("queue %u: bound, for at most %u waiting packets", options->number,
                  options->length);
    return result;
}

static int open_workers(struct gateway *gateway, struct error *error)
{
    const struct config *config = &gateway->config;
    uint16_t count = worker_count(config);
    struct queue_options options = {
        .hairpin_mark = config->hairpin_mark, .length = GATEWAY_QUEUE_LENGTH, .descriptor = -1};
    int result = 0;

    for (uint16_t i = 0; i < count && result == 0; i++) {
        options.number = (uint16_t)(config->queue + i);
        options.udp_number = (uint16_t)(queue_first_udp(config->queue) + i);
        result = open_worker(gateway, &gateway->worker[i], &options, error);
        if (result == 0)
            gateway->worker_count++;
    }
    options.length = GATEWAY_NEWCOMERS_LENGTH;
    for (int kind = 0; kind < NEWCOMERS_KINDS && result == 0; kind++) {
        options.number = options.udp_number =
            queue_of_newcomers(config->queue, (enum newcomers)kind);
        result = open_worker(gateway, &gateway->newcomers[kind], &options, error);
    }
    return result;
}

static int start_workers(struct gateway *gateway, struct error *error)
{
    int result = 0;

    for (uint16_t i = 0; i < gateway->worker_count && result == 0; i++)
        result = worker_start(gateway->worker[i]);
    for (int kind = 0; kind < NEWCOMERS_KINDS && result == 0; kind++)
        result = worker_start(gateway->newcomers[kind]);
    if (result < 0)
        error_set(error, "cannot start a worker thread: %s", strerror(-result));
    else
        log_debug("worker threads started: %u, and %d for new connections", gateway->worker_count,
                  NEWCOMERS_KINDS);
    return result;
}

/* Where the rules drop forged sources, the translator need not distrust one-armed gateways. */
static void trust_sources(struct gateway *gateway)
{
    nat_trust_sources(gateway_lock(gateway), ruleset_checks_sources(gateway->ruleset));
    gateway_unlock(gateway);
}

static bool has_closed_share(const struct policy *policy)
{
    for (size_t i = 0; i < policy_share_count(policy); i++) {
        if (!policy_share(policy, i)->open)
            return true;
    }
    return false;
}

static void warn_of_old_kernel(const struct gateway *gateway)
{
    if (!ruleset_asks_sockets(gateway->ruleset))
        log_warning("this kernel cannot match sockets in nf_tables (CONFIG_NFT_SOCKET, Linux 5.10 "
                    "or later): where a mapping or a forward has the port of a connection of the "
                    "gateway, the connection gets no answers");
    if (!ruleset_checks_sources(gateway->ruleset) && has_closed_share(gateway->active))
        log_warning("this kernel cannot look up routes in nf_tables (CONFIG_NFT_FIB_IPV4): shares "
                    "are not closed to packets from outside that belong to no session");
}

static int install_rules(struct gateway *gateway, struct error *error)
{
    int result = gateway_write_rules(gateway, gateway->active, true, error);

    gateway->rules_installed = result == 0;
    if (result == 0)
        trust_sources(gateway);
    if (result == 0)
        log_info("rules installed: queueing with %s, defragmentation with %s, the table is %s",
                 ruleset_queue_expression(gateway->ruleset),
                 ruleset_defrag_expression(gateway->ruleset), ruleset_protection(gateway->ruleset));
    if (result == 0)
        warn_of_old_kernel(gateway);
    return result;
}

/*
 * Enough for the sessions that may be busy at the same time. An element of the kernel's maps takes
 * about 200 bytes of its memory.
 */
static uint32_t offload_sessions(const struct gateway *gateway)
{
    const uint32_t most = 65536;
    uint32_t sessions = policy_limits_const(gateway->active)->sessions;

    if (gateway->config.offload == OFFLOAD_OFF)
        return 0;
    return sessions < most ? sessions : most;
}

static int start_offload(struct gateway *gateway, struct error *error)
{
    if (gateway->config.offload == OFFLOAD_OFF)
        return 0;
    if (ruleset_has_offload(gateway->ruleset)) {
        log_debug("offload: the kernel's maps have room for %u sessions",
                  gateway->offload_sessions);
        return gateway_offload_open(&gateway->offload, gateway, gateway->offload_sessions, error);
    }
    if (gateway->config.offload == OFFLOAD_AUTO) {
        log_info("offload is off: this kernel has no counters in nf_tables sets (Linux 5.7 or "
                 "later has them); every packet goes through the queue");
        return 0;
    }
    error_set(error, "[performance] offload = on: this kernel has no counters in nf_tables sets "
                     "(Linux 5.7 or later has them); expected auto or off");
    return -EOPNOTSUPP;
}

/*
 * Two daemons in one network namespace would replace each other's rules. If one of our own queues
 * is the one that is the lock, binding it is enough.
 */
static int lock_namespace(struct gateway *gateway, struct error *error)
{
    const uint16_t first = gateway->config.queue;
    int result = 0;

    if (first + worker_count(&gateway->config) > QUEUE_LOCK ||
        queue_of_newcomers(first, NEWCOMERS_OUTSIDE) == QUEUE_LOCK ||
        queue_of_newcomers(first, NEWCOMERS_INSIDE) == QUEUE_LOCK)
        return 0;
    gateway->namespace_lock = handover_take(HANDOVER_LOCK);
    if (gateway->namespace_lock >= 0 && !queue_is_bound_to(QUEUE_LOCK, gateway->namespace_lock)) {
        close(gateway->namespace_lock);
        gateway->namespace_lock = -1;
    }
    if (gateway->namespace_lock < 0)
        result = queue_lock_namespace(&gateway->namespace_lock, error);
    if (result == -EBUSY && handover_forget(HANDOVER_QUEUE)) /* it was one of its queues */
        result = queue_lock_namespace(&gateway->namespace_lock, error);
    if (result == 0)
        handover_keep(HANDOVER_LOCK, gateway->namespace_lock);
    return result;
}

/* With the socket that owns the table of an earlier run, if it has left it to us. */
static int open_ruleset(struct gateway *gateway, struct error *error)
{
    int left = handover_take(HANDOVER_RULES);
    int result = ruleset_open(&gateway->ruleset, left, error);

    if (result < 0 && left >= 0) {
        log_warning("%s", error->text);
        result = ruleset_open(&gateway->ruleset, -1, error);
    }
    if (result == 0)
        handover_keep(HANDOVER_RULES, ruleset_descriptor(gateway->ruleset));
    return result;
}

/*
 * The queues are bound before the rules send packets to them: without a program that has bound the
 * queue, the kernel drops its packets.
 */
static int start(struct gateway *gateway, struct error *error)
{
    const char *names[CONFIG_UPLINKS_MAX];
    const size_t count = gateway->config.external_count;
    struct policy *before = NULL;
    int result = lock_namespace(gateway, error);

    for (size_t i = 0; i < count; i++)
        names[i] = gateway->config.external[i];
    if (result == 0)
        result = open_ruleset(gateway, error);
    if (result == 0)
        result = addresses_open(&gateway->addresses, names, count, error);
    if (result == 0)
        result = routes_open(&gateway->routes, error);
    if (result == 0)
        result = create_translator(gateway, error);
    if (result == 0)
        gateway->offload_sessions = offload_sessions(gateway);
    if (result == 0)
        result = open_workers(gateway, error);
    if (result == 0)
        result = gateway_refresh_addresses(gateway, error);
    if (result == 0)
        result = gateway_refresh_uplinks(gateway, error);
    if (result == 0) {
        adopt_sessions(gateway);
        before = gateway_settle_policy(gateway);
        register_file_load(gateway->config.lasting_directory, gateway->ports);
        register_follow(gateway->ports, gateway->active, time(NULL), NULL);
        result = start_workers(gateway, error);
    }
    if (result == 0) {
        reserved_ports_exchange(gateway->config.state_directory, gateway->active);
        result = install_rules(gateway, error);
    }
    if (before != NULL)
        gateway_review(gateway);
    policy_free(before);
    if (result == 0)
        result = start_offload(gateway, error);
    if (result == 0) {
        collisions_note(gateway);
        gateway_check_forwarding(gateway);
        saved_rules_check(&gateway->notices, gateway_now(), &gateway->saved_rules_due);
        gateway_check_neighbours(gateway);
        gateway_describe(gateway);
        nat_each_array(gateway->nat, large_pages_below);
    }
    return result;
}

int gateway_open(struct gateway **out, const char *config_path, struct config *config,
                 struct error *error)
{
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    struct forward_register *ports = register_new();
    int result;

    if (gateway == NULL || ports == NULL) {
        free(gateway);
        register_free(ports);
        config_free(config);
        error_set(error, "not enough memory");
        return -ENOMEM;
    }
    pthread_mutex_init(&gateway->lock, NULL);
    pthread_mutex_init(&gateway->turn, NULL);
    gateway->config = *config;
    gateway->ports = ports;
    gateway->namespace_lock = gateway->orders = -1;
    gateway->logged_event = 1;
    snprintf(gateway->config_path, sizeof(gateway->config_path), "%s", config_path);
    gateway->started = time(NULL);
    gateway->started_ms = gateway_now();
    result = start(gateway, error);
    if (result < 0) {
        /* what an earlier run has left to us stays for the next start */
        gateway_close(gateway, handover_is_continuation() ? GATEWAY_RESTART : GATEWAY_STOP);
        return result;
    }
    *out = gateway;
    return 0;
}

static void remove_rules(struct gateway *gateway)
{
    struct error error = {0};

    if (gateway->rules_installed && ruleset_remove(gateway->ruleset, &error) < 0)
        log_error("%s", error.text);
}

/* The offload thread asks the workers whether they are idle. */
static void close_workers(struct gateway *gateway)
{
    gateway_offload_pause(gateway->offload);
    for (uint16_t i = 0; i < gateway->worker_count; i++)
        worker_close(gateway->worker[i]);
    gateway->worker_count = 0;
    for (int kind = 0; kind < NEWCOMERS_KINDS; kind++) {
        worker_close(gateway->newcomers[kind]);
        gateway->newcomers[kind] = NULL;
    }
    gateway_offload_resume(gateway->offload, false);
}

void gateway_close(struct gateway *gateway, enum gateway_end end)
{
    char state_directory[PATH_MAX];
    uint32_t hold = 0;

    if (gateway == NULL)
        return;
    if (end == GATEWAY_HOLD) {
        hold = policy_timeouts_const(gateway->active)->stop_hold;
        memcpy(state_directory, gateway->config.state_directory, sizeof(state_directory));
        end = hold > 0 ? GATEWAY_UPGRADE : GATEWAY_STOP;
    }
    gateway_offload_fold(gateway->offload); /* the maps may be removed with the rules */
    if (end == GATEWAY_STOP)
        remove_rules(gateway);
    close_workers(gateway);
    if (gateway->rules_installed) /* otherwise the start has failed, and nothing was counted */
        gateway_save_register(gateway);
    gateway_offload_close(gateway->offload);
    ruleset_close(gateway->ruleset);
    if (gateway->state != NULL && end != GATEWAY_UPGRADE) /* without a state they are another's */
        reserved_ports_release(gateway->config.state_directory);
    if (gateway->namespace_lock >= 0)
        close(gateway->namespace_lock);
    gateway_close_neighbours(gateway);
    addresses_close(gateway->addresses);
    routes_close(gateway->routes);
    nat_free(gateway->nat);
    state_close(gateway->state);
    policy_free(gateway->active);
    register_free(gateway->ports);
    own_sockets_free(&gateway->own_sockets);
    config_free(&gateway->config);
    pthread_mutex_destroy(&gateway->lock);
    pthread_mutex_destroy(&gateway->turn);
    free(gateway);
    if (hold > 0)
        hold_begin(state_directory, hold);
}

int gateway_addresses_descriptor(const struct gateway *gateway)
{
    return addresses_descriptor(gateway->addresses);
}

void gateway_addresses_ready(struct gateway *gateway)
{
    struct error error = {0};

    if (!addresses_changed(gateway->addresses))
        return;
    log_debug("an external interface or one of its addresses may have changed");
    if (gateway_refresh_addresses(gateway, &error) < 0)
        log_error("%s", error.text);
}

int gateway_rules_descriptor(const struct gateway *gateway)
{
    return ruleset_watch_descriptor(gateway->ruleset);
}

/*
 * Where the table has no owner, another tool may flush the whole ruleset, or change a part of ours.
 * Then packets would pass untranslated, and no message would say so.
 */
static void restore_rules(struct gateway *gateway)
{
    struct error error = {0};

    gateway_offload_pause(gateway->offload);
    gateway->rules_missing = gateway_write_rules(gateway, gateway->active, true, &error) < 0;
    gateway_offload_resume(gateway->offload, !gateway->rules_missing);
    gateway_begin_hits(gateway);
    if (!gateway->rules_missing)
        log_warning("another program has changed or removed our rules; they are restored");
    else
        log_error("another program has changed or removed our rules, and they cannot be restored: "
                  "%s",
                  error.text);
}

void gateway_rules_ready(struct gateway *gateway)
{
    if (!ruleset_was_changed(gateway->ruleset))
        return;
    gateway->rules_restored++;
    restore_rules(gateway);
}

void gateway_tick(struct gateway *gateway)
{
    bool more = true;

    gateway_check_health(gateway);
    if (gateway_now() >= gateway->register_due)
        gateway_save_register(gateway);
    nat_offload_look(gateway_lock(gateway));
    gateway_unlock(gateway);
    while (more) {
        more = nat_tick(gateway_lock(gateway), gateway_now(), GATEWAY_BUDGET);
        gateway_end_step(gateway);
    }
    gateway_expire_forwards(gateway);
    gateway_check_grace(gateway);
    gateway_check_forwarding(gateway);
    saved_rules_check(&gateway->notices, gateway_now(), &gateway->saved_rules_due);
    gateway_follow_sockets(gateway);
    gateway_check_uplinks(gateway);
    gateway_check_neighbours(gateway);
    if (gateway->rules_missing)
        restore_rules(gateway);
    gateway_measure_rates(gateway);
    gateway_log_decisions(gateway);
    shortages_check(&gateway->shortages, gateway, &gateway->notices, gateway_now());
}
