/*
 * explain.c - the method that says what becomes of a connection and why
 */
#include "explain.h"

#include "answer.h"
#include "json.h"
#include "portreeve/explain_gateway.h"
#include "portreeve/text.h"

#include <string.h>

static const char *parameter(const struct request *request, const char *name)
{
    return json_string_value(json_object_get(request->params, name));
}

static bool refuse(struct request *request, const char *name, const char *value,
                   const char *expected)
{
    answer_refusal(request->output, request->id, CONTROL_ERROR_PARAMS, NULL,
                   "%s = %.64s: expected %s", name, value != NULL ? value : "(nothing)", expected);
    return false;
}

static bool read_protocol(struct request *request, uint8_t *protocol)
{
    const char *name = parameter(request, "protocol");

    for (enum protocol_index i = 0; name != NULL && i < PROTOCOL_PORTS_COUNT; i++) {
        *protocol = protocol_table[i].number;
        if (strcmp(name, protocol_table[i].name) == 0)
            return true;
    }
    return refuse(request, "protocol", name, "tcp or udp");
}

/* IPv4 only, as what is translated. */
static bool is_ipv4_or_any(const struct endpoint *endpoint)
{
    return address_is_ipv4(&endpoint->address) ||
           address_equal(&endpoint->address, &(struct address){{0}});
}

/* "8443" or "203.0.113.5:8443" */
static bool read_to(struct request *request, struct endpoint *to)
{
    const char *text = parameter(request, "to");
    uint64_t port;

    if (text != NULL && text_parse_number(text, 1, UINT16_MAX, &port)) {
        *to = (struct endpoint){.port = (uint16_t)port};
        return true;
    }
    if (text != NULL && text_parse_endpoint(text, to) && is_ipv4_or_any(to))
        return true;
    return refuse(request, "to", text, "a port, or an IPv4 address and a port");
}

/* "198.51.100.7" or "198.51.100.7:40000"; not given: anybody */
static bool read_from(struct request *request, struct endpoint *from)
{
    const char *text = parameter(request, "from");

    *from = (struct endpoint){.port = 0};
    if (text == NULL)
        return true;
    if ((text_parse_address(text, &from->address) || text_parse_endpoint(text, from)) &&
        address_is_ipv4(&from->address))
        return true;
    return refuse(request, "from", text, "an IPv4 address, with or without a port");
}

static bool read_probe(struct request *request, enum explain_probe *probe)
{
    const char *text = parameter(request, "probe");

    for (*probe = EXPLAIN_PROBE_NONE; *probe < EXPLAIN_PROBE_COUNT; (*probe)++) {
        if (strcmp(text != NULL ? text : "none", explain_probe_name(*probe)) == 0)
            return true;
    }
    return refuse(request, "probe", text, "none, answered, refused, silent or unreachable");
}

static json_t *steps_json(const struct explain_report *report)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < report->count; i++) {
        const struct explain_step *step = &report->step[i];

        json_array_append_new(steps, json_pack("{s:s,s:s,s:o}", "check", step->check, "result",
                                               explain_result_name(step->result), "text",
                                               json_text(step->text)));
    }
    return steps;
}

static json_t *candidates_json(const struct explain_report *report)
{
    json_t *candidates = json_array();

    for (size_t i = 0; i < report->candidate_count; i++)
        json_array_append_new(
            candidates, json_pack("{s:s,s:s}", "cause", explain_cause_name(report->candidate[i]),
                                  "advice", explain_cause_advice(report->candidate[i])));
    return candidates;
}

static const char *verdict_of(const struct explain_report *report)
{
    if (report->cause != EXPLAIN_HEALTHY)
        return "faulty";
    return report->candidate_count > 0 ? "undecided" : "healthy";
}

static json_t *target_json(const struct explain_report *report)
{
    return report->target.port == 0
               ? json_null()
               : json_pack("{s:o,s:i}", "address", json_address(&report->target.address), "port",
                           (int)report->target.port);
}

void run_explain(struct request *request)
{
    struct explain_request asked = {.probe = EXPLAIN_PROBE_NONE};
    struct explain_report report;
    bool undecided;

    if (!read_protocol(request, &asked.protocol) || !read_to(request, &asked.to) ||
        !read_from(request, &asked.from) || !read_probe(request, &asked.probe))
        return;
    gateway_explain(request->gateway, &asked, &report);
    undecided = report.candidate_count > 0;
    answer_result(request->output, request->id,
                  json_pack("{s:s,s:s?,s:s,s:o,s:o,s:o,s:o}", "verdict", verdict_of(&report),
                            "cause", undecided ? NULL : explain_cause_name(report.cause), "advice",
                            explain_cause_advice(report.cause), "steps", steps_json(&report),
                            "candidates", candidates_json(&report), "from",
                            json_address(&report.from.address), "target", target_json(&report)));
}
