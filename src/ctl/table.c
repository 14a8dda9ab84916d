/*
 * table.c - a table on standard output: its options, its rows, their order
 */
#include "table.h"

#include "format.h"
#include "member.h"
#include "portreeve/text.h"
#include "say.h"
#include "table_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NUMBER_MAX   24 /* bytes of a 64-bit number as text, with the final NUL */
#define NAMES_MAX    512
#define ROWS_MIN     64
#define PROTOCOL_KEY 3  /* bytes of the key: icmp, tcp and udp differ in them */
#define ENDPOINT_KEY 18 /* bytes of the key: address and port */

/* ---- options ---- */

/* The names of all columns, for messages. */
static const char *list_names(const struct table *table, char buffer[NAMES_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < table->column_count && used < NAMES_MAX; i++)
        used += (size_t)snprintf(buffer + used, NAMES_MAX - used, "%s%s", i > 0 ? ", " : "",
                                 table->columns[i].title);
    for (char *at = buffer; *at != '\0'; at++)
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    return buffer;
}

static bool find_column(const struct table *table, const char *option, const char *name,
                        size_t length, size_t *column)
{
    char names[NAMES_MAX];

    for (size_t i = 0; i < table->column_count; i++) {
        if (strlen(table->columns[i].title) == length &&
            strncasecmp(table->columns[i].title, name, length) == 0) {
            *column = i;
            return true;
        }
    }
    complain("%s: there is no column '%.*s'; expected %s", option, (int)length, name,
             list_names(table, names));
    return false;
}

static bool take_columns(struct table *table, const char *list)
{
    while (list != NULL) {
        const char *comma = strchr(list, ',');
        size_t length = comma != NULL ? (size_t)(comma - list) : strlen(list);

        if (table->chosen_count == TABLE_COLUMNS) {
            complain("--columns: expected at most %d columns", TABLE_COLUMNS);
            return false;
        }
        if (!find_column(table, "--columns", list, length, &table->chosen[table->chosen_count]))
            return false;
        table->chosen_count++;
        list = comma != NULL ? comma + 1 : NULL;
    }
    return true;
}

static bool take_sort(struct table *table, const char *name)
{
    if (name == NULL)
        return true;
    table->sorted = true;
    table->backwards = *name == '-';
    name += table->backwards;
    return find_column(table, "--sort", name, strlen(name), &table->sort);
}

static bool take_limit(struct table *table, const char *text)
{
    uint64_t number;

    if (text == NULL)
        return true;
    if (!text_parse_number(text, 1, UINT32_MAX, &number)) {
        complain("--limit %s: expected a number from 1", text);
        return false;
    }
    table->limit = (size_t)number;
    return true;
}

static bool take_format(struct table *table, const struct options *options)
{
    static const char *const names[] = {
        [TABLE_TEXT] = "table",        [TABLE_CSV] = "csv",   [TABLE_TSV] = "tsv",
        [TABLE_MARKDOWN] = "markdown", [TABLE_JSON] = "json",
    };
    const char *name = options->value[OPTION_FORMAT];

    if (options_has(options, OPTION_JSON))
        table->format = TABLE_JSON;
    if (name == NULL)
        return true;
    for (int format = TABLE_TEXT; format <= TABLE_JSON; format++) {
        if (strcmp(name, names[format]) == 0) {
            table->format = (enum table_format)format;
            return true;
        }
    }
    complain("--format %s: expected table, csv, tsv, markdown or json", name);
    return false;
}

bool table_begin(struct table *table, const struct column *columns, size_t count,
                 const struct options *options)
{
    *table = (struct table){.columns = columns, .column_count = count};
    table->wide = options_has(options, OPTION_WIDE);
    if (!take_format(table, options) || !take_columns(table, options->value[OPTION_COLUMNS]) ||
        !take_sort(table, options->value[OPTION_SORT]) ||
        !take_limit(table, options->value[OPTION_LIMIT]))
        return false;
    if (table->format == TABLE_JSON &&
        (table->wide || table->chosen_count > 0 || table->sorted || table->limit > 0)) {
        complain("JSON has everything, in the daemon's order; expected no option for tables");
        return false;
    }
    format_set_names(!options_has(options, OPTION_NUMERIC) && table->format != TABLE_CSV &&
                     table->format != TABLE_TSV);
    return true;
}

/* ---- filling ---- */

struct row *table_add(struct table *table)
{
    if (table->row_count == table->row_capacity) {
        size_t wanted = table->row_capacity > 0 ? table->row_capacity * 2 : ROWS_MIN;
        struct row *grown = realloc(table->rows, wanted * sizeof(*grown));

        if (grown == NULL)
            give_up();
        table->rows = grown;
        table->row_capacity = wanted;
    }
    memset(&table->rows[table->row_count], 0, sizeof(struct row));
    return &table->rows[table->row_count++];
}

void table_set_cell(struct row *row, size_t column, const char *text)
{
    row->cell[column] = strdup(text);
    if (row->cell[column] == NULL)
        give_up();
    text_make_printable(row->cell[column]);
}

void table_set_number(struct row *row, size_t column, int64_t number)
{
    char text[NUMBER_MAX];

    snprintf(text, sizeof(text), "%lld", (long long)number);
    table_set_amount(row, column, (double)number, text);
}

void table_set_amount(struct row *row, size_t column, double number, const char *text)
{
    table_set_cell(row, column, text);
    row->number[column] = number;
    row->is_number[column] = true;
}

void table_set_time(const struct table *table, struct row *row, size_t column, const char *time,
                    const char *text)
{
    const bool for_programs = table->format == TABLE_CSV || table->format == TABLE_TSV;
    int64_t when;

    table_set_cell(row, column, for_programs ? time : text);
    if (!for_programs && text_parse_time(time, &when)) {
        row->number[column] = (double)when; /* to sort by */
        row->is_number[column] = true;
    }
}

static void put_endpoint(uint8_t key[ENDPOINT_KEY], const json_t *endpoint)
{
    int64_t port = member_number(endpoint, "port");
    struct address address;

    if (text_parse_address(member_text(endpoint, "address"), &address))
        memcpy(key, address.bytes, sizeof(address.bytes));
    key[ENDPOINT_KEY - 2] = (uint8_t)(port >> 8);
    key[ENDPOINT_KEY - 1] = (uint8_t)port;
}

void table_set_key(struct row *row, const char *protocol, const json_t *first, const json_t *second)
{
    _Static_assert(PROTOCOL_KEY + 2 * ENDPOINT_KEY <= TABLE_KEY,
                   "the key has room for both endpoints");

    memcpy(row->key, protocol, strnlen(protocol, PROTOCOL_KEY));
    put_endpoint(row->key + PROTOCOL_KEY, first);
    put_endpoint(row->key + PROTOCOL_KEY + ENDPOINT_KEY, second);
}

/* ---- printing ---- */

static int compare_keys(const struct row *left, const struct row *right)
{
    return memcmp(left->key, right->key, TABLE_KEY);
}

static int compare_rows(const void *left, const void *right)
{
    return compare_keys(left, right);
}

/* Numbers by value, text by its numbers and letters, empty cells last. */
static int compare_cells(const struct row *left, const struct row *right, const struct table *table)
{
    const size_t column = table->sort;
    const char *one = left->cell[column], *other = right->cell[column];
    int order;

    if (one == NULL || other == NULL || *one == '\0' || *other == '\0')
        return (one == NULL || *one == '\0') - (other == NULL || *other == '\0');
    if (left->is_number[column] && right->is_number[column])
        order = (left->number[column] > right->number[column]) -
                (left->number[column] < right->number[column]);
    else
        order = strverscmp(one, other);
    return table->backwards ? -order : order;
}

static int compare_by_column(const void *left, const void *right, void *context)
{
    int order = compare_cells(left, right, context);

    return order != 0 ? order : compare_keys(left, right);
}

void table_print(struct table *table)
{
    const size_t count =
        table->limit > 0 && table->limit < table->row_count ? table->limit : table->row_count;

    if (table->row_count == 0)
        return;
    if (table->sorted)
        qsort_r(table->rows, table->row_count, sizeof(struct row), compare_by_column, table);
    else
        qsort(table->rows, table->row_count, sizeof(struct row), compare_rows);
    if (table->format == TABLE_CSV)
        table_print_csv(table, count);
    else if (table->format == TABLE_TSV)
        table_print_tsv(table, count);
    else if (table->format == TABLE_MARKDOWN)
        table_print_markdown(table, count);
    else
        table_print_text(table, count);
}

void table_end(struct table *table)
{
    for (size_t row = 0; row < table->row_count; row++) {
        for (size_t i = 0; i < table->column_count; i++)
            free(table->rows[row].cell[i]);
    }
    free(table->rows);
}
