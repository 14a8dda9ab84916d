/*
 * gateway_policy.c - which policy applies, and making the kernel and the translator agree on it
 *
 * The active policy is always built anew from the configured one, so that there is one way to get
 * there: a reload, a forward added or removed by an operator, a forward that expires.
 */
#include "gateway_internal.h"

#include "portreeve/log.h"
#include "portreeve/text.h"
#include "reserved_ports.h"
#include "runtime_forwards.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void reportf(config_report *report, void *context, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void reportf(config_report *report, void *context, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    report(context, text);
}

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

/* The run-time forwards of the active policy go on, if the configuration leaves them room. */
static bool carry_runtime(const struct policy *active, struct policy *next, const char *removal,
                          config_report *report, void *context)
{
    bool fine = true;

    for (size_t i = 0; active != NULL && i < policy_forward_count(active); i++) {
        const struct forward *forward = policy_forward(active, i), *conflict;

        if (!forward->runtime || has_expired(forward) ||
            (removal != NULL && strcmp(removal, forward->name) == 0))
            continue;
        conflict = policy_find_conflict(next, forward);
        if (conflict != NULL || policy_find_forward(next, forward->name) != NULL) {
            reportf(report, context,
                    "forward '%s' conflicts with forward '%s', which was added at run time: remove "
                    "that one first "
                    "(portreeve forward remove %s)",
                    conflict != NULL ? conflict->name : forward->name, forward->name,
                    forward->name);
            fine = false;
        } else if (!policy_add_forward(next, forward)) {
            report(context, "not enough memory for the forwards");
            fine = false;
        }
    }
    return fine;
}

static void exclude_port(void *context, uint8_t protocol, uint16_t port)
{
    policy_exclude_port(context, protocol, port);
}

static void exclude_local_sockets(struct policy *policy)
{
    struct error error = {0};

    if (host_ports_in_use(exclude_port, policy, &error) < 0)
        log_warning("the pool may meet ports of the gateway's own sockets: %s", error.text);
}

/* A forward to the gateway's own external address would come back to it for ever. */
static bool targets_external(const struct gateway *gateway, const struct policy *policy,
                             const char *name, config_report *report, void *context)
{
    const struct forward *forward = policy_find_forward(policy, name);

    for (size_t i = 0; forward != NULL && i < gateway->external_count; i++) {
        if (address_equal(&forward->to.address, &gateway->external[i])) {
            reportf(report, context,
                    "forward '%s' delivers to the gateway's own external address; expected an "
                    "internal host's",
                    name);
            return true;
        }
    }
    return false;
}

struct policy *gateway_build_policy(struct gateway *gateway, const struct policy *configured,
                                    const struct forward_text *addition, const char *removal,
                                    config_report *report, void *context)
{
    struct policy *next = policy_copy(configured);

    if (next == NULL) {
        report(context, "not enough memory for the policy");
        return NULL;
    }
    remove_expired(next);
    if (!carry_runtime(gateway->active, next, removal, report, context) ||
        (addition != NULL && (!config_add_forward(next, addition, true, report, context) ||
                              targets_external(gateway, next, addition->name, report, context)))) {
        policy_free(next);
        return NULL;
    }
    exclude_local_sockets(next);
    if (!policy_seal(next)) {
        report(context, "not enough memory for the policy");
        policy_free(next);
        return NULL;
    }
    return next;
}

/* What the sets of the ruleset hold, for one policy. Arrays are allocated; contents_free. */
struct contents {
    struct prefix *sources;
    struct address *targets;
    struct port_range *tcp, *udp;
    struct ruleset_contents view;
};

static void contents_free(struct contents *contents)
{
    free(contents->sources);
    free(contents->targets);
    free(contents->tcp);
    free(contents->udp);
}

static size_t collect_sources(const struct policy *policy, struct prefix *out)
{
    size_t count = 0;

    for (size_t i = 0; i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        for (size_t n = 0; n < share->source_count; n++, count++) {
            if (out != NULL)
                out[count] = share->source[n];
        }
    }
    return count;
}

static bool contents_fill(struct contents *contents, const struct gateway *gateway,
                          const struct policy *policy)
{
    size_t targets = policy_forward_count(policy);

    contents->sources = calloc(collect_sources(policy, NULL) + 1, sizeof(struct prefix));
    contents->targets = calloc(targets + 1, sizeof(struct address));
    contents->tcp = calloc(32768, sizeof(struct port_range));
    contents->udp = calloc(32768, sizeof(struct port_range));
    if (!contents->sources || !contents->targets || !contents->tcp || !contents->udp)
        return false;
    for (size_t i = 0; i < targets; i++)
        contents->targets[i] = policy_forward(policy, i)->to.address;
    contents->view = (struct ruleset_contents){
        .external = gateway->external,
        .external_count = gateway->external_count,
        .sources = contents->sources,
        .source_count = collect_sources(policy, contents->sources),
        .targets = contents->targets,
        .target_count = targets,
        .tcp = contents->tcp,
        .tcp_count = policy_published(policy, PROTOCOL_TCP, contents->tcp, 32768),
        .udp = contents->udp,
        .udp_count = policy_published(policy, PROTOCOL_UDP, contents->udp, 32768),
    };
    return true;
}

int gateway_write_rules(struct gateway *gateway, const struct policy *policy, bool install,
                        struct error *error)
{
    struct ruleset_options options = {.first_queue = gateway->config.queue,
                                      .queue_count = gateway->worker_count,
                                      .hairpin_mark = gateway->config.hairpin_mark,
                                      .offload_sessions = gateway->offload_sessions};
    struct contents contents = {0};
    int result = -ENOMEM;

    memcpy(options.external, gateway->config.external, sizeof(options.external));
    if (!contents_fill(&contents, gateway, policy))
        error_set(error, "not enough memory for the rules");
    else if (install)
        result = ruleset_install(gateway->ruleset, &options, &contents.view, error);
    else
        result = ruleset_update(gateway->ruleset, &contents.view, error);
    contents_free(&contents);
    return result;
}

/*
 * Packets flow meanwhile; what they meet is looked at first. Returns how many sessions have ended.
 */
static uint32_t gateway_review(struct gateway *gateway)
{
    uint32_t ended;
    bool more = true;

    gateway_fold_offloaded(gateway); /* sessions end with all that is known of them */
    while (more) {
        more = nat_review(gateway_lock(gateway), gateway_now(), GATEWAY_BUDGET, &ended);
        gateway_end_step(gateway);
    }
    gateway_flush_offloaded(gateway);
    return ended;
}

bool gateway_apply_policy(struct gateway *gateway, struct policy *next, config_report *report,
                          void *context, uint32_t *sessions_ended)
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
    policy_free(before);
    reserved_ports_exchange(gateway->config.state_directory, next);
    if (runtime_forwards_save(gateway->config.state_directory, next, &error) < 0)
        log_warning("%s", error.text);
    return true;
}

/* Reports each setting that only a restart can change. */
static bool needs_no_restart(const struct config *now, const struct config *next, const char *path,
                             config_report *report, void *context)
{
    const struct {
        const char *key;
        bool changed;
    } settings[] = {
        {"[gateway] external", strcmp(now->external, next->external) != 0},
        {"[gateway] hairpin-mark", now->hairpin_mark != next->hairpin_mark},
        {"[performance] workers", now->workers != next->workers},
        {"[performance] queue", now->queue != next->queue},
        {"[performance] offload", now->offload != next->offload},
        {"[performance] offload-after", now->offload_after != next->offload_after},
        {"[control] socket", strcmp(now->control_socket, next->control_socket) != 0},
        {"[control] group", strcmp(now->control_group, next->control_group) != 0},
        {"[state] directory", strcmp(now->state_directory, next->state_directory) != 0},
        {"[limits] sessions",
         policy_limits_const(now->policy)->sessions != policy_limits_const(next->policy)->sessions},
    };
    bool fine = true;

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (settings[i].changed) {
            reportf(report, context, "%s: %s has changed, which needs a restart, not a reload",
                    path, settings[i].key);
            fine = false;
        }
    }
    return fine;
}

static void warn(void *context, const char *message)
{
    (void)context;
    log_warning("%s", message);
}

static void adopt_config(struct gateway *gateway, struct config *next)
{
    bool addresses_differ =
        gateway->config.mss != next->mss || gateway->config.mss_limit != next->mss_limit ||
        gateway->config.external_address_count != next->external_address_count ||
        memcmp(gateway->config.external_address, next->external_address,
               sizeof(next->external_address)) != 0;
    struct error error = {0};

    config_free(&gateway->config);
    gateway->config = *next;
    log_open(&gateway->config.log);
    if (addresses_differ && gateway_refresh_addresses(gateway, &error) < 0)
        log_error("%s", error.text);
}

bool gateway_reload(struct gateway *gateway, config_report *report, void *context,
                    uint32_t *sessions_ended)
{
    struct config next;
    struct policy *policy = NULL;

    if (!config_load(gateway->config_path, &next, report, warn, context))
        return false;
    if (needs_no_restart(&gateway->config, &next, gateway->config_path, report, context))
        policy = gateway_build_policy(gateway, next.policy, NULL, NULL, report, context);
    if (policy == NULL || !gateway_apply_policy(gateway, policy, report, context, sessions_ended)) {
        config_free(&next);
        return false;
    }
    adopt_config(gateway, &next);
    return true;
}

bool gateway_add_forward(struct gateway *gateway, const struct forward_text *text,
                         config_report *report, void *context)
{
    struct policy *next =
        gateway_build_policy(gateway, gateway->config.policy, text, NULL, report, context);
    uint32_t ended;

    return next != NULL && gateway_apply_policy(gateway, next, report, context, &ended);
}

bool gateway_remove_forward(struct gateway *gateway, const char *name, config_report *report,
                            void *context, uint32_t *sessions_ended)
{
    struct policy *next;

    if (policy_find_forward(gateway->active, name) == NULL) {
        reportf(report, context, "there is no forward '%s'", name);
        return false;
    }
    if (policy_find_forward(gateway->config.policy, name) != NULL) {
        reportf(report, context,
                "forward '%s' is one of the configuration: take it out of %s and reload", name,
                gateway->config_path);
        return false;
    }
    next = gateway_build_policy(gateway, gateway->config.policy, NULL, name, report, context);
    return next != NULL && gateway_apply_policy(gateway, next, report, context, sessions_ended);
}

static void report_to_log(void *context, const char *message)
{
    (void)context;
    log_error("%s", message);
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
    next = gateway_build_policy(gateway, gateway->config.policy, NULL, NULL, report_to_log, NULL);
    if (next != NULL && gateway_apply_policy(gateway, next, report_to_log, NULL, &ended) &&
        ended > 0)
        log_notice("%u sessions of expired forwards ended", ended);
}

/* External addresses. */

/* RFC 4787 REQ-7: an external address that lies inside would make answers ambiguous. */
static bool meets_inside(const struct policy *policy, const struct address *address)
{
    return policy_share_of(policy, address) != POLICY_NONE;
}

static bool is_configured(const struct config *config, const struct address *address)
{
    for (size_t i = 0; i < config->external_address_count; i++) {
        if (address_equal(&config->external_address[i], address))
            return true;
    }
    return config->external_address_count == 0;
}

static size_t choose_addresses(struct gateway *gateway, struct address *found, size_t count)
{
    char text[ADDRESS_TEXT_MAX];
    size_t chosen = 0;

    error_set(&gateway->address_problem, "%s", "");
    for (size_t i = 0; i < count; i++) {
        if (!is_configured(&gateway->config, &found[i]))
            continue;
        if (meets_inside(gateway->active, &found[i]))
            error_set(&gateway->address_problem,
                      "%s on %s is inside a share's source: it is not used as an external address",
                      text_format_address(&found[i], text), gateway->config.external);
        else
            found[chosen++] = found[i];
    }
    if (chosen == 0 && gateway->address_problem.text[0] == '\0')
        error_set(&gateway->address_problem,
                  "%s has no %s address: nothing can be translated until it gets one",
                  gateway->config.external,
                  gateway->config.external_address_count > 0 ? "configured external"
                                                             : "global IPv4");
    return chosen;
}

static void limit_mss(struct gateway *gateway)
{
    const uint32_t headers = 40; /* IPv4 and TCP, without options (RFC 9293 section 3.7.1) */
    uint32_t mtu = addresses_mtu(gateway->addresses);
    uint16_t limit = gateway->config.mss == MSS_FIXED ? gateway->config.mss_limit : 0;

    if (gateway->config.mss == MSS_AUTO && mtu > headers && mtu <= UINT16_MAX)
        limit = (uint16_t)(mtu - headers);
    nat_set_mss_limit(gateway_lock(gateway), limit);
    gateway_unlock(gateway);
}

/* Returns how many sessions have ended. */
static uint32_t set_external(struct gateway *gateway, const struct address *addresses, size_t count)
{
    bool complete =
        nat_set_external(gateway_lock(gateway), gateway->external_interface, addresses, count);
    uint32_t ended;

    gateway_unlock(gateway);
    ended = gateway_review(gateway);
    if (!complete) { /* new addresses need the slots of former ones, which are free now */
        nat_set_external(gateway_lock(gateway), gateway->external_interface, addresses, count);
        gateway_unlock(gateway);
    }
    return ended;
}

int gateway_refresh_addresses(struct gateway *gateway, struct error *error)
{
    struct address found[64];
    char text[ADDRESS_TEXT_MAX];
    uint32_t ended;
    size_t count;
    bool differs;
    int read = addresses_read(gateway->addresses, found, 64, &gateway->external_interface, error);

    if (read < 0 && read != -ENODEV)
        return read;
    count = choose_addresses(gateway, found, read < 0 ? 0 : (size_t)read);
    if (count > EXTERNAL_ADDRESSES_MAX)
        count = EXTERNAL_ADDRESSES_MAX;
    differs = count != gateway->external_count ||
              memcmp(gateway->external, found, count * sizeof(*found)) != 0;
    memcpy(gateway->external, found, count * sizeof(*found));
    gateway->external_count = count;
    ended = set_external(gateway, found, count);
    limit_mss(gateway);
    if (gateway->address_problem.text[0] != '\0')
        log_warning("%s", gateway->address_problem.text);
    for (size_t i = 0; differs && i < count; i++)
        log_info("external address %s on %s", text_format_address(&found[i], text),
                 gateway->config.external);
    if (ended > 0)
        log_notice("%u sessions ended: their external address has gone", ended);
    return gateway->ruleset == NULL ? 0
                                    : gateway_write_rules(gateway, gateway->active, false, error);
}
