/*
 * mappings.c - portreeve mappings: internal endpoints and their external endpoints
 */
#include "format.h"
#include "json.h"
#include "member.h"
#include "rpc.h"
#include "run.h"
#include "say.h"
#include "table.h"

#include <string.h>

enum { PROTOCOL, INTERNAL, EXTERNAL, INTERFACE, SHARE, SESSIONS, AGE, COLUMN_COUNT };

static const struct column columns[COLUMN_COUNT] = {
    [PROTOCOL] = {"PROTO", false, 0},
    [INTERNAL] = {"INTERNAL", false, 0},
    [EXTERNAL] = {"EXTERNAL", false, 0},
    [INTERFACE] = {"INTERFACE", false, 3},
    [SHARE] = {"SHARE", false, 2},
    [SESSIONS] = {"SESSIONS", true, 0},
    [AGE] = {"AGE", true, 1},
};

struct listing {
    bool json;
    struct json_list list;
    struct table table;
};

static void add_row(struct table *table, const json_t *mapping)
{
    const char *protocol = member_text(mapping, "protocol");
    const json_t *internal = json_object_get(mapping, "internal"),
                 *external = json_object_get(mapping, "external");
    struct row *row = table_add(table);
    char text[CELL_MAX];

    table_set_key(row, protocol, internal, external);
    table_set_cell(row, PROTOCOL, protocol);
    table_set_cell(row, INTERNAL, format_endpoint(internal, protocol, false, text));
    table_set_cell(row, EXTERNAL, format_endpoint(external, protocol, false, text));
    table_set_cell(row, INTERFACE, member_text(mapping, "interface"));
    table_set_cell(row, SHARE, member_text(mapping, "share"));
    table_set_number(row, SESSIONS, member_number(mapping, "sessions"));
    table_set_amount(row, AGE, member_seconds(mapping, "age"),
                     format_duration(member_seconds(mapping, "age"), text));
}

static void take_mapping(void *context, const char *method, const json_t *mapping)
{
    struct listing *listing = context;

    if (strcmp(method, "mapping") != 0)
        return;
    if (listing->json)
        json_list_add(&listing->list, mapping);
    else
        add_row(&listing->table, mapping);
}

int run_mappings(const struct options *options)
{
    struct listing listing = {.json = false};
    json_t *result;
    int code;

    if (!table_begin(&listing.table, columns, COLUMN_COUNT, options))
        return EXIT_USAGE;
    listing.json = listing.table.format == TABLE_JSON;
    code = rpc_ask(options, "mappings", json_object(), take_mapping, &listing, &result);
    if (code == EXIT_DONE && listing.json)
        json_list_print(&listing.list);
    else if (code == EXIT_DONE && listing.table.row_count == 0)
        complain("there are no mappings");
    else if (code == EXIT_DONE)
        table_print(&listing.table);
    table_end(&listing.table);
    json_list_end(&listing.list);
    json_decref(result);
    return code;
}
