/*
 * audit.c - portreeve audit: what is risky or neglected about the open ports
 *
 * It judges the answers of the daemon to `forwards` and `status`. What is risky in itself is in
 * audit_risks.c; here are the rules.
 */
#include "audit_risks.h"
#include "format.h"
#include "json.h"
#include "member.h"
#include "portreeve/policy.h"
#include "portreeve/text.h"
#include "rpc.h"
#include "run.h"
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define UNUSED_AFTER (30 * 86400) /* seconds */
#define MANY_PORTS   1000         /* of one forward: nobody has looked at each */

static const char *const severity_names[SEVERITY_COUNT] = {"info", "low", "medium", "high"};

/* A forward, as far as it is judged. */
struct open_port {
    const json_t *json;
    const char *name;
    uint8_t protocols;
    struct port_range listen, service; /* ports outside, ports of the target */
    struct endpoint target;
    bool is_open; /* to everyone */
};

struct audit {
    json_t *findings;
    const json_t *shares;
    int64_t now;
};

__attribute__((format(printf, 7, 8))) static void find(struct audit *audit, const char *id,
                                                       enum severity severity, const char *forward,
                                                       const char *advice, const char *source,
                                                       const char *reason, ...)
{
    char text[CELL_MAX];
    va_list arguments;

    va_start(arguments, reason);
    vsnprintf(text, sizeof(text), reason, arguments);
    va_end(arguments);
    text_make_printable(text);
    json_array_append_new(audit->findings,
                          json_pack("{s:s,s:s,s:s?,s:s,s:s,s:s?}", "id", id, "severity",
                                    severity_names[severity], "forward", forward, "reason", text,
                                    "advice", advice, "source", source));
}

/* ---- reading ---- */

static bool is_open_to_all(const json_t *allow)
{
    const json_t *item;
    size_t index;

    json_array_foreach(allow, index, item)
    {
        const char *text = json_string_value(item);

        if (text != NULL && strcmp(text, "0.0.0.0/0") == 0)
            return true;
    }
    return json_array_size(allow) == 0;
}

static uint8_t protocols_of(const json_t *names)
{
    uint8_t protocols = 0;
    const json_t *item;
    size_t index;

    json_array_foreach(names, index, item)
    {
        uint8_t one = 0;

        if (json_is_string(item) && text_parse_protocols(json_string_value(item), &one))
            protocols |= one;
    }
    return protocols;
}

/* False if the answer is not understood: then there is nothing to judge. */
static bool read_port(const json_t *json, struct open_port *port)
{
    uint32_t last;

    *port = (struct open_port){.json = json,
                               .name = member_text(json, "name"),
                               .protocols = protocols_of(json_object_get(json, "protocols")),
                               .is_open = is_open_to_all(json_object_get(json, "allow"))};
    if (!text_parse_port_range(member_text(json, "listen"), &port->listen) ||
        !text_parse_endpoint(member_text(json, "to"), &port->target))
        return false;
    last = port->target.port + (uint32_t)(port->listen.last - port->listen.first);
    port->service =
        (struct port_range){port->target.port, (uint16_t)(last < UINT16_MAX ? last : UINT16_MAX)};
    return true;
}

/* ---- services ---- */

static bool has_service(const struct open_port *port, const struct risk *risk)
{
    return (port->protocols & risk->protocols) != 0 && port->service.first <= risk->last &&
           port->service.last >= risk->first;
}

static void judge_risk(struct audit *audit, const struct open_port *port, const struct risk *risk)
{
    switch (risk->kind) {
    case RISK_EXPOSED:
        if (port->is_open)
            find(audit, "exposed-service", risk->severity, port->name, risk->advice, risk->source,
                 "%s is open to everyone", risk->service);
        break;
    case RISK_CLEARTEXT:
        find(audit, "cleartext", port->is_open ? risk->severity : SEVERITY_LOW, port->name,
             risk->advice, risk->source, "%s is readable on the way", risk->service);
        break;
    case RISK_AMPLIFIER:
        if (port->is_open)
            find(audit, "udp-amplifier", risk->severity, port->name, risk->advice, risk->source,
                 "%s can be made to flood others, from forged sources", risk->service);
    }
}

static void judge_services(struct audit *audit, const struct open_port *port)
{
    const bool hides = port->listen.first != port->service.first;
    const struct risk *hidden = NULL;

    for (size_t i = 0; i < audit_risk_count; i++) {
        if (!has_service(port, &audit_risks[i]))
            continue;
        judge_risk(audit, port, &audit_risks[i]);
        if (audit_risks[i].kind == RISK_EXPOSED)
            hidden = &audit_risks[i];
    }
    if (hides && hidden != NULL && port->is_open)
        find(audit, "hidden-service", SEVERITY_INFO, port->name,
             "do not rely on it: all ports are scanned", NULL, "%s is behind another port, %u",
             hidden->service, port->listen.first);
}

/* ---- the entry ---- */

static void judge_width(struct audit *audit, const struct open_port *port)
{
    const unsigned ports = port->listen.last - port->listen.first + 1u;

    if (port->is_open)
        find(audit, "no-allow", SEVERITY_LOW, port->name,
             "if not everyone needs it, say who does with 'allow'", NULL, "everyone may connect");
    if (ports >= MANY_PORTS)
        find(audit, "whole-range", SEVERITY_MEDIUM, port->name,
             "forward only the ports that are served", NULL, "%u ports are open", ports);
}

static void judge_records(struct audit *audit, const struct open_port *port)
{
    int64_t expires;

    if (*member_text(port->json, "owner") == '\0')
        find(audit, "no-owner", SEVERITY_LOW, port->name, "say whose it is with 'owner'", NULL,
             "nobody answers for it");
    if (*member_text(port->json, "note") == '\0')
        find(audit, "no-note", SEVERITY_INFO, port->name, "say what it is for with 'note'", NULL,
             "nobody knows what it is for");
    if (text_parse_time(member_text(port->json, "expires"), &expires) && expires <= audit->now)
        find(audit, "expired", SEVERITY_MEDIUM, port->name, "remove it, or set a new time", NULL,
             "its time is over");
}

/* A port that has been counted for a short time only is not judged. */
static void judge_use(struct audit *audit, const struct open_port *port)
{
    const json_t *use = json_object_get(port->json, "use");
    int64_t since, last;

    if (!text_parse_time(member_text(use, "since"), &since) || since > audit->now - UNUSED_AFTER)
        return;
    if (!text_parse_time(member_text(use, "last_used"), &last))
        find(audit, "never-used", SEVERITY_MEDIUM, port->name, "remove it, or ask its owner", NULL,
             "nobody has used it since %.32s", member_text(use, "since"));
    else if (last <= audit->now - UNUSED_AFTER)
        find(audit, "not-lately-used", SEVERITY_LOW, port->name, "remove it, or ask its owner",
             NULL, "nobody has used it since %.32s", member_text(use, "last_used"));
}

static bool is_inside(const json_t *shares, const struct address *address)
{
    const json_t *share, *source;
    size_t i, n;

    json_array_foreach(shares, i, share)
    {
        json_array_foreach(json_object_get(share, "source"), n, source)
        {
            struct prefix prefix;

            if (json_is_string(source) && text_parse_prefix(json_string_value(source), &prefix) &&
                prefix_contains(&prefix, address))
                return true;
        }
    }
    return false;
}

static void judge_target(struct audit *audit, const struct open_port *port)
{
    if (!is_inside(audit->shares, &port->target.address))
        find(audit, "outside-target", SEVERITY_MEDIUM, port->name,
             "check the address in 'to', or give its network a share", NULL,
             "its target %.64s is in no share", member_text(port->json, "to"));
}

static void judge(struct audit *audit, const json_t *forwards)
{
    const json_t *forward, *name;
    struct open_port port;
    size_t index;

    json_array_foreach(json_object_get(forwards, "forwards"), index, forward)
    {
        if (!read_port(forward, &port))
            continue;
        judge_services(audit, &port);
        judge_width(audit, &port);
        judge_records(audit, &port);
        judge_use(audit, &port);
        judge_target(audit, &port);
    }
    json_array_foreach(json_object_get(forwards, "expired"), index, name)
    {
        if (json_is_string(name))
            find(audit, "expired", SEVERITY_MEDIUM, json_string_value(name),
                 "delete it in the configuration, or set a new time", NULL,
                 "its time is over, but the configuration still has it");
    }
}

/* ---- the gateway itself ---- */

static bool is_forwarded(const json_t *forwards, const char *protocol, int64_t number)
{
    const json_t *forward;
    size_t index;

    json_array_foreach(json_object_get(forwards, "forwards"), index, forward)
    {
        uint8_t wanted = 0;
        struct open_port port;

        if (read_port(forward, &port) && text_parse_protocols(protocol, &wanted) &&
            port.protocols & wanted && number >= port.listen.first && number <= port.listen.last)
            return true;
    }
    return false;
}

/* Its own programs are in no register; what a forward hides is not reached. */
static void judge_listeners(struct audit *audit, const json_t *forwards, const json_t *listeners)
{
    const json_t *listener;
    size_t index;

    json_array_foreach(json_object_get(listeners, "listeners"), index, listener)
    {
        const char *protocol = member_text(listener, "protocol");
        int64_t port = member_number(listener, "port");

        if (is_forwarded(forwards, protocol, port))
            continue;
        find(audit, "own-listener", SEVERITY_LOW, NULL,
             "stop it, bind it to an inside address, or keep the outside away with a firewall",
             NULL,
             "%.64s listens at the external address on %lld/%.8s: no forward says who needs it",
             member_text(listener, "program"), (long long)port, protocol);
    }
}

/* Where the kernel takes the ports of this host's own connections from. False: unknown. */
static bool read_local_ports(struct port_range *range)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    bool read = file != NULL && fscanf(file, "%hu %hu", &range->first, &range->last) == 2;

    if (file != NULL)
        fclose(file);
    return read;
}

/* What a pool has, containers and masquerading on this host cannot use. */
static void judge_pools(struct audit *audit)
{
    struct port_range local, ports;
    const json_t *share, *text;
    size_t i, n;

    if (!read_local_ports(&local))
        return;
    json_array_foreach(audit->shares, i, share)
    {
        json_array_foreach(json_object_get(share, "ports"), n, text)
        {
            if (!json_is_string(text) || !text_parse_port_range(json_string_value(text), &ports) ||
                ports.first > local.last || ports.last < local.first)
                continue;
            find(audit, "pool-in-local-range", SEVERITY_INFO, NULL,
                 "keep 'ports' out of net.ipv4.ip_local_port_range", NULL,
                 "ports %u-%u of share '%.32s' are in the range of this host's own connections",
                 ports.first, ports.last, member_text(share, "name"));
            break;
        }
    }
}

/* What the daemon has noticed about ports. */
static void judge_notices(struct audit *audit, const json_t *status)
{
    static const struct {
        const char *name, *advice;
    } known[] = {
        {"hidden-listener", "give the forward or the program another port"},
        {"port-collision", "give the program a port that is in no pool"},
    };
    const json_t *notice;
    size_t index;

    json_array_foreach(json_object_get(status, "notices"), index, notice)
    {
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (strcmp(member_text(notice, "name"), known[i].name) == 0)
                find(audit, known[i].name, SEVERITY_MEDIUM, NULL, known[i].advice, NULL, "%.200s",
                     member_text(notice, "text"));
        }
    }
}

/* ---- showing ---- */

static bool has_severity(const json_t *finding, int severity)
{
    return strcmp(member_text(finding, "severity"), severity_names[severity]) == 0;
}

static size_t count_of(const json_t *findings, int severity)
{
    const json_t *finding;
    size_t index, count = 0;

    json_array_foreach(findings, index, finding) count += has_severity(finding, severity);
    return count;
}

/* The name of the forward, or the gateway. */
static const char *subject_of(const json_t *finding)
{
    const char *forward = member_text(finding, "forward");

    return *forward != '\0' ? forward : "the gateway";
}

/* The worst first; of one severity in the order of the forwards, the gateway last. */
static void print_findings(const json_t *findings)
{
    const json_t *finding;
    size_t index;

    for (int severity = SEVERITY_COUNT - 1; severity >= 0; severity--) {
        json_array_foreach(findings, index, finding)
        {
            struct shown forward, reason;

            if (!has_severity(finding, severity))
                continue;
            printf("%-6s  %s: %s (%s)\n", severity_names[severity],
                   show(&forward, subject_of(finding)),
                   show(&reason, member_text(finding, "reason")), member_text(finding, "id"));
            printf("        %s\n", member_text(finding, "advice"));
        }
    }
    printf("%zu findings: %zu high, %zu medium, %zu low, %zu info\n", json_array_size(findings),
           count_of(findings, SEVERITY_HIGH), count_of(findings, SEVERITY_MEDIUM),
           count_of(findings, SEVERITY_LOW), count_of(findings, SEVERITY_INFO));
}

/* SEVERITY_COUNT: nothing fails. False after a message. */
static bool read_limit(const struct options *options, int *limit)
{
    const char *name = options->value[OPTION_FAIL_ON];

    *limit = SEVERITY_COUNT;
    for (int severity = 0; name != NULL && severity < SEVERITY_COUNT; severity++) {
        if (strcmp(name, severity_names[severity]) == 0)
            *limit = severity;
    }
    if (name == NULL || *limit < SEVERITY_COUNT)
        return true;
    complain("--fail-on %s: expected info, low, medium or high", name);
    return false;
}

static int show_findings(const struct options *options, const json_t *findings, int limit)
{
    if (options_has(options, OPTION_JSON))
        json_print(findings);
    else
        print_findings(findings);
    for (int severity = limit; severity < SEVERITY_COUNT; severity++) {
        if (count_of(findings, severity) > 0)
            return EXIT_REFUSED;
    }
    return EXIT_DONE;
}

int run_audit(const struct options *options)
{
    struct audit audit = {.now = time(NULL)};
    json_t *forwards = NULL, *status = NULL, *listeners = NULL;
    int limit, code;

    if (!read_limit(options, &limit))
        return EXIT_USAGE;
    code = rpc_ask(options, "forwards", json_object(), NULL, NULL, &forwards);
    if (code == EXIT_DONE)
        code = rpc_ask(options, "status", json_object(), NULL, NULL, &status);
    if (code == EXIT_DONE)
        code = rpc_ask(options, "listeners", json_object(), NULL, NULL, &listeners);
    if (code == EXIT_DONE) {
        audit.findings = json_array();
        audit.shares = json_object_get(status, "shares");
        judge(&audit, forwards);
        judge_listeners(&audit, forwards, listeners);
        judge_pools(&audit);
        judge_notices(&audit, status);
        code = show_findings(options, audit.findings, limit);
    }
    json_decref(audit.findings);
    json_decref(listeners);
    json_decref(status);
    json_decref(forwards);
    return code;
}
