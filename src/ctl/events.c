/*
 * events.c - portreeve events: a line for each event, until Ctrl-C
 */
#include "drops.h"
#include "format.h"
#include "json.h"
#include "member.h"
#include "portreeve/text.h"
#include "rpc.h"
#include "run.h"
#include "say.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Each line is flushed when it is complete, so there is nothing else to do. */
static void end_now(int number)
{
    (void)number;
    _exit(EXIT_DONE);
}

/* The endpoints in the direction of the first packet, and the endpoint after the translation. */
static void print_ends(const json_t *session)
{
    char internal[CELL_MAX], external[CELL_MAX], remote[CELL_MAX];
    bool inbound = strcmp(member_text(session, "direction"), "inbound") == 0;

    text_make_printable(format_internal(session, internal));
    text_make_printable(format_external(session, external));
    text_make_printable(format_remote(session, remote));
    if (inbound)
        printf("%s -> %s, to %s", remote, external, internal);
    else
        printf("%s -> %s, as %s", internal, remote, external);
}

static void print_text(const char *before, const char *text)
{
    struct shown shown;

    if (*text != '\0')
        printf("%s%s", before, show(&shown, text));
}

static bool has_type(const json_t *event, const char *type)
{
    return strcmp(member_text(event, "type"), type) == 0;
}

static void print_bytes(const json_t *session)
{
    const json_t *bytes = json_object_get(session, "bytes");
    char sent[CELL_MAX], received[CELL_MAX];

    printf(", sent %s, received %s", format_amount(member_number(bytes, "out"), sent),
           format_amount(member_number(bytes, "in"), received));
}

/* Its session has left the table. */
static void print_removal(const json_t *event, const json_t *session)
{
    bool unanswered = strcmp(member_text(event, "outcome"), "unanswered") == 0;
    char age[CELL_MAX];

    print_text(": ", member_text(event, unanswered ? "outcome" : "reason"));
    printf(" after %s", format_duration(member_seconds(session, "age"), age));
    print_bytes(session);
}

/* Its exchange has come to its end: by whom, and when. */
static void print_end(const json_t *event, const json_t *session)
{
    const json_t *by = json_object_get(session, "ended_by"), *icmp = json_object_get(event, "icmp");
    bool answered = json_object_get(event, "after") != NULL;
    char end[CELL_MAX], span[CELL_MAX];

    fputs(": ", stdout);
    if (icmp != NULL) {
        printf("%s, says", format_icmp(icmp, end));
        print_text(" ", member_text(icmp, "from"));
        putchar(',');
    } else if (by != NULL) {
        format_endpoint(by, member_text(session, "protocol"), false, end);
        print_text(answered ? "" : "by ", end);
        fputs(answered ? " answered RST" : "", stdout);
    }
    printf("%safter %s", icmp != NULL || by != NULL ? " " : "",
           format_span(answered ? member_seconds(event, "after") : member_seconds(session, "age"),
                       span));
    if (!answered)
        print_bytes(session);
}

/* The end of the exchange has been told; that its session leaves the table later is no news. */
static bool is_aftermath(const json_t *event, const json_t *session)
{
    static const char *const usual[] = {"expired", "evicted", "reclaimed", "replaced"};
    bool is_usual = false;

    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        is_usual |= strcmp(member_text(event, "reason"), usual[i]) == 0;
    return has_type(event, "closed") && *member_text(session, "outcome") != '\0' && is_usual;
}

static void print_event(const json_t *event)
{
    const json_t *session = json_object_get(event, "session");
    bool ended = has_type(event, "ended");

    if (is_aftermath(event, session))
        return;
    print_text("", member_text(event, "time"));
    print_text(" ", member_text(event, ended ? "outcome" : "type"));
    print_text(" ", member_text(session, "protocol"));
    putchar(' ');
    print_ends(session);
    if (ended)
        print_end(event, session);
    if (has_type(event, "closed"))
        print_removal(event, session);
    printf(" (id=%lld", (long long)member_number(session, "id"));
    print_text(" share=", member_text(session, "share"));
    print_text(" forward=", member_text(session, "forward"));
    puts(")");
}

/* Printed at the place where the events are missing. */
static void print_lost(const json_t *params, bool json)
{
    long long count = (long long)member_number(params, "count");

    if (json)
        printf("{\"type\":\"lost\",\"count\":%lld}\n", count);
    else
        printf("(%lld events were lost here: they came faster than they were read)\n", count);
}

static void take_line(void *context, const char *method, const json_t *params)
{
    const bool *json = context;

    if (strcmp(method, "lost") == 0)
        print_lost(params, *json);
    else if (strcmp(method, "event") == 0 && *json)
        json_print_line(params);
    else if (strcmp(method, "event") == 0)
        print_event(params);
    fflush(stdout);
}

int run_events(const struct options *options)
{
    bool json = options_has(options, OPTION_JSON);
    struct sigaction action = {.sa_handler = end_now};
    json_t *result = NULL;
    struct rpc rpc;
    int code;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (options->count == 1 && strcmp(options->words[0], "drops") == 0)
        return drops_follow(options);
    code = rpc_open(&rpc, options->socket);
    if (code != EXIT_DONE)
        return code;
    code = rpc_call(&rpc, "events", rpc_filter(options), take_line, &json, &result);
    while (code == EXIT_DONE && !ferror(stdout))
        code = rpc_follow(&rpc, take_line, &json);
    json_decref(result);
    rpc_close(&rpc);
    return code;
}
