/*
 * policy.c - the policy in use, and how the kernel and the translator get it
 *
 * The active policy is always built again from the configured one, so that a reload, a run-time
 * forward that is added or removed, and a forward that expires all take the same way.
 */
#include "policy.h"

#include "addresses.h"
#include "collisions.h"
#include "describe.h"
#include "portreeve/log.h"
#include "portreeve/promise.h"
#include "portreeve/promise_words.h"
#include "portreeve/register.h"
#include "portreeve/report.h"
#include "register_file.h"
#include "reserved_ports.h"
#include "review.h"
#include "rules.h"
#include "runtime_forwards.h"
#include "uplinks.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* What a crash can lose of the use of open ports. */
#define REGISTER_INTERVAL_MS UINT64_C(60000)

static bool has_expired(const struct forward *forward)
{
    return forward->expires != 0 && forward->expires <= time(NULL);
}

static void remove_expired(struct policy *policy)
{
    for (size_t i = 0; i < policy_forward_count(policy);) {
        const struct forward *forward = policy_forward(policy, i);

        if (has_expired(forward))
            policy_remove_forward(policy, forward->name);
        else
            i++;
    }
}

/*
 * Copies the run-time forwards of the active policy, unless the configuration conflicts with one.
 */
static bool carry_runtime(const struct policy *active, struct policy *next, const char *removal,
                          config_report *report, void *context)
{
    char words[PROMISE_WORDS_MAX];
    struct breach breach;
    bool fine = true;

    for (size_t i = 0; active != NULL && i < policy_forward_count(active); i++) {
        const struct forward *forward = policy_forward(active, i), *conflict;

        if (!forward->runtime || has_expired(forward) ||
            (removal != NULL && strcmp(removal, forward->name) == 0))
            continue;
        conflict = policy_find_conflict(next, forward);
        if (conflict != NULL || policy_find_forward(next, forward->name) != NULL) {
            report_format(report, context,
                          "forward '%s' conflicts with the run-time forward '%s': remove that one "
                          "first (portreeve forward remove %s)",
                          conflict != NULL ? conflict->name : forward->name, forward->name,
                          forward->name);
            fine = false;
        } else if (promise_forbids(next, forward, &breach)) {
            report_format(report, context,
                          "[never %s] forbids the run-time forward '%s': %s; remove that one first "
                          "(portreeve forward remove %s)",
                          breach.promise->name, forward->name, promise_words(&breach, words),
                          forward->name);
            fine = false;
        } else if (!policy_add_forward(next, forward)) {
            report(context, "not enough memory for the forwards");
            fine = false;
        }
    }
    return fine;
}

static bool is_external(const struct gateway *gateway, const struct address *address)
{
    for (size_t i = 0; i < gateway->external_count; i++) {
        if (address_equal(address, &gateway->external[i]))
            return true;
    }
    return false;
}

/* A forward that leads to the gateway's own external address would come back to it forever. */
static bool targets_external(const struct gateway *gateway, const struct policy *policy,
                             const char *name, config_report *report, void *context)
{
    const struct forward *forward = policy_find_forward(policy, name);

    for (size_t i = 0; forward != NULL && i < forward->target_count; i++) {
        if (is_external(gateway, &forward->target[i].address)) {
            report_format(report, context,
                          "forward '%s' leads to the gateway's own external address; expected the "
                          "address of an internal host",
                          name);
            return true;
        }
    }
    return false;
}

/* `before`: the forward that is changed; NULL: it is a new one. */
static bool add_to(struct policy *next, const struct forward *before,
                   const struct forward_text *text, config_report *report, void *context)
{
    if (before != NULL)
        return config_change_forward(next, before, text, report, context);
    return config_add_forward(next, text, true, report, context);
}

struct policy *gateway_build_policy(struct gateway *gateway, const struct policy *configured,
                                    const struct forward_text *addition, const char *removal,
                                    config_report *report, void *context)
{
    struct policy *next = policy_copy(configured);
    const struct forward *before =
        removal == NULL ? NULL : policy_find_forward(gateway->active, removal);

    if (next == NULL) {
        report(context, "not enough memory for the policy");
        return NULL;
    }
    remove_expired(next);
    if (!carry_runtime(gateway->active, next, removal, report, context) ||
        (addition != NULL && (!add_to(next, before, addition, report, context) ||
                              targets_external(gateway, next, addition->name, report, context)))) {
        policy_free(next);
        return NULL;
    }
    collisions_exclude(gateway, next);
    if (!policy_seal(next)) {
        report(context, "not enough memory for the policy");
        policy_free(next);
        return NULL;
    }
    return next;
}

struct policy *gateway_build_roomy_policy(struct gateway *gateway, const struct config *config,
                                          const struct forward_text *addition,
                                          config_report *report, void *context)
{
    struct policy *next =
        gateway_build_policy(gateway, config->policy, addition, NULL, report, context);

    if (next == NULL || reserved_ports_leave_room(config->state_directory, gateway->config_path,
                                                  next, report, context))
        return next;
    policy_free(next);
    return NULL;
}

/*
 * Makes `next` the active policy, in the kernel's rules and in the translator. On false, errors
 * were reported, nothing has changed and `next` is freed. `who` asks for it; NULL: the
 * configuration.
 */
static bool apply_policy(struct gateway *gateway, struct policy *next, const char *who,
                         config_report *report, void *context, uint32_t *sessions_ended)
{
    struct policy *before = gateway->active;
    struct error error = {0};

    if (gateway_write_rules(gateway, next, false, &error) < 0) {
        report(context, error.text);
        policy_free(next);
        return false;
    }
    nat_set_policy(gateway_lock(gateway), next);
    gateway_unlock(gateway);
    *sessions_ended = gateway_review(gateway);
    gateway->active = next;
    register_collect(gateway->ports, gateway, before);
    register_follow(gateway->ports, next, time(NULL), who);
    gateway->neighbours_policy = false;
    policy_free(before);
    reserved_ports_exchange(gateway->config.state_directory, next);
    collisions_note(gateway);
    if (runtime_forwards_save(gateway->config.lasting_directory, next, &error) < 0)
        log_warning("%s", error.text);
    gateway_save_register(gateway);
    return true;
}

struct policy *gateway_settle_policy(struct gateway *gateway)
{
    struct policy *next = gateway_build_policy(gateway, gateway->config.policy, NULL, NULL,
                                               report_error, NULL),
                  *before = gateway->active;

    if (next == NULL)
        return NULL;
    nat_set_policy(gateway_lock(gateway), next);
    gateway_unlock(gateway);
    gateway->active = next;
    return before;
}

static bool has_same_uplinks(const struct config *now, const struct config *next)
{
    bool same = now->external_count == next->external_count;

    for (size_t i = 0; same && i < now->external_count; i++)
        same = strcmp(now->external[i], next->external[i]) == 0;
    return same;
}

/* Reports each changed setting that needs a restart. True if there is none. */
static bool needs_no_restart(const struct config *now, const struct config *next, const char *path,
                             config_report *report, void *context)
{
    const struct {
        const char *key;
        bool changed;
    } settings[] = {
        {"[gateway] external", !has_same_uplinks(now, next)},
        {"[gateway] hairpin-mark", now->hairpin_mark != next->hairpin_mark},
        {"[performance] workers", now->workers != next->workers},
        {"[performance] queue", now->queue != next->queue},
        {"[performance] offload", now->offload != next->offload},
        {"[performance] offload-after", now->offload_after != next->offload_after},
        {"[control] socket", strcmp(now->control_socket, next->control_socket) != 0},
        {"[control] group", strcmp(now->control_group, next->control_group) != 0},
        {"[state] directory", strcmp(now->state_directory, next->state_directory) != 0},
        {"[state] lasting-directory", strcmp(now->lasting_directory, next->lasting_directory) != 0},
        {"[limits] sessions",
         policy_limits_const(now->policy)->sessions != policy_limits_const(next->policy)->sessions},
    };
    bool fine = true;

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (settings[i].changed) {
            report_format(report, context,
                          "%s: %s has changed; this needs a restart, a reload is not enough", path,
                          settings[i].key);
            fine = false;
        }
    }
    return fine;
}

static void adopt_config(struct gateway *gateway, struct config *next)
{
    struct error error = {0};

    config_free(&gateway->config);
    gateway->config = *next;
    log_open(&gateway->config.log);
    if (gateway_refresh_addresses(gateway, &error) < 0)
        log_error("%s", error.text);
    if (gateway_refresh_uplinks(gateway, &error) < 0)
        log_error("%s", error.text);
}

/* Says which mappings the forwards of the next policy end. */
static void warn_of_held(struct gateway *gateway, const struct policy *next, config_report *warn,
                         void *context)
{
    char what[POLICY_NAME_MAX + 16];

    for (size_t i = 0; i < policy_forward_count(next); i++) {
        const struct forward *forward = policy_forward(next, i);

        snprintf(what, sizeof(what), "forward '%s'", forward->name);
        collisions_report_held(gateway, forward, what, "; the reload ends these sessions", warn,
                               context);
    }
}

/* Reads the file. The next policy, and its configuration, or NULL after reporting every error. */
static struct policy *read_next(struct gateway *gateway, struct config *next, config_report *report,
                                config_report *warn, void *context)
{
    struct policy *policy = NULL;

    if (!config_load(gateway->config_path, next, report, warn, context))
        return NULL;
    if (needs_no_restart(&gateway->config, next, gateway->config_path, report, context))
        policy = gateway_build_roomy_policy(gateway, next, NULL, report, context);
    if (policy != NULL)
        warn_of_held(gateway, policy, warn, context);
    else
        config_free(next);
    return policy;
}

/* Slots that are looked at under one hold of the lock. */
#define PLAN_SLICE 1024

struct policy *gateway_plan_reload(struct gateway *gateway, config_report *report,
                                   config_report *warn, void *context, uint32_t *sessions_ending)
{
    struct config next;
    struct policy *policy = read_next(gateway, &next, report, warn, context);
    uint32_t slots;

    *sessions_ending = 0;
    if (policy == NULL)
        return NULL;
    config_free(&next);
    slots = nat_slots(gateway_lock(gateway));
    gateway_unlock(gateway);
    for (uint32_t slot = 0; slot < slots; slot += PLAN_SLICE) {
        *sessions_ending += nat_count_ending(gateway_lock(gateway), policy, slot, PLAN_SLICE);
        gateway_unlock(gateway);
    }
    return policy;
}

bool gateway_reload(struct gateway *gateway, config_report *report, config_report *warn,
                    void *context, uint32_t *sessions_ended)
{
    struct config next;
    struct policy *policy = read_next(gateway, &next, report, warn, context);

    if (policy == NULL)
        return false;
    if (!apply_policy(gateway, policy, NULL, report, context, sessions_ended)) {
        config_free(&next);
        return false;
    }
    adopt_config(gateway, &next);
    gateway_describe(gateway);
    return true;
}

bool gateway_add_forward(struct gateway *gateway, const struct forward_text *text, bool force,
                         config_report *report, void *context, uint32_t *sessions_ended)
{
    struct policy *next =
        gateway_build_roomy_policy(gateway, &gateway->config, text, report, context);

    if (next != NULL && !force &&
        collisions_report_held(gateway, policy_find_forward(next, text->name), "listen",
                               "; expected a free port, or the option --force, which ends these "
                               "sessions",
                               report, context)) {
        policy_free(next);
        return false;
    }
    return next != NULL && apply_policy(gateway, next, text->by, report, context, sessions_ended);
}

void gateway_report_forward(struct gateway *gateway, const char *name, config_report *report,
                            void *context)
{
    collisions_report_hidden(&gateway->own_sockets, gateway->active, name, gateway->external,
                             gateway->external_count, "", report, context);
}

/* Reports it if this is no run-time forward. `todo`: what to do in the configuration instead. */
static bool is_runtime(const struct gateway *gateway, const char *name, const char *todo,
                       config_report *report, void *context)
{
    const struct forward *known;

    if (policy_find_forward(gateway->active, name) == NULL) {
        report_format(report, context, "there is no forward '%s'", name);
        return false;
    }
    known = policy_find_forward(gateway->config.policy, name);
    if (known != NULL) {
        report_format(report, context,
                      "forward '%s' is in the configuration: %s it in %s, then reload", name, todo,
                      config_file(&gateway->config, gateway->config_path, known->file));
        return false;
    }
    return true;
}

bool gateway_change_forward(struct gateway *gateway, const struct forward_text *text,
                            config_report *report, void *context, uint32_t *sessions_ended)
{
    struct policy *next;

    if (!is_runtime(gateway, text->name, "change", report, context))
        return false;
    next = gateway_build_policy(gateway, gateway->config.policy, text, text->name, report, context);
    return next != NULL && apply_policy(gateway, next, text->by, report, context, sessions_ended);
}

bool gateway_remove_forward(struct gateway *gateway, const char *name, config_report *report,
                            void *context, uint32_t *sessions_ended)
{
    struct policy *next;

    if (!is_runtime(gateway, name, "delete", report, context))
        return false;
    next = gateway_build_policy(gateway, gateway->config.policy, NULL, name, report, context);
    return next != NULL && apply_policy(gateway, next, NULL, report, context, sessions_ended);
}

void gateway_expire_forwards(struct gateway *gateway)
{
    struct policy *next;
    bool any = false;
    uint32_t ended;

    for (size_t i = 0; i < policy_forward_count(gateway->active); i++) {
        const struct forward *forward = policy_forward(gateway->active, i);

        if (has_expired(forward)) {
            log_notice("forward '%s' has expired", forward->name);
            any = true;
        }
    }
    if (!any)
        return;
    next = gateway_build_policy(gateway, gateway->config.policy, NULL, NULL, report_error, NULL);
    if (next != NULL && apply_policy(gateway, next, NULL, report_error, NULL, &ended) && ended > 0)
        log_notice("%u sessions of expired forwards ended", ended);
}

void gateway_follow_sockets(struct gateway *gateway)
{
    uint64_t due = gateway->look_due;
    struct policy *next;
    uint32_t ended;

    if (collisions_look(gateway)) {
        next =
            gateway_build_policy(gateway, gateway->config.policy, NULL, NULL, report_error, NULL);
        if (next != NULL)
            apply_policy(gateway, next, NULL, report_error, NULL, &ended);
    } else if (gateway->look_due != due) {
        collisions_note(gateway);
    }
}

const struct forward_register *gateway_read_register(struct gateway *gateway)
{
    gateway_fold_offloaded(gateway);
    register_collect(gateway->ports, gateway, gateway->active);
    return gateway->ports;
}

void gateway_save_register(struct gateway *gateway)
{
    struct error error = {0};

    register_collect(gateway->ports, gateway, gateway->active);
    gateway->register_due = gateway_now() + REGISTER_INTERVAL_MS;
    if (register_file_save(gateway->config.lasting_directory, gateway->ports, &error) < 0)
        log_warning("%s", error.text);
}
