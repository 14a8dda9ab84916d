/*
 * methods.c - the methods of the control socket
 *
 * Each method that changes something writes a line to the log: who did what. This is the audit
 * trail.
 */
#include "methods.h"

#include "answer.h"
#include "changes.h"
#include "drops.h"
#include "events.h"
#include "explain.h"
#include "job.h"
#include "json.h"
#include "portreeve/log.h"
#include "portreeve/text.h"
#include "portreeve/upgrade.h"
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* NULL: the parameter is not given. */
static const char *text_parameter(const struct request *request, const char *name)
{
    return json_string_value(json_object_get(request->params, name));
}

/* Fills `filter` from the parameter of this name. False if the request was refused. */
static bool filter_parameter(struct request *request, struct filter *filter)
{
    struct error error = {0};
    const json_t *word;
    size_t index;

    filter_init(filter);
    json_array_foreach(json_object_get(request->params, "filter"), index, word)
    {
        if (!filter_add(filter, json_string_value(word), &error)) {
            answer_refusal(request->output, request->id, CONTROL_ERROR_PARAMS, NULL, "%s",
                           error.text);
            return false;
        }
    }
    return true;
}

/* ---- refused changes ---- */

static void collect(void *context, const char *message)
{
    json_array_append_new(context, json_text(message));
}

/* Refuses with the collected errors. The message is the first one and the number of the others. */
static void refuse_change(struct request *request, json_t *errors)
{
    const char *first = json_string_value(json_array_get(errors, 0));
    size_t count = json_array_size(errors);
    char who[PEER_TEXT_MAX];

    if (first == NULL)
        first = "unknown reason";
    log_notice("%s: %s refused: %s", peer_describe(&request->client->peer, who),
               request->method->name, first);
    if (count > 1)
        answer_refusal(request->output, request->id, CONTROL_ERROR_REFUSED, errors,
                       "%s (and %zu more)", first, count - 1);
    else
        answer_refusal(request->output, request->id, CONTROL_ERROR_REFUSED, errors, "%s", first);
}

/* ---- the methods ---- */

static void run_status(struct request *request)
{
    answer_result(request->output, request->id, status_json(request->gateway));
}

static void run_sessions(struct request *request)
{
    struct filter filter;

    if (filter_parameter(request, &filter))
        job_begin_sessions(request, &filter);
}

static void run_mappings(struct request *request)
{
    job_begin_mappings(request);
}

static void run_forwards(struct request *request)
{
    job_begin_forwards(request);
}

#define LISTENERS_MAX 256

static void run_listeners(struct request *request)
{
    struct gateway_listener *list = calloc(LISTENERS_MAX, sizeof(*list));
    json_t *listeners = json_array();
    size_t count = 0;

    if (list != NULL)
        count = gateway_listeners(request->gateway, list, LISTENERS_MAX);
    for (size_t i = 0; i < count && i < LISTENERS_MAX; i++)
        json_array_append_new(
            listeners,
            json_pack("{s:s,s:i,s:o,s:o}", "protocol", protocol_name(list[i].protocol), "port",
                      (int)list[i].port, "address",
                      list[i].takes_any_address ? json_null() : json_address(&list[i].address),
                      "program", json_text(list[i].program)));
    answer_result(request->output, request->id,
                  list == NULL
                      ? NULL
                      : json_pack("{s:O,s:I}", "listeners", listeners, "count", (json_int_t)count));
    json_decref(listeners);
    free(list);
}

static void run_check(struct request *request)
{
    job_begin_check(request);
}

static void run_events(struct request *request)
{
    struct filter filter;

    if (filter_parameter(request, &filter))
        events_subscribe(request, &filter);
}

/*
 * The words of the filter in one line, cut to `size` bytes. They are printable, because filter_add
 * has accepted them.
 */
static void describe_filter(const struct request *request, char *buffer, size_t size)
{
    const json_t *word;
    size_t index, used = 0;

    snprintf(buffer, size, "all");
    json_array_foreach(json_object_get(request->params, "filter"), index, word)
    {
        if (used < size)
            used += (size_t)snprintf(buffer + used, size - used, "%s%s", index > 0 ? " " : "",
                                     json_string_value(word));
    }
}

static void run_kill(struct request *request)
{
    bool all = json_is_true(json_object_get(request->params, "all"));
    char described[JOB_DESCRIBED_MAX];
    struct filter filter;

    if (!filter_parameter(request, &filter))
        return;
    if (all == (filter.count > 0)) {
        answer_refusal(
            request->output, request->id, CONTROL_ERROR_PARAMS, NULL,
            all ? "expected a 'filter' or \"all\": true, not both"
                : "expected a 'filter' with at least one word; \"all\": true ends every session");
        return;
    }
    describe_filter(request, described, sizeof(described));
    job_begin_kill(request, &filter, described);
}

struct reload_report {
    json_t *errors, *warnings;
};

static void collect_error(void *context, const char *message)
{
    collect(((struct reload_report *)context)->errors, message);
}

static void collect_warning(void *context, const char *message)
{
    log_warning("%s", message);
    collect(((struct reload_report *)context)->warnings, message);
}

/* For people who watch the configuration being edited: nothing of it goes to the log. */
static void collect_planned_warning(void *context, const char *message)
{
    collect(((struct reload_report *)context)->warnings, message);
}

static void plan_reload(struct request *request)
{
    struct reload_report report = {json_array(), json_array()};
    uint32_t ending = 0;
    struct policy *next = gateway_plan_reload(request->gateway, collect_error,
                                              collect_planned_warning, &report, &ending);

    if (next == NULL) {
        json_decref(report.warnings);
        refuse_change(request, report.errors);
        return;
    }
    json_decref(report.errors);
    answer_result(request->output, request->id,
                  json_pack("{s:I,s:o,s:o}", "sessions_ended", (json_int_t)ending, "warnings",
                            report.warnings, "changes",
                            changes_between(gateway_policy(request->gateway), next)));
    policy_free(next);
}

/* Each changed forward of a reload, with its old and new values. */
static void log_forward_changes(const struct request *request, const json_t *names)
{
    char who[PEER_TEXT_MAX], text[CHANGES_TEXT_MAX];
    const json_t *what;
    const char *name;

    peer_describe(&request->client->peer, who);
    /* json_object_foreach takes no const pointer, but changes nothing */
    json_object_foreach((json_t *)names, name, what)
    {
        if (json_is_object(what))
            log_change("%s: forward '%s' changed: %s", who, name, changes_text(what, text));
        else
            log_change("%s: forward '%s' %s", who, name, json_string_value(what));
    }
}

/* "2 forwards added, 1 changed, 0 removed" */
static void log_reload(const struct request *request, const json_t *changes, uint32_t ended)
{
    const json_t *forwards = json_object_get(changes, "forwards");
    char who[PEER_TEXT_MAX];

    log_change("%s: configuration reloaded; %u sessions ended; forwards: %lld added, %lld changed, "
               "%lld removed",
               peer_describe(&request->client->peer, who), (unsigned)ended,
               (long long)json_integer_value(json_object_get(forwards, "added")),
               (long long)json_integer_value(json_object_get(forwards, "changed")),
               (long long)json_integer_value(json_object_get(forwards, "removed")));
    log_forward_changes(request, json_object_get(forwards, "names"));
}

static void run_reload(struct request *request)
{
    struct reload_report report;
    struct policy *before;
    uint32_t ended = 0;
    json_t *changes;

    if (json_is_true(json_object_get(request->params, "diff"))) {
        plan_reload(request);
        return;
    }
    before = policy_copy(gateway_policy(request->gateway));
    if (before == NULL) {
        answer_result(request->output, request->id, NULL);
        return;
    }
    report = (struct reload_report){json_array(), json_array()};
    if (!gateway_reload(request->gateway, collect_error, collect_warning, &report, &ended)) {
        json_decref(report.warnings);
        policy_free(before);
        refuse_change(request, report.errors);
        return;
    }
    json_decref(report.errors);
    changes = changes_between(before, gateway_policy(request->gateway));
    policy_free(before);
    log_reload(request, changes, ended);
    answer_result(request->output, request->id,
                  json_pack("{s:I,s:o,s:o?}", "sessions_ended", (json_int_t)ended, "warnings",
                            report.warnings, "changes", changes));
}

/* The connection ends when the program is replaced. */
static void run_upgrade(struct request *request)
{
    json_t *errors = json_array();
    struct error error = {0};
    char who[PEER_TEXT_MAX];

    if (upgrade_request(&error) < 0) {
        collect(errors, error.text);
        refuse_change(request, errors);
        return;
    }
    json_decref(errors);
    log_change("%s: upgrade", peer_describe(&request->client->peer, who));
    answer_result(request->output, request->id, json_object());
}

/*
 * The parameter `expires`, or `for` ("2h") as a time from now, as the configuration writes it.
 * NULL: never. False if the request was refused.
 */
static bool expiry_parameter(struct request *request, char buffer[TIME_TEXT_MAX],
                             const char **expires)
{
    const char *duration = text_parameter(request, "for");
    uint32_t seconds;

    *expires = text_parameter(request, "expires");
    if (duration == NULL)
        return true;
    if (*expires != NULL) {
        answer_refusal(request->output, request->id, CONTROL_ERROR_PARAMS, NULL,
                       "expected 'for' or 'expires', not both");
        return false;
    }
    if (!text_parse_duration(duration, &seconds)) {
        answer_refusal(request->output, request->id, CONTROL_ERROR_PARAMS, NULL,
                       "for = %.64s: expected a duration, as in 30m, 2h or 1d12h", duration);
        return false;
    }
    *expires = text_format_time(time(NULL) + (time_t)seconds, buffer);
    return true;
}

static void run_forward_add(struct request *request)
{
    struct forward_text text = {.name = text_parameter(request, "name"),
                                .listen = text_parameter(request, "listen"),
                                .to = text_parameter(request, "to"),
                                .allow = text_parameter(request, "allow"),
                                .owner = text_parameter(request, "owner"),
                                .note = text_parameter(request, "note"),
                                .sessions = text_parameter(request, "sessions"),
                                .new_sessions = text_parameter(request, "new_sessions")};
    char expires[TIME_TEXT_MAX], who[PEER_TEXT_MAX];
    json_t *errors, *warnings;
    uint32_t ended = 0;

    text.by = peer_describe(&request->client->peer, who);
    if (!expiry_parameter(request, expires, &text.expires))
        return;
    errors = json_array();
    if (!gateway_add_forward(request->gateway, &text,
                             json_is_true(json_object_get(request->params, "force")), collect,
                             errors, &ended)) {
        refuse_change(request, errors);
        return;
    }
    json_decref(errors);
    log_change("%s: forward '%s' added: listen %s, to %s, allow %s, owner %s, note %s, expires %s, "
               "sessions %s, new sessions a second %s; %u sessions ended",
               peer_describe(&request->client->peer, who), text.name, text.listen, text.to,
               text.allow != NULL ? text.allow : "anyone", text.owner != NULL ? text.owner : "none",
               text.note != NULL ? text.note : "none",
               text.expires != NULL ? text.expires : "never",
               text.sessions != NULL ? text.sessions : "any number",
               text.new_sessions != NULL ? text.new_sessions : "any number", (unsigned)ended);
    warnings = json_array();
    gateway_report_forward(request->gateway, text.name, collect, warnings);
    answer_result(request->output, request->id,
                  json_pack("{s:s,s:s?,s:I,s:o}", "name", text.name, "expires", text.expires,
                            "sessions_ended", (json_int_t)ended, "warnings", warnings));
}

/* False if the request was refused: it changes nothing. */
static bool changes_anything(struct request *request, const struct forward_text *text)
{
    if (text->name != NULL &&
        (text->allow != NULL || text->owner != NULL || text->note != NULL ||
         text->expires != NULL || text->sessions != NULL || text->new_sessions != NULL))
        return true;
    answer_refusal(request->output, request->id, CONTROL_ERROR_PARAMS, NULL,
                   "expected 'name', the forward to change, and at least one of 'allow', 'owner', "
                   "'note', 'expires', 'for', 'sessions' and 'new_sessions'");
    return false;
}

static void answer_changed(struct request *request, const char *name, json_t *changes,
                           uint32_t ended)
{
    char who[PEER_TEXT_MAX], text[CHANGES_TEXT_MAX];

    log_change("%s: forward '%s' changed: %s; %u sessions ended",
               peer_describe(&request->client->peer, who), name, changes_text(changes, text),
               (unsigned)ended);
    answer_result(request->output, request->id,
                  json_pack("{s:s,s:o?,s:I}", "name", name, "changes", changes, "sessions_ended",
                            (json_int_t)ended));
}

/* The former policy is gone afterwards, so it is copied. */
static void run_forward_set(struct request *request)
{
    struct forward_text text = {.name = text_parameter(request, "name"),
                                .allow = text_parameter(request, "allow"),
                                .owner = text_parameter(request, "owner"),
                                .note = text_parameter(request, "note"),
                                .sessions = text_parameter(request, "sessions"),
                                .new_sessions = text_parameter(request, "new_sessions")};
    char expires[TIME_TEXT_MAX], who[PEER_TEXT_MAX];
    json_t *errors;
    struct policy *before;
    uint32_t ended = 0;

    text.by = peer_describe(&request->client->peer, who);
    if (!expiry_parameter(request, expires, &text.expires) || !changes_anything(request, &text))
        return;
    before = policy_copy(gateway_policy(request->gateway));
    if (before == NULL) {
        answer_result(request->output, request->id, NULL);
        return;
    }
    errors = json_array();
    if (gateway_change_forward(request->gateway, &text, collect, errors, &ended)) {
        const struct policy *after = gateway_policy(request->gateway);

        json_decref(errors);
        answer_changed(request, text.name,
                       changes_json(policy_find_forward(before, text.name),
                                    policy_find_forward(after, text.name)),
                       ended);
    } else {
        refuse_change(request, errors);
    }
    policy_free(before);
}

static void run_forward_remove(struct request *request)
{
    const char *name = text_parameter(request, "name");
    const struct forward *forward;
    json_t *errors;
    uint32_t ended = 0;
    char who[PEER_TEXT_MAX], had[CHANGES_TEXT_MAX] = "";

    if (name == NULL) {
        answer_refusal(request->output, request->id, CONTROL_ERROR_PARAMS, NULL,
                       "expected 'name', the forward to remove");
        return;
    }
    forward = policy_find_forward(gateway_policy(request->gateway), name);
    if (forward != NULL)
        changes_describe(forward, had);
    errors = json_array();
    if (!gateway_remove_forward(request->gateway, name, collect, errors, &ended)) {
        refuse_change(request, errors);
        return;
    }
    json_decref(errors);
    log_change("%s: forward '%s' removed; %u sessions ended; it had %s",
               peer_describe(&request->client->peer, who), name, (unsigned)ended, had);
    answer_result(request->output, request->id,
                  json_pack("{s:I}", "sessions_ended", (json_int_t)ended));
}

static const struct method methods[] = {
    {"status", false, {{0}}, run_status},
    {"sessions", false, {{"filter", PARAMETER_FILTER}}, run_sessions},
    {"mappings", false, {{0}}, run_mappings},
    {"forwards", false, {{0}}, run_forwards},
    {"events", false, {{"filter", PARAMETER_FILTER}}, run_events},
    {"check", false, {{0}}, run_check},
    {"drops", false, {{0}}, run_drops},
    {"listeners", false, {{0}}, run_listeners},
    {"explain",
     false,
     {{"protocol", PARAMETER_TEXT},
      {"from", PARAMETER_TEXT},
      {"to", PARAMETER_TEXT},
      {"probe", PARAMETER_TEXT}},
     run_explain},
    {"forward.add",
     true,
     {{"name", PARAMETER_TEXT},
      {"listen", PARAMETER_TEXT},
      {"to", PARAMETER_TEXT},
      {"allow", PARAMETER_TEXT},
      {"owner", PARAMETER_TEXT},
      {"note", PARAMETER_TEXT},
      {"expires", PARAMETER_TEXT},
      {"for", PARAMETER_TEXT},
      {"force", PARAMETER_FLAG},
      {"sessions", PARAMETER_TEXT},
      {"new_sessions", PARAMETER_TEXT}},
     run_forward_add},
    {"forward.set",
     true,
     {{"name", PARAMETER_TEXT},
      {"allow", PARAMETER_TEXT},
      {"owner", PARAMETER_TEXT},
      {"note", PARAMETER_TEXT},
      {"expires", PARAMETER_TEXT},
      {"for", PARAMETER_TEXT},
      {"sessions", PARAMETER_TEXT},
      {"new_sessions", PARAMETER_TEXT}},
     run_forward_set},
    {"forward.remove", true, {{"name", PARAMETER_TEXT}}, run_forward_remove},
    {"kill", true, {{"filter", PARAMETER_FILTER}, {"all", PARAMETER_FLAG}}, run_kill},
    {"reload", true, {{"diff", PARAMETER_FLAG}}, run_reload},
    {"upgrade", true, {{0}}, run_upgrade},
};

#define METHOD_COUNT (sizeof(methods) / sizeof(methods[0]))

const struct method *methods_find(const char *name)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}

const char *methods_list(char buffer[WORDS_TEXT_MAX])
{
    const char *names[METHOD_COUNT];

    for (size_t i = 0; i < METHOD_COUNT; i++)
        names[i] = methods[i].name;
    return words_list(names, METHOD_COUNT, buffer);
}
