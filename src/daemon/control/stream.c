/*
 * stream.c - sessions and events as lines
 *
 * There may be millions of them, so they are written directly, without a tree of jansson's. The
 * names of the members are an interface: doc/control-protocol.md lists them. Names of shares and
 * forwards need no escapes: they consist of letters, digits and a few marks (config_name_is_good).
 */
#include "stream.h"

#include "portreeve/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES    2048
#define ENDPOINT_JSON_MAX (ADDRESS_TEXT_MAX + 32)
#define NAME_JSON_MAX     (POLICY_NAME_MAX + 2)
#define SECONDS_MAX       32

struct line {
    char text[LINE_MAX_BYTES];
    size_t length;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length =
        vsnprintf(line->text + line->length, sizeof(line->text) - line->length, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < sizeof(line->text) - line->length) /* always true */
        line->length += (size_t)length;
}

static const char *endpoint_json(const struct endpoint *endpoint, char buffer[ENDPOINT_JSON_MAX])
{
    char address[ADDRESS_TEXT_MAX];

    snprintf(buffer, ENDPOINT_JSON_MAX, "{\"address\":\"%s\",\"port\":%u}",
             text_format_address(&endpoint->address, address), (unsigned)endpoint->port);
    return buffer;
}

static const char *name_json(const char *name, char buffer[NAME_JSON_MAX + 1])
{
    if (*name == '\0')
        return "null";
    snprintf(buffer, NAME_JSON_MAX + 1, "\"%s\"", name);
    return buffer;
}

/*
 * An interface's name has no quotes (config_take_value refuses them), but it may have a backslash.
 * The longest text is as long as every character escaped.
 */
#define INTERFACE_JSON_MAX (2 * INTERFACE_NAME_MAX + 2)

static const char *interface_json(const char *name, char buffer[INTERFACE_JSON_MAX])
{
    char *end = buffer;

    if (*name == '\0')
        return "null";
    *end++ = '"';
    for (; *name != '\0'; name++) {
        if (*name == '\\' || *name == '"')
            *end++ = '\\';
        *end++ = *name;
    }
    *end++ = '"';
    *end = '\0';
    return buffer;
}

static const char *seconds_json(uint64_t milliseconds, char buffer[SECONDS_MAX])
{
    snprintf(buffer, SECONDS_MAX, "%llu.%03u", (unsigned long long)(milliseconds / 1000),
             (unsigned)(milliseconds % 1000));
    return buffer;
}

static void add_outcome(struct line *line, const char *outcome)
{
    if (outcome == NULL)
        add(line, ",\"outcome\":null");
    else
        add(line, ",\"outcome\":\"%s\"", outcome);
}

static void add_session(struct line *line, const struct config *config,
                        const struct session_view *session)
{
    char interface[INTERFACE_JSON_MAX];
    char internal[ENDPOINT_JSON_MAX], external[ENDPOINT_JSON_MAX], remote[ENDPOINT_JSON_MAX];
    char share[NAME_JSON_MAX + 1], forward[NAME_JSON_MAX + 1];
    char age[SECONDS_MAX], idle[SECONDS_MAX], expires_in[SECONDS_MAX];

    add(line,
        "{\"id\":%llu,\"protocol\":\"%s\",\"state\":\"%s\",\"direction\":\"%s\",\"internal\":%s,"
        "\"external\":%s,"
        "\"remote\":%s,\"share\":%s,\"forward\":%s,\"age\":%s,\"idle\":%s,\"expires_in\":%s,",
        (unsigned long long)session->id, protocol_name(session->protocol),
        session_state_name(session->state), direction_name(session->direction),
        endpoint_json(&session->internal, internal), endpoint_json(&session->external, external),
        endpoint_json(&session->remote, remote), name_json(session->share, share),
        name_json(session->forward, forward), seconds_json(session->age_ms, age),
        seconds_json(session->idle_ms, idle), seconds_json(session->expires_in_ms, expires_in));
    add(line,
        "\"packets\":{\"out\":%llu,\"in\":%llu},\"bytes\":{\"out\":%llu,\"in\":%llu},\"offloaded\":"
        "%s",
        (unsigned long long)session->packets_out, (unsigned long long)session->packets_in,
        (unsigned long long)session->bytes_out, (unsigned long long)session->bytes_in,
        session->offloaded ? "true" : "false");
    add(line, ",\"interface\":%s",
        interface_json(config_external(config, session->uplink), interface));
    if (session->direction == DIRECTION_HAIRPIN)
        add(line, ",\"peer\":%s", endpoint_json(&session->peer, internal));
    if (!endpoint_equal(&session->remote_inside, &session->remote))
        add(line, ",\"remote_inside\":%s", endpoint_json(&session->remote_inside, internal));
    add_outcome(line, outcome_name(session->outcome));
    if (session_ended_by(session) != NULL)
        add(line, ",\"ended_by\":%s", endpoint_json(session_ended_by(session), internal));
    add(line, "}");
}

void stream_session(struct output *output, const struct config *config,
                    const struct session_view *session)
{
    struct line line;

    line.length = 0; /* the text needs no initial value */
    add(&line, "{\"jsonrpc\":\"2.0\",\"method\":\"session\",\"params\":");
    add_session(&line, config, session);
    add(&line, "}\n");
    output_write(output, line.text, line.length);
}

static void add_time(struct line *line, int64_t milliseconds)
{
    char text[TIME_TEXT_MAX];
    size_t whole =
        strlen(text_format_time(milliseconds / 1000, text)) - 1; /* without the final Z */

    add(line, "\"%.*s.%03dZ\"", (int)whole, text, (int)(milliseconds % 1000));
}

/* What an answer to the first packet has said, and how long it took. */
static void add_end(struct line *line, const struct event *event)
{
    const struct icmp_report *icmp = &event->icmp;
    char address[ADDRESS_TEXT_MAX], after[SECONDS_MAX];

    if (event->session.outcome == OUTCOME_REFUSED || icmp->type != 0)
        add(line, ",\"after\":%s", seconds_json(event->waited_ms, after));
    if (icmp->type != 0)
        add(line, ",\"icmp\":{\"from\":\"%s\",\"type\":%u,\"code\":%u}",
            text_format_address(&icmp->from, address), (unsigned)icmp->type, (unsigned)icmp->code);
}

void stream_event(struct output *output, const struct config *config, const struct event *event,
                  uint64_t now, int64_t now_epoch_ms)
{
    int64_t age = now > event->time ? (int64_t)(now - event->time) : 0;
    struct line line;

    line.length = 0; /* the text needs no initial value */
    add(&line, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"type\":\"%s\",\"time\":",
        event_type_name(event->type));
    add_time(&line, now_epoch_ms - age);
    add(&line, ",\"session\":");
    add_session(&line, config, &event->session);
    if (event->type == EVENT_CLOSED)
        add(&line, ",\"reason\":\"%s\"", close_reason_name(event->reason));
    if (event->type == EVENT_ENDED)
        add_end(&line, event);
    if (event->type == EVENT_CLOSED || event->type == EVENT_ENDED)
        add_outcome(&line, event_outcome_name(event));
    add(&line, "}}\n");
    output_write(output, line.text, line.length);
}
