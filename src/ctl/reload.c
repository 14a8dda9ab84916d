/*
 * reload.c - portreeve reload: the daemon reads its configuration again, or says what would change
 */
#include "json.h"
#include "member.h"
#include "rpc.h"
#include "run.h"
#include "say.h"
#include "warnings.h"

#include <stdlib.h>
#include <unistd.h>

/* "note, allow": the names of what is different. */
static void print_fields(const json_t *fields)
{
    const char *field, *separator = " ";
    const json_t *change;
    struct shown shown;

    /* json_object_foreach takes no const pointer, but changes nothing */
    json_object_foreach((json_t *)fields, field, change)
    {
        printf("%s%s", separator, show(&shown, field));
        separator = ", ";
    }
    putchar('\n');
}

/* "changed forward web: allow, note" */
static void print_names(const char *kind, const json_t *list)
{
    const json_t *names = json_object_get(list, "names"), *what;
    const char *name;
    struct shown shown;
    int64_t left = member_number(list, "added") + member_number(list, "removed") +
                   member_number(list, "changed") - (int64_t)json_object_size(names);

    json_object_foreach((json_t *)names, name, what)
    {
        struct shown verb;

        if (json_is_object(what)) {
            printf("changed %s %s:", kind, show(&shown, name));
            print_fields(what);
        } else {
            printf("%s %s %s\n", show(&verb, json_is_string(what) ? json_string_value(what) : "?"),
                   kind, show(&shown, name));
        }
    }
    if (left > 0)
        printf("and %lld more %ss\n", (long long)left, kind);
}

static void print_changes(const json_t *changes)
{
    const json_t *settings = json_object_get(changes, "settings");

    print_names("forward", json_object_get(changes, "forwards"));
    print_names("share", json_object_get(changes, "shares"));
    if (json_object_size(settings) > 0) {
        printf("changed settings:");
        print_fields(settings);
    }
}

/* Who reads the output with a program gets one line after a reload, as ever. */
static void print_result(const struct options *options, const json_t *result)
{
    const bool diff = options_has(options, OPTION_DIFF);
    const long long ended = (long long)member_number(result, "sessions_ended");

    if (!diff)
        printf("reloaded; %lld sessions ended\n", ended);
    if (diff || isatty(STDOUT_FILENO))
        print_changes(json_object_get(result, "changes"));
    if (diff)
        printf("%lld sessions would end\n", ended);
}

int run_reload(const struct options *options)
{
    json_t *params = json_object(), *result;
    int code;

    if (options_has(options, OPTION_JSON) && !options_has(options, OPTION_DIFF)) {
        json_decref(params);
        complain("'reload' does not accept --json without --diff");
        return EXIT_USAGE;
    }
    if (options_has(options, OPTION_DIFF))
        json_object_set_new(params, "diff", json_true());
    code = rpc_ask(options, "reload", params, NULL, NULL, &result);
    if (code == EXIT_DONE && options_has(options, OPTION_JSON)) {
        json_print(result);
    } else {
        if (code == EXIT_DONE)
            print_result(options, result);
        complain_of_warnings(result);
    }
    json_decref(result);
    return code;
}
