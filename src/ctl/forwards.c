/*
 * forwards.c - portreeve forwards, forward add, forward remove
 */
#include "format.h"
#include "json.h"
#include "member.h"
#include "portreeve/text.h"
#include "rpc.h"
#include "run.h"
#include "say.h"
#include "table.h"
#include "warnings.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NAME, PROTOCOL, LISTEN, TO, ALLOW, SESSIONS, EXPIRES, ORIGIN, OWNER, NOTE, COLUMN_COUNT };

static const struct column columns[COLUMN_COUNT] = {
    [NAME] = {"NAME", false, 0},       [PROTOCOL] = {"PROTO", false, 0},
    [LISTEN] = {"LISTEN", false, 0},   [TO] = {"TO", false, 0},
    [ALLOW] = {"ALLOW", false, 3},     [SESSIONS] = {"SESSIONS", true, 4},
    [EXPIRES] = {"EXPIRES", false, 2}, [ORIGIN] = {"ORIGIN", false, 5},
    [OWNER] = {"OWNER", false, 1},     [NOTE] = {"NOTE", false, 6},
};

/* "2222", "443 https", "8000-8099". */
static char *format_listen(const json_t *forward, char buffer[CELL_MAX])
{
    const char *protocol =
        json_string_value(json_array_get(json_object_get(forward, "protocols"), 0));
    const struct servent *known = NULL;
    struct port_range range;

    if (text_parse_port_range(member_text(forward, "listen"), &range) && range.first == range.last)
        known = getservbyport(htons(range.first), protocol);
    snprintf(buffer, CELL_MAX, "%.32s%s%.32s", member_text(forward, "listen"),
             known != NULL ? " " : "", known != NULL ? known->s_name : "");
    return buffer;
}

static char *format_expiry(const json_t *forward, char buffer[CELL_MAX])
{
    char left[CELL_MAX];
    int64_t when;

    if (!text_parse_time(member_text(forward, "expires"), &when))
        snprintf(buffer, CELL_MAX, "never");
    else
        snprintf(buffer, CELL_MAX, "in %s", format_duration((double)(when - time(NULL)), left));
    return buffer;
}

/* Forwards are sorted by the port that they listen on. */
static void set_key(struct row *row, const json_t *forward)
{
    struct port_range range = {0};

    text_parse_port_range(member_text(forward, "listen"), &range);
    row->key[0] = (uint8_t)(range.first >> 8);
    row->key[1] = (uint8_t)range.first;
    memcpy(row->key + 2, member_text(forward, "name"),
           strnlen(member_text(forward, "name"), TABLE_KEY - 2));
}

static void add_row(struct table *table, const json_t *forward)
{
    const json_t *allow = json_object_get(forward, "allow");
    struct row *row = table_add(table);
    char text[CELL_MAX];

    set_key(row, forward);
    table_set_cell(row, NAME, member_text(forward, "name"));
    table_set_cell(row, PROTOCOL, format_list(json_object_get(forward, "protocols"), "+", text));
    table_set_cell(row, LISTEN, format_listen(forward, text));
    table_set_cell(row, TO, member_text(forward, "to"));
    table_set_cell(row, ALLOW,
                   json_array_size(allow) > 0 ? format_list(allow, ",", text) : "anyone");
    table_set_number(row, SESSIONS, member_number(forward, "sessions"));
    table_set_cell(row, EXPIRES, format_expiry(forward, text));
    table_set_cell(row, ORIGIN,
                   json_is_true(json_object_get(forward, "runtime")) ? "run-time"
                                                                     : "configuration");
    table_set_cell(row, OWNER, member_text(forward, "owner"));
    table_set_cell(row, NOTE, member_text(forward, "note"));
}

static void show_table(const json_t *forwards)
{
    struct table table;
    const json_t *forward;
    size_t index;

    table_begin(&table, columns, COLUMN_COUNT);
    json_array_foreach(forwards, index, forward) add_row(&table, forward);
    if (table.row_count == 0)
        complain("there are no forwards");
    table_print(&table);
    table_end(&table);
}

int run_forwards(const struct options *options)
{
    json_t *result;
    int code = rpc_ask(options, "forwards", json_object(), NULL, NULL, &result);
    const json_t *forwards = json_object_get(result, "forwards");

    if (code == EXIT_DONE && options_has(options, OPTION_JSON))
        json_print(forwards);
    else if (code == EXIT_DONE)
        show_table(forwards);
    json_decref(result);
    return code;
}

/* ---- changes ---- */

/* Sets a parameter; NULL: not given. False if the value is not UTF-8. */
static bool set_text(json_t *params, const char *name, const char *value)
{
    if (value == NULL)
        return true;
    if (json_object_set_new(params, name, json_string(value)) == 0)
        return true;
    complain("%s: expected UTF-8 text", name);
    return false;
}

/* The options that forward add and forward set have in common. */
static bool set_options(json_t *params, const struct options *options)
{
    return set_text(params, "allow", options->value[OPTION_ALLOW]) &&
           set_text(params, "owner", options->value[OPTION_OWNER]) &&
           set_text(params, "note", options->value[OPTION_NOTE]) &&
           set_text(params, "for", options->value[OPTION_FOR]) &&
           set_text(params, "expires", options->value[OPTION_EXPIRES]) &&
           set_text(params, "sessions", options->value[OPTION_SESSIONS]) &&
           set_text(params, "new_sessions", options->value[OPTION_NEW_SESSIONS]);
}

int run_forward_add(const struct options *options)
{
    json_t *params = json_object(), *result;
    struct shown expires;
    int code;

    if (!set_text(params, "name", options->words[0]) ||
        !set_text(params, "listen", options->words[1]) ||
        !set_text(params, "to", options->words[2]) || !set_options(params, options)) {
        json_decref(params);
        return EXIT_USAGE;
    }
    if (options_has(options, OPTION_FORCE))
        json_object_set_new(params, "force", json_true());
    code = rpc_ask(options, "forward.add", params, NULL, NULL, &result);
    if (code == EXIT_DONE && *member_text(result, "expires") != '\0')
        printf("added %s, until %s\n", options->words[0],
               show(&expires, member_text(result, "expires")));
    else if (code == EXIT_DONE)
        printf("added %s\n", options->words[0]);
    if (member_number(result, "sessions_ended") > 0)
        printf("%lld sessions ended\n", (long long)member_number(result, "sessions_ended"));
    complain_of_warnings(result);
    json_decref(result);
    return code;
}

/* The changed values as "note, expires"; "nothing" if all were so before. */
static void print_changed(const char *name, const json_t *result)
{
    const json_t *changes = json_object_get(result, "changes"), *change;
    const char *field, *separator = "";
    struct shown shown;

    printf("changed %s: ", name);
    /* json_object_foreach takes no const pointer, but changes nothing */
    json_object_foreach((json_t *)changes, field, change)
    {
        printf("%s%s", separator, show(&shown, field));
        separator = ", ";
    }
    puts(*separator != '\0' ? "" : "nothing");
    if (member_number(result, "sessions_ended") > 0)
        printf("%lld sessions ended\n", (long long)member_number(result, "sessions_ended"));
}

int run_forward_set(const struct options *options)
{
    json_t *params = json_object(), *result;
    int code;

    if (!set_text(params, "name", options->words[0]) || !set_options(params, options)) {
        json_decref(params);
        return EXIT_USAGE;
    }
    code = rpc_ask(options, "forward.set", params, NULL, NULL, &result);
    if (code == EXIT_DONE)
        print_changed(options->words[0], result);
    json_decref(result);
    return code;
}

int run_forward_remove(const struct options *options)
{
    json_t *params = json_object(), *result;
    int code;

    if (!set_text(params, "name", options->words[0])) {
        json_decref(params);
        return EXIT_USAGE;
    }
    code = rpc_ask(options, "forward.remove", params, NULL, NULL, &result);
    if (code == EXIT_DONE)
        printf("removed %s; %lld sessions ended\n", options->words[0],
               (long long)member_number(result, "sessions_ended"));
    json_decref(result);
    return code;
}
