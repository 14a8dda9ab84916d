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

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    NAME,
    PROTOCOL,
    LISTEN,
    TO,
    ALLOW,
    SESSIONS,
    EXPIRES,
    ORIGIN,
    OPENED,
    REFUSED,
    IN,
    OUT,
    LAST_USED,
    ADDED_BY,
    OWNER,
    NOTE,
    COLUMN_COUNT
};

static const struct column columns[COLUMN_COUNT] = {
    [NAME] = {"NAME", false, 0},
    [PROTOCOL] = {"PROTO", false, 1},
    [LISTEN] = {"LISTEN", false, 0},
    [TO] = {"TO", false, 0},
    [ALLOW] = {"ALLOW", false, 0},
    [SESSIONS] = {"SESSIONS", true, 5},
    [EXPIRES] = {"EXPIRES", false, 3},
    [ORIGIN] = {"ORIGIN", false, 6},
    [OPENED] = {"OPENED", true, RANK_ASKED},
    [REFUSED] = {"REFUSED", true, RANK_ASKED},
    [IN] = {"IN", true, RANK_ASKED},
    [OUT] = {"OUT", true, RANK_ASKED},
    [LAST_USED] = {"LAST-USED", false, RANK_ASKED},
    [ADDED_BY] = {"ADDED-BY", false, RANK_ASKED},
    [OWNER] = {"OWNER", false, 0},
    [NOTE] = {"NOTE", false, 7},
};
_Static_assert(COLUMN_COUNT <= TABLE_COLUMNS, "a row has room for the columns");

/* "2222", "443 https", "8000-8099". */
static char *format_listen(const json_t *forward, char buffer[CELL_MAX])
{
    const char *protocol =
        json_string_value(json_array_get(json_object_get(forward, "protocols"), 0));
    char name[CELL_MAX] = "";
    struct port_range range;

    if (text_parse_port_range(member_text(forward, "listen"), &range) && range.first == range.last)
        format_service(range.first, protocol, name);
    snprintf(buffer, CELL_MAX, "%.32s%.40s", member_text(forward, "listen"), name);
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

/* How the open port has been used; nothing from a daemon that does not count it. */
static void set_use(const struct table *table, struct row *row, const json_t *use)
{
    const json_t *bytes = json_object_get(use, "bytes"), *count;
    const char *last_used = member_text(use, "last_used");
    int64_t refused = 0;
    const char *reason;
    char text[CELL_MAX];

    if (!json_is_object(use))
        return;
    /* json_object_foreach takes no const pointer, but changes nothing */
    json_object_foreach(json_object_get(use, "refused"), reason, count) refused +=
        json_integer_value(count);
    table_set_number(row, OPENED, member_number(use, "opened"));
    table_set_number(row, REFUSED, refused);
    table_set_amount(row, IN, (double)member_number(bytes, "in"),
                     format_amount(member_number(bytes, "in"), text));
    table_set_amount(row, OUT, (double)member_number(bytes, "out"),
                     format_amount(member_number(bytes, "out"), text));
    table_set_time(table, row, LAST_USED, last_used, *last_used != '\0' ? last_used : "never");
}

/* "/etc/portreeve/portreeve.conf:12", or who has added it at run time. */
static char *format_added(const json_t *added, char buffer[CELL_MAX])
{
    if (member_number(added, "line") > 0)
        snprintf(buffer, CELL_MAX, "%.200s:%lld", member_text(added, "file"),
                 (long long)member_number(added, "line"));
    else
        snprintf(buffer, CELL_MAX, "%.200s", member_text(added, "by"));
    return buffer;
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
    table_set_time(table, row, EXPIRES, member_text(forward, "expires"),
                   format_expiry(forward, text));
    set_use(table, row, json_object_get(forward, "use"));
    table_set_cell(row, ADDED_BY, format_added(json_object_get(forward, "added"), text));
    table_set_cell(row, ORIGIN,
                   json_is_true(json_object_get(forward, "runtime")) ? "run-time"
                                                                     : "configuration");
    table_set_cell(row, OWNER, member_text(forward, "owner"));
    table_set_cell(row, NOTE, member_text(forward, "note"));
}

static void show_table(struct table *table, const json_t *forwards)
{
    const json_t *forward;
    size_t index;

    json_array_foreach(forwards, index, forward) add_row(table, forward);
    if (table->row_count == 0)
        complain("there are no forwards");
    table_print(table);
}

int run_forwards(const struct options *options)
{
    struct table table;
    json_t *result;
    int code;

    if (!table_begin(&table, columns, COLUMN_COUNT, options))
        return EXIT_USAGE;
    code = rpc_ask(options, "forwards", json_object(), NULL, NULL, &result);
    if (code == EXIT_DONE && table.format == TABLE_JSON)
        json_print(json_object_get(result, "forwards"));
    else if (code == EXIT_DONE)
        show_table(&table, json_object_get(result, "forwards"));
    table_end(&table);
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
