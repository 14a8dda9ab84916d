/*
 * drops.c - portreeve drops: the latest dropped packets, and who is dropped most
 */
#include "drops.h"

#include "format.h"
#include "json.h"
#include "member.h"
#include "portreeve/text.h"
#include "rpc.h"
#include "run.h"
#include "say.h"
#include "table.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LAST, COUNT, REASON, FROM, TO, FORWARD, WHY, COLUMN_COUNT };

static const struct column columns[] = {
    [LAST] = {"LAST", true, 0},  [COUNT] = {"COUNT", true, 0}, [REASON] = {"REASON", false, 0},
    [FROM] = {"FROM", false, 0}, [TO] = {"TO", false, 0},      [FORWARD] = {"FORWARD", false, 2},
    [WHY] = {"WHY", false, 1},
};
_Static_assert(COLUMN_COUNT <= TABLE_COLUMNS, "a row has room for the columns");

enum { SOURCE_LAST, SOURCE_COUNT, SOURCE_FROM, SOURCE_PORTS, SOURCE_REASONS, SOURCE_COLUMN_COUNT };

static const struct column source_columns[] = {
    [SOURCE_LAST] = {"LAST", true, 0},        [SOURCE_COUNT] = {"COUNT", true, 0},
    [SOURCE_FROM] = {"FROM", false, 0},       [SOURCE_PORTS] = {"PORTS", true, 0},
    [SOURCE_REASONS] = {"REASONS", false, 0},
};

static double seconds_since(const json_t *drop, int64_t now)
{
    int64_t then;

    return text_parse_time(member_text(drop, "last"), &then) && then < now ? (double)(now - then)
                                                                           : 0;
}

/* "8443/tcp" at an external address; with the address, what a host inside has sent. */
static char *format_to(const json_t *drop, char buffer[CELL_MAX])
{
    const json_t *to = json_object_get(drop, "to");
    const char *protocol = member_text(drop, "protocol");
    char endpoint[CELL_MAX];

    if (*member_text(drop, "share") == '\0' && member_number(to, "port") > 0)
        snprintf(buffer, CELL_MAX, "%lld/%.8s", (long long)member_number(to, "port"), protocol);
    else
        snprintf(buffer, CELL_MAX, "%.64s/%.8s", format_endpoint(to, protocol, false, endpoint),
                 protocol);
    return buffer;
}

/* The rows are sorted by the time since the last packet, in the key's first bytes. */
static void set_key(struct row *row, double seconds, size_t index)
{
    uint64_t order = ((uint64_t)seconds << 20) + index;

    for (size_t i = 0; i < sizeof(order); i++)
        row->key[i] = (uint8_t)(order >> (8 * (sizeof(order) - 1 - i)));
}

static void add_row(struct table *table, const json_t *drop, size_t index, int64_t now)
{
    double seconds = seconds_since(drop, now);
    struct row *row = table_add(table);
    char text[CELL_MAX];

    set_key(row, seconds, index);
    table_set_amount(row, LAST, seconds, format_duration(seconds, text));
    table_set_amount(row, COUNT, (double)member_number(drop, "count"),
                     format_amount(member_number(drop, "count"), text));
    table_set_cell(row, REASON, member_text(drop, "reason"));
    table_set_cell(row, FROM, member_text(drop, "from"));
    table_set_cell(row, TO, format_to(drop, text));
    table_set_cell(row, FORWARD, member_text(drop, "forward"));
    table_set_cell(row, WHY, member_text(drop, "why"));
}

/* ---- by source ---- */

/* Adds what is dropped of one source: {"count", "ports": {}, "reasons": {}, "last"}. */
static void add_to_source(json_t *sources, const json_t *drop)
{
    const char *from = member_text(drop, "from");
    json_t *source = json_object_get(sources, from);
    char to[CELL_MAX];

    if (source == NULL) {
        source = json_pack("{s:I,s:{},s:{},s:s}", "count", (json_int_t)0, "ports", "reasons",
                           "last", member_text(drop, "last"));
        if (source == NULL || json_object_set_new(sources, from, source) < 0)
            give_up();
    }
    json_object_set_new(
        source, "count",
        json_integer(member_number(source, "count") + member_number(drop, "count")));
    json_object_set_new(json_object_get(source, "ports"), format_to(drop, to), json_true());
    json_object_set_new(json_object_get(source, "reasons"), member_text(drop, "reason"),
                        json_true());
    if (strcmp(member_text(source, "last"), member_text(drop, "last")) < 0)
        json_object_set(source, "last", json_object_get(drop, "last"));
}

static char *join_names(const json_t *object, char buffer[CELL_MAX])
{
    const char *name;
    const json_t *value;
    size_t used = 0;

    buffer[0] = '\0';
    /* json_object_foreach takes no const pointer, but changes nothing */
    json_object_foreach((json_t *)object, name, value)
    {
        if (used < CELL_MAX)
            used +=
                (size_t)snprintf(buffer + used, CELL_MAX - used, "%s%s", used > 0 ? "," : "", name);
    }
    return buffer;
}

static void add_source_row(struct table *table, const char *from, const json_t *source, int64_t now)
{
    const json_t *ports = json_object_get(source, "ports");
    double seconds = seconds_since(source, now);
    struct row *row = table_add(table);
    uint64_t order = UINT64_MAX - (uint64_t)member_number(source, "count");
    char text[CELL_MAX];

    for (size_t i = 0; i < sizeof(order); i++) /* the most first */
        row->key[i] = (uint8_t)(order >> (8 * (sizeof(order) - 1 - i)));
    table_set_amount(row, SOURCE_LAST, seconds, format_duration(seconds, text));
    table_set_amount(row, SOURCE_COUNT, (double)member_number(source, "count"),
                     format_amount(member_number(source, "count"), text));
    table_set_cell(row, SOURCE_FROM, from);
    table_set_number(row, SOURCE_PORTS, (int64_t)json_object_size(ports));
    table_set_cell(row, SOURCE_REASONS, join_names(json_object_get(source, "reasons"), text));
}

static void add_sources(struct table *table, const json_t *drops, int64_t now)
{
    json_t *sources = json_object();
    const json_t *drop, *source;
    const char *from;
    size_t index;

    json_array_foreach(drops, index, drop) add_to_source(sources, drop);
    json_object_foreach(sources, from, source) add_source_row(table, from, source, now);
    json_decref(sources);
}

/* ---- showing ---- */

static void show_drops(struct table *table, const json_t *result, bool by_source)
{
    const json_t *drops = json_object_get(result, "drops"), *drop;
    const int64_t now = time(NULL);
    int64_t others = member_number(result, "others");
    size_t index;

    if (by_source)
        add_sources(table, drops, now);
    else
        json_array_foreach(drops, index, drop) add_row(table, drop, index, now);
    table_print(table);
    if (others > 0 && table->format == TABLE_TEXT)
        printf("%lld more packets were dropped that are not listed any more\n", (long long)others);
    if (table->row_count == 0)
        complain("nothing has been dropped");
}

int run_drops(const struct options *options)
{
    bool by_source = options_has(options, OPTION_BY);
    struct table table;
    json_t *result;
    int code;

    if (by_source && strcmp(options->value[OPTION_BY], "source") != 0) {
        complain("--by %s: expected source", options->value[OPTION_BY]);
        return EXIT_USAGE;
    }
    if (!table_begin(&table, by_source ? source_columns : columns,
                     by_source ? SOURCE_COLUMN_COUNT : COLUMN_COUNT, options))
        return EXIT_USAGE;
    code = rpc_ask(options, "drops", json_object(), NULL, NULL, &result);
    if (code == EXIT_DONE && table.format == TABLE_JSON)
        json_print(result);
    else if (code == EXIT_DONE)
        show_drops(&table, result, by_source);
    table_end(&table);
    json_decref(result);
    return code;
}

/* ---- following ---- */

#define LINES_PER_SECOND 20

/* What makes two answers about one entry. */
static char *entry_name(const json_t *drop, char buffer[CELL_MAX])
{
    char to[CELL_MAX];

    snprintf(buffer, CELL_MAX, "%.20s %.64s %.64s", member_text(drop, "reason"),
             member_text(drop, "from"),
             *member_text(drop, "share") == '\0' ? format_to(drop, to)
                                                 : member_text(drop, "protocol"));
    return buffer;
}

static void print_drop(const json_t *drop, int64_t packets, bool json)
{
    struct shown time_text, from, to, forward, reason, why;
    char text[CELL_MAX];

    if (json) {
        json_print_line(drop);
        return;
    }
    printf("%s dropped %s -> %s", show(&time_text, member_text(drop, "last")),
           show(&from, member_text(drop, "from")), show(&to, format_to(drop, text)));
    if (*member_text(drop, "forward") != '\0')
        printf(" %s", show(&forward, member_text(drop, "forward")));
    printf(": %s, %lld packets: %s\n", show(&reason, member_text(drop, "reason")),
           (long long)packets, show(&why, member_text(drop, "why")));
}

/* Prints what was dropped since the last answer, and notes the counts in `known`. */
static void print_news(const json_t *result, json_t *known, bool json, bool first)
{
    const json_t *drop;
    size_t index, printed = 0, left = 0;
    char name[CELL_MAX];

    json_array_foreach(json_object_get(result, "drops"), index, drop)
    {
        int64_t count = member_number(drop, "count"),
                before = member_number(known, entry_name(drop, name));
        int64_t packets = count > before ? count - before : count;

        json_object_set_new(known, name, json_integer(count));
        if (first || count == before)
            continue;
        if (printed++ < LINES_PER_SECOND)
            print_drop(drop, packets, json);
        else
            left++;
    }
    if (left > 0 && !json)
        printf("(and %zu more)\n", left);
    fflush(stdout);
}

int drops_follow(const struct options *options)
{
    const int second = 1000;
    const bool json = options_has(options, OPTION_JSON);
    json_t *known = json_object();
    struct rpc rpc;
    int code = rpc_open(&rpc, options->socket);

    for (bool first = true; code == EXIT_DONE && !ferror(stdout); first = false) {
        struct pollfd connection = {.fd = fileno(rpc.stream), .events = POLLIN};
        json_t *result = NULL;

        if (!first) /* the daemon says nothing unasked, but it may end */
            (void)poll(&connection, 1, second);
        code = rpc_call(&rpc, "drops", json_object(), NULL, NULL, &result);
        if (code == EXIT_DONE)
            print_news(result, known, json, first);
        json_decref(result);
    }
    rpc_close(&rpc);
    json_decref(known);
    return code;
}
