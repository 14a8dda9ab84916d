/*
 * events.c - portreeve events: a line for each event, until Ctrl-C
 */
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

static void print_end(const json_t *event, const json_t *session)
{
    const json_t *bytes = json_object_get(session, "bytes");
    char age[CELL_MAX], sent[CELL_MAX], received[CELL_MAX];

    print_text(": ", member_text(event, "reason"));
    printf(" after %s, sent %s, received %s", format_duration(member_seconds(session, "age"), age),
           format_amount(member_number(bytes, "out"), sent),
           format_amount(member_number(bytes, "in"), received));
}

static void print_event(const json_t *event)
{
    const json_t *session = json_object_get(event, "session");

    print_text("", member_text(event, "time"));
    print_text(" ", member_text(event, "type"));
    print_text(" ", member_text(session, "protocol"));
    putchar(' ');
    print_ends(session);
    if (strcmp(member_text(event, "type"), "closed") == 0)
        print_end(event, session);
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
    int code = rpc_open(&rpc, options->socket);

    if (code != EXIT_DONE)
        return code;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    code = rpc_call(&rpc, "events", rpc_filter(options), take_line, &json, &result);
    while (code == EXIT_DONE && !ferror(stdout))
        code = rpc_follow(&rpc, take_line, &json);
    json_decref(result);
    rpc_close(&rpc);
    return code;
}
