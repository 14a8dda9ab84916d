/*
 * explain.c - what becomes of a connection and why
 *
 * What is translated is decided by the translator itself (portreeve/explain.h); what the kernel
 * does with it then, by asking the kernel. The first step that fails is the cause.
 */
#include "collisions.h"
#include "explain_target.h"
#include "explain_way.h"
#include "portreeve/forward_words.h"
#include "portreeve/path.h"
#include "portreeve/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void add_candidate(struct explain_report *report, enum explain_cause cause)
{
    for (size_t i = 0; i < report->candidate_count; i++) {
        if (report->candidate[i] == cause)
            return;
    }
    report->candidate[report->candidate_count++] = cause;
}

static void conclude(struct explain_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct explain_step *step = &report->step[i];

        if (step->result == EXPLAIN_FAIL) {
            report->cause = step->cause;
            report->candidate_count = 0;
            return;
        }
        if (step->result == EXPLAIN_UNKNOWN && step->cause != EXPLAIN_HEALTHY)
            add_candidate(report, step->cause);
    }
}

/* ---- the gateway ---- */

/* True if the text of one of these notices became a step. */
static bool add_notices(struct explaining *explaining, const char *name, const char *check,
                        enum explain_result result, enum explain_cause cause)
{
    const struct notices *notices = &explaining->gateway->notices;
    bool any = false;

    for (size_t i = 0; i < notices->count; i++) {
        if (strcmp(notices->list[i].name, name) != 0)
            continue;
        explain_add(explaining, check, result, cause, "%s", notices->list[i].text);
        any = true;
    }
    return any;
}

static void check_rules_are_there(struct explaining *explaining)
{
    if (explaining->gateway->rules_missing || !explaining->gateway->rules_installed)
        explain_add(explaining, "rules", EXPLAIN_FAIL, EXPLAIN_RULES_MISSING,
                    "portreeve's rules are not in the kernel");
    else
        explain_add(explaining, "rules", EXPLAIN_OK, EXPLAIN_HEALTHY,
                    "portreeve's rules are in the kernel");
}

static void check_neighbours(struct explaining *explaining, bool from_share)
{
    bool guarded = explaining->gateway->guards_sources;

    if (from_share)
        add_notices(explaining, "source-nat", "kernel-nat", guarded ? EXPLAIN_WARN : EXPLAIN_FAIL,
                    EXPLAIN_KERNEL_NAT);
    add_notices(explaining, "flowtable", "flowtable", EXPLAIN_FAIL, EXPLAIN_FLOWTABLE);
    add_notices(explaining, "bridge-netfilter", "bridge", EXPLAIN_WARN, EXPLAIN_HEALTHY);
}

static const char *place_of(const struct explaining *explaining, const struct forward *forward,
                            char buffer[FORWARD_WORDS_MAX])
{
    const struct gateway *gateway = explaining->gateway;

    return forward_place(&gateway->config, gateway->config_path, forward, buffer);
}

/* The interface that a host inside is behind. False: a step says that there is none. */
static bool find_inside(struct explaining *explaining)
{
    const struct address *host = &explaining->request->from.address;
    struct path inside;
    char text[ADDRESS_TEXT_MAX];

    if (path_find(NULL, host, 0, &inside) < 0 || inside.is_local) {
        explain_add(explaining, "route", EXPLAIN_FAIL, EXPLAIN_NO_ROUTE, "no route to %s",
                    text_format_address(host, text));
        return false;
    }
    explaining->in = inside.interface;
    return true;
}

/* ---- from outside ---- */

static bool listens_at(const struct forward *forward, uint8_t protocol, uint16_t port)
{
    return forward->protocols & 1 << protocol_index(protocol) && port >= forward->listen.first &&
           port <= forward->listen.last;
}

/* A forward of the configuration whose time is over. */
static const struct forward *find_expired(const struct policy *policy, uint8_t protocol,
                                          uint16_t port)
{
    const int64_t now = time(NULL);

    for (size_t i = 0; policy != NULL && i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);

        if (forward->expires != 0 && forward->expires <= now && listens_at(forward, protocol, port))
            return forward;
    }
    return NULL;
}

static const struct host_socket *find_listener(const struct own_sockets *sockets, uint8_t protocol,
                                               uint16_t port)
{
    for (size_t i = 0; i < sockets->open_count; i++) {
        if (sockets->open[i].protocol == protocol && sockets->open[i].port == port)
            return &sockets->open[i];
    }
    return NULL;
}

static void add_no_forward(struct explaining *explaining)
{
    const struct gateway *gateway = explaining->gateway;
    uint8_t protocol = explaining->request->protocol;
    uint16_t port = explaining->request->to.port;
    const struct forward *expired = find_expired(gateway->config.expired, protocol, port);
    const struct host_socket *listener = find_listener(&gateway->own_sockets, protocol, port);
    char place[FORWARD_WORDS_MAX], when[TIME_TEXT_MAX], who[OWN_SOCKET_TEXT_MAX];

    if (expired == NULL)
        expired = find_expired(gateway->config.policy, protocol, port);
    if (expired != NULL)
        explain_add(explaining, "forward", EXPLAIN_FAIL, EXPLAIN_EXPIRED,
                    "the time of forward %s is over since %s (%s)", expired->name,
                    text_format_time(expired->expires, when), place_of(explaining, expired, place));
    else if (listener != NULL)
        explain_add(explaining, "forward", EXPLAIN_FAIL, EXPLAIN_NO_FORWARD,
                    "no forward listens on %u/%s: it is for %s on this host", port,
                    protocol_name(protocol), own_socket_describe(listener, who));
    else
        explain_add(explaining, "forward", EXPLAIN_FAIL, EXPLAIN_NO_FORWARD,
                    "no forward listens on %u/%s, and no program of this host", port,
                    protocol_name(protocol));
}

static void add_refusal(struct explaining *explaining, const struct explanation *explanation,
                        const struct forward *forward)
{
    char place[FORWARD_WORDS_MAX], allow[FORWARD_WORDS_MAX];
    enum explain_cause cause = EXPLAIN_LIMIT;

    switch (explanation->reason) {
    case DROP_NOT_ALLOWED:
        explain_add(explaining, "forward", EXPLAIN_FAIL, EXPLAIN_NOT_ALLOWED,
                    "allow of forward %s is %s (%s)", forward->name,
                    forward_allowed(forward, allow), place_of(explaining, forward, place));
        return;
    case DROP_FILTERED:
        cause = EXPLAIN_FILTERED;
        break;
    case DROP_NO_SESSION:
        cause = EXPLAIN_NO_FORWARD;
        break;
    case DROP_NO_EXTERNAL_ADDRESS:
        cause = EXPLAIN_NO_ADDRESS;
        break;
    case DROP_POOL_DRY:
        cause = EXPLAIN_POOL_DRY;
        break;
    case DROP_SPOOFED_SOURCE:
        cause = EXPLAIN_REVERSE_PATH;
        break;
    default:
        break;
    }
    explain_add(explaining, "forward", EXPLAIN_FAIL, cause, "dropped as %s: %s",
                drop_reason_name(explanation->reason), drop_reason_text(explanation->reason));
}

static void add_forward(struct explaining *explaining, const struct explanation *explanation,
                        const struct forward *forward)
{
    char target[ENDPOINT_TEXT_MAX], place[FORWARD_WORDS_MAX], allow[FORWARD_WORDS_MAX];

    text_format_endpoint(&explanation->internal, target);
    if (forward == NULL) {
        explain_add(explaining, "mapping", EXPLAIN_OK, EXPLAIN_HEALTHY,
                    "a mapping of %s, whose filtering admits it", target);
        return;
    }
    explain_add(explaining, "forward", EXPLAIN_OK, EXPLAIN_HEALTHY, "forward %s -> %s (%s%s%s)",
                forward->name, target, place_of(explaining, forward, place),
                forward->owner[0] != '\0' ? ", owner " : "", forward->owner);
    explain_add(explaining, "allow", EXPLAIN_OK, EXPLAIN_HEALTHY, "allow: %s",
                forward_allowed(forward, allow));
}

static void add_hidden(void *context, const char *message)
{
    explain_add(context, "listener", EXPLAIN_WARN, EXPLAIN_HIDDEN_LISTENER, "%s", message);
}

/* Whoever may connect: an address of `allow`, or one for documentation (RFC 5737). */
static struct address somebody(const struct forward *forward)
{
    if (forward == NULL || forward->allow_count == 0)
        return address_from_ipv4(0xc6336401); /* 198.51.100.1 */
    return forward->allow[0].length < 128
               ? address_from_ipv4(address_to_ipv4(&forward->allow[0].address) + 1)
               : forward->allow[0].address;
}

static bool is_any(const struct address *address)
{
    return address_equal(address, &(struct address){{0}});
}

/* The uplink that has the address, or the first one that has any. False: there is none. */
static bool find_uplink(struct explaining *explaining, struct address *to)
{
    const struct gateway *gateway = explaining->gateway;

    for (uint8_t i = 0; i < gateway->config.external_count; i++) {
        const struct uplink_usage *uplink = &gateway->uplink[i];

        for (size_t n = 0; n < uplink->count; n++) {
            if (!is_any(to) && !address_equal(to, &uplink->address[n]))
                continue;
            *to = uplink->address[n];
            explaining->uplink = i;
            return true;
        }
    }
    return false;
}

static bool check_external(struct explaining *explaining, struct address *to)
{
    const struct gateway *gateway = explaining->gateway;
    char text[ADDRESS_TEXT_MAX];

    if (find_uplink(explaining, to)) {
        const struct interface *interface = &gateway->uplink[explaining->uplink].interface;

        explaining->in = interface->index;
        explain_add(explaining, "address", EXPLAIN_OK, EXPLAIN_HEALTHY, "%s is on %s",
                    text_format_address(to, text), interface->name);
        return true;
    }
    if (!add_notices(explaining, "no-interface", "address", EXPLAIN_FAIL, EXPLAIN_INTERFACE_DOWN) &&
        !add_notices(explaining, "no-external-address", "address", EXPLAIN_FAIL,
                     EXPLAIN_NO_ADDRESS))
        explain_add(explaining, "address", EXPLAIN_FAIL, EXPLAIN_NO_ADDRESS,
                    "%s is not an external address of this gateway", text_format_address(to, text));
    return false;
}

static void explain_inbound(struct explaining *explaining)
{
    struct gateway *gateway = explaining->gateway;
    const struct explain_request *request = explaining->request;
    uint16_t at = policy_forward_at(gateway->active, request->protocol, request->to.port);
    const struct forward *forward = at != POLICY_NONE ? policy_forward(gateway->active, at) : NULL;
    struct explain_question question = {.protocol = request->protocol,
                                        .from = request->from,
                                        .to = request->to,
                                        .from_outside = true};
    struct explanation explanation;

    if (is_any(&question.from.address))
        question.from.address = somebody(forward);
    explaining->report->from = question.from;
    if (!check_external(explaining, &question.to.address))
        return;
    question.uplink = explaining->uplink;
    check_rules_are_there(explaining);
    nat_explain(gateway_lock(gateway), &question, gateway_now(), &explanation);
    gateway_unlock(gateway);
    if (!explanation.is_ours) {
        add_no_forward(explaining);
        return;
    }
    if (explanation.reason != DROP_NONE) {
        add_refusal(explaining, &explanation, forward);
        return;
    }
    add_forward(explaining, &explanation, forward);
    if (forward != NULL)
        gateway_report_forward(gateway, forward->name, add_hidden, explaining);
    if (policy_is_shared(gateway->active, &question.from.address) && !find_inside(explaining))
        return;
    explaining->from = question.from;
    explaining->report->target = explaining->to = explanation.internal;
    explain_way(explaining);
    check_neighbours(explaining, false);
    explain_target(explaining, request->to.port);
}

/* ---- from inside ---- */

/* The uplink that its packets leave by. False: a step says why there is none. */
static bool find_way_out(struct explaining *explaining)
{
    const struct gateway *gateway = explaining->gateway;
    const struct explain_request *request = explaining->request;
    struct path outside;

    if (path_find(&request->from.address, &request->to.address, explaining->in, &outside) < 0)
        return true; /* explain_way says why */
    for (uint8_t i = 0; i < gateway->config.external_count; i++) {
        if (gateway->uplink[i].interface.index == outside.interface) {
            explaining->uplink = i;
            return true;
        }
    }
    explain_add(explaining, "route", EXPLAIN_FAIL, EXPLAIN_NO_ROUTE,
                "its route leads by %s, which is not in [gateway] external", outside.name);
    return false;
}

static void add_share(struct explaining *explaining, const struct explanation *explanation)
{
    const struct policy *active = explaining->gateway->active;

    if (explanation->is_ours)
        explain_add(explaining, "share", EXPLAIN_OK, EXPLAIN_HEALTHY, "share %s",
                    policy_share(active, explanation->share)->name);
    else if (explanation->share != POLICY_NONE)
        explain_add(explaining, "share", EXPLAIN_WARN, EXPLAIN_HEALTHY,
                    "the destination is exempt in share %s: it is not translated",
                    policy_share(active, explanation->share)->name);
    else
        explain_add(explaining, "share", EXPLAIN_WARN, EXPLAIN_HEALTHY,
                    "the host is in no share: it is not translated");
}

static void explain_outbound(struct explaining *explaining)
{
    struct gateway *gateway = explaining->gateway;
    const struct explain_request *request = explaining->request;
    struct explain_question question = {
        .protocol = request->protocol, .from = request->from, .to = request->to};
    struct explanation explanation;

    explaining->report->from = request->from;
    explaining->from = request->from;
    explaining->to = request->to;
    check_rules_are_there(explaining);
    if (!find_inside(explaining) || !find_way_out(explaining))
        return;
    question.uplink = explaining->uplink;
    nat_explain(gateway_lock(gateway), &question, gateway_now(), &explanation);
    gateway_unlock(gateway);
    add_share(explaining, &explanation);
    if (explanation.reason != DROP_NONE) {
        add_refusal(explaining, &explanation, NULL);
        return;
    }
    explain_way(explaining);
    check_neighbours(explaining, explanation.is_ours);
}

static bool is_external(const struct gateway *gateway, const struct address *address)
{
    for (size_t i = 0; i < gateway->external_count; i++) {
        if (address_equal(&gateway->external[i], address))
            return true;
    }
    return false;
}

void gateway_explain(struct gateway *gateway, const struct explain_request *request,
                     struct explain_report *report)
{
    struct explaining explaining = {.gateway = gateway, .request = request, .report = report};
    bool from_inside = policy_is_shared(gateway->active, &request->from.address);

    *report = (struct explain_report){.cause = EXPLAIN_HEALTHY};
    if (from_inside && !is_any(&request->to.address) && !is_external(gateway, &request->to.address))
        explain_outbound(&explaining);
    else
        explain_inbound(&explaining);
    conclude(report);
}
