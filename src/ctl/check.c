/*
 * check.c - portreeve check: whether the translation table of the running daemon adds up
 */
#include "json.h"
#include "member.h"
#include "rpc.h"
#include "run.h"
#include "say.h"

#include <stdio.h>

static long long seen(const json_t *result, const char *what)
{
    return (long long)member_number(json_object_get(result, "seen"), what);
}

static void print_faults(const json_t *result)
{
    const json_t *fault;
    struct shown text, check;
    size_t index;

    json_array_foreach(json_object_get(result, "faults"), index, fault)
        printf("WRONG  %lld %s (%s; the first: %lld)\n", (long long)member_number(fault, "count"),
               show(&text, member_text(fault, "text")), show(&check, member_text(fault, "check")),
               (long long)member_number(fault, "first"));
}

static void print_report(const json_t *result)
{
    print_faults(result);
    printf("%s: %lld sessions, %lld mappings, %lld hosts, %lld ports",
           json_is_true(json_object_get(result, "adds_up")) ? "everything adds up" : "looked at",
           seen(result, "sessions"), seen(result, "mappings"), seen(result, "hosts"),
           seen(result, "ports"));
    if (json_is_true(json_object_get(result, "kernel")))
        printf(", and %lld offloaded sessions in the kernel", seen(result, "offloaded"));
    putchar('\n');
}

int run_check(const struct options *options)
{
    json_t *result;
    int code = rpc_ask(options, "check", json_object(), NULL, NULL, &result);

    if (code == EXIT_DONE) {
        if (options->given & OPTION_BIT(OPTION_JSON))
            json_print(result);
        else
            print_report(result);
        if (!json_is_true(json_object_get(result, "adds_up")))
            code = EXIT_REFUSED;
    }
    json_decref(result);
    return code;
}
