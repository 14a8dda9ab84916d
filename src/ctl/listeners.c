/*
 * listeners.c - portreeve listeners: programs of the gateway itself that the outside can reach
 */
#include "format.h"
#include "json.h"
#include "member.h"
#include "rpc.h"
#include "run.h"
#include "say.h"
#include "table.h"

#include <string.h>

enum { PROTOCOL, PORT, ADDRESS, PROGRAM, COLUMN_COUNT };

static const struct column columns[] = {
    [PROTOCOL] = {"PROTO", false, 0},
    [PORT] = {"PORT", true, 0},
    [ADDRESS] = {"ADDRESS", false, 0},
    [PROGRAM] = {"PROGRAM", false, 0},
};

static void add_row(struct table *table, const json_t *listener)
{
    struct row *row = table_add(table);
    int64_t port = member_number(listener, "port");

    row->key[0] = member_text(listener, "protocol")[0] == 't' ? 0 : 1;
    row->key[1] = (uint8_t)(port >> 8);
    row->key[2] = (uint8_t)port;
    table_set_cell(row, PROTOCOL, member_text(listener, "protocol"));
    table_set_number(row, PORT, port);
    table_set_cell(row, ADDRESS,
                   *member_text(listener, "address") != '\0' ? member_text(listener, "address")
                                                             : "any");
    table_set_cell(row, PROGRAM, member_text(listener, "program"));
}

int run_listeners(const struct options *options)
{
    const json_t *listener;
    struct table table;
    json_t *result;
    size_t index;
    int code;

    if (!table_begin(&table, columns, COLUMN_COUNT, options))
        return EXIT_USAGE;
    code = rpc_ask(options, "listeners", json_object(), NULL, NULL, &result);
    if (code == EXIT_DONE && table.format == TABLE_JSON) {
        json_print(json_object_get(result, "listeners"));
    } else if (code == EXIT_DONE) {
        json_array_foreach(json_object_get(result, "listeners"), index, listener)
            add_row(&table, listener);
        table_print(&table);
        if (table.row_count == 0)
            complain("no program of the gateway can be reached from outside");
    }
    table_end(&table);
    json_decref(result);
    return code;
}
