/*
 * sessions.c - portreeve sessions: the live translation table
 */
#include "format.h"
#include "json.h"
#include "member.h"
#include "rpc.h"
#include "run.h"
#include "say.h"
#include "table.h"

#include <string.h>

enum {
    PROTOCOL,
    STATE,
    DIRECTION,
    INTERNAL,
    EXTERNAL,
    INTERFACE,
    REMOTE,
    SHARE,
    FORWARD,
    AGE,
    IDLE,
    EXPIRES,
    SENT,
    RECEIVED,
    ID,
    COLUMN_COUNT
};

static const struct column columns[COLUMN_COUNT] = {
    [PROTOCOL] = {"PROTO", false, 0},
    [STATE] = {"STATE", false, 0},
    [DIRECTION] = {"DIRECTION", false, 11},
    [INTERNAL] = {"INTERNAL", false, 0},
    [EXTERNAL] = {"EXTERNAL", false, 1},
    [INTERFACE] = {"INTERFACE", false, 12},
    [REMOTE] = {"REMOTE", false, 0},
    [SHARE] = {"SHARE", false, 9},
    [FORWARD] = {"FORWARD", false, 6},
    [AGE] = {"AGE", true, 8},
    [IDLE] = {"IDLE", true, 2},
    [EXPIRES] = {"EXPIRES", true, 7},
    [SENT] = {"SENT", true, 4},
    [RECEIVED] = {"RECEIVED", true, 5},
    [ID] = {"ID", true, 10},
};
_Static_assert(COLUMN_COUNT <= TABLE_COLUMNS, "a row has room for the columns");

struct listing {
    bool json;
    struct json_list list;
    struct table table;
};

static void add_row(struct table *table, const json_t *session)
{
    const json_t *bytes = json_object_get(session, "bytes");
    const char *outcome = member_text(session, "outcome");
    struct row *row = table_add(table);
    char text[CELL_MAX];

    table_set_key(row, member_text(session, "protocol"), json_object_get(session, "internal"),
                  json_object_get(session, "remote"));
    table_set_cell(row, PROTOCOL, member_text(session, "protocol"));
    table_set_cell(row, STATE, *outcome != '\0' ? outcome : member_text(session, "state"));
    table_set_cell(row, DIRECTION, member_text(session, "direction"));
    table_set_cell(row, INTERNAL, format_internal(session, text));
    table_set_cell(row, EXTERNAL, format_external(session, text));
    table_set_cell(row, INTERFACE, member_text(session, "interface"));
    table_set_cell(row, REMOTE, format_remote(session, text));
    table_set_cell(row, SHARE, member_text(session, "share"));
    table_set_cell(row, FORWARD, member_text(session, "forward"));
    table_set_amount(row, AGE, member_seconds(session, "age"),
                     format_duration(member_seconds(session, "age"), text));
    table_set_amount(row, IDLE, member_seconds(session, "idle"),
                     format_duration(member_seconds(session, "idle"), text));
    table_set_amount(row, EXPIRES, member_seconds(session, "expires_in"),
                     format_duration(member_seconds(session, "expires_in"), text));
    table_set_amount(row, SENT, (double)member_number(bytes, "out"),
                     format_amount(member_number(bytes, "out"), text));
    table_set_amount(row, RECEIVED, (double)member_number(bytes, "in"),
                     format_amount(member_number(bytes, "in"), text));
    table_set_number(row, ID, member_number(session, "id"));
}

static void take_session(void *context, const char *method, const json_t *session)
{
    struct listing *listing = context;

    if (strcmp(method, "session") != 0)
        return;
    if (listing->json)
        json_list_add(&listing->list, session);
    else
        add_row(&listing->table, session);
}

/* Returns EXIT_REFUSED if no session matches, so that a shell sees it. */
static int show_table(struct table *table, const struct options *options)
{
    table_print(table);
    if (table->row_count > 0)
        return EXIT_DONE;
    complain(options->count > 0 ? "no session matches" : "there are no sessions");
    return options->count > 0 ? EXIT_REFUSED : EXIT_DONE;
}

int run_sessions(const struct options *options)
{
    struct listing listing = {.json = false};
    json_t *result;
    int code;

    if (!table_begin(&listing.table, columns, COLUMN_COUNT, options))
        return EXIT_USAGE;
    listing.json = listing.table.format == TABLE_JSON;
    code = rpc_ask(options, "sessions", rpc_filter(options), take_session, &listing, &result);
    if (code == EXIT_DONE && listing.json)
        json_list_print(&listing.list);
    else if (code == EXIT_DONE)
        code = show_table(&listing.table, options);
    table_end(&listing.table);
    json_list_end(&listing.list);
    json_decref(result);
    return code;
}
