/*
 * table.c - a table on standard output, with columns that fit the terminal
 *
 * If the terminal is too narrow, whole columns are left out, those with the highest rank first. If
 * this is not enough, lines are cut. Output to a file or another program has no limit, unless
 * $COLUMNS sets one.
 */
#include "table.h"

#include "member.h"
#include "portreeve/text.h"
#include "say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define GAP             2
#define CUT_MARK        '>'
#define RANK_MAX        TABLE_COLUMNS
#define NUMBER_MAX      24    /* bytes of a 64-bit number as text, with the final NUL */
#define COLUMNS_DEFAULT 80    /* of a terminal without a size */
#define COLUMNS_MAX     10000 /* in $COLUMNS */
#define ROWS_MIN        64
#define PROTOCOL_KEY    3  /* bytes of the key: icmp, tcp and udp differ in them */
#define ENDPOINT_KEY    18 /* bytes of the key: address and port */

/* ---- widths ---- */

/* Columns of a line; SIZE_MAX: no limit. */
static size_t terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    uint64_t number;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    if (columns != NULL && text_parse_number(columns, 1, COLUMNS_MAX, &number))
        return (size_t)number;
    return isatty(STDOUT_FILENO) ? COLUMNS_DEFAULT : SIZE_MAX;
}

/* Columns that the character at `text` takes on a terminal; `length` is that of its UTF-8 form. */
static size_t character_width(const char *text, size_t length)
{
    mbstate_t state = {0};
    wchar_t character;
    int width = 1;

    if (length > 1 && mbrtowc(&character, text, length, &state) == length)
        width = wcwidth(character);
    return width < 0 ? 1 : (size_t)width;
}

static size_t text_width(const char *text)
{
    size_t width = 0, length;

    for (; *text != '\0'; text += length) {
        length = text_printable(text);
        if (length == 0)
            length = 1; /* never: cells are printable */
        width += character_width(text, length);
    }
    return width;
}

/* ---- filling ---- */

void table_begin(struct table *table, const struct column *columns, size_t count)
{
    *table = (struct table){.columns = columns, .column_count = count};
}

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
    table_set_cell(row, column, text);
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

struct layout {
    size_t width[TABLE_COLUMNS];
    bool shown[TABLE_COLUMNS], empty[TABLE_COLUMNS];
    size_t line; /* columns of the terminal for a line */
};

static size_t total_width(const struct table *table, const struct layout *layout)
{
    size_t total = 0;

    for (size_t i = 0; i < table->column_count; i++) {
        if (layout->shown[i])
            total += layout->width[i] + (total > 0 ? GAP : 0);
    }
    return total;
}

/* The columns of rank 0, and as many others as fit, in the order of their rank. */
static void choose_columns(const struct table *table, struct layout *layout)
{
    for (unsigned rank = 0; rank <= RANK_MAX; rank++) {
        for (size_t i = 0; i < table->column_count; i++) {
            if (table->columns[i].rank != rank || layout->empty[i])
                continue;
            layout->shown[i] = true;
            if (rank > 0 && total_width(table, layout) > layout->line)
                layout->shown[i] = false;
        }
    }
}

static void lay_out(const struct table *table, struct layout *layout)
{
    *layout = (struct layout){.line = terminal_width()};
    for (size_t i = 0; i < table->column_count; i++) {
        size_t widest = 0;

        for (size_t row = 0; row < table->row_count; row++) {
            size_t width =
                table->rows[row].cell[i] != NULL ? text_width(table->rows[row].cell[i]) : 0;

            widest = width > widest ? width : widest;
        }
        layout->empty[i] = widest == 0; /* a column without text is left out */
        layout->width[i] =
            widest > strlen(table->columns[i].title) ? widest : strlen(table->columns[i].title);
    }
    choose_columns(table, layout);
}

/* Prints at most *left columns of text. CUT_MARK replaces the rest. */
static void put_cut(const char *text, size_t *left)
{
    while (*text != '\0' && *left > 0) {
        size_t length = text_printable(text), width;

        length = length > 0 ? length : 1;
        width = character_width(text, length);
        if (width > *left || (*left <= width && text[length] != '\0')) {
            putchar(CUT_MARK);
            *left = 0;
            return;
        }
        fwrite(text, 1, length, stdout);
        *left -= width;
        text += length;
    }
}

static void put_spaces(size_t count, size_t *left)
{
    for (; count > 0 && *left > 0; count--, (*left)--)
        putchar(' ');
}

/* `row` NULL: the titles. There are no spaces at the end of a line. */
static void print_line(const struct table *table, const struct layout *layout,
                       const struct row *row)
{
    size_t left = layout->line, pending = 0;

    for (size_t i = 0; i < table->column_count; i++) {
        const char *text = row == NULL ? table->columns[i].title : row->cell[i];
        size_t width;

        if (!layout->shown[i])
            continue;
        text = text != NULL ? text : "";
        width = layout->width[i] - text_width(text);
        if (table->columns[i].right)
            pending += width;
        if (*text != '\0') {
            put_spaces(pending, &left);
            put_cut(text, &left);
            pending = 0;
        }
        pending += GAP + (table->columns[i].right ? 0 : width);
    }
    putchar('\n');
}

static int compare_rows(const void *left, const void *right)
{
    return memcmp(((const struct row *)left)->key, ((const struct row *)right)->key, TABLE_KEY);
}

void table_print(struct table *table)
{
    struct layout layout;

    if (table->row_count == 0)
        return;
    qsort(table->rows, table->row_count, sizeof(struct row), compare_rows);
    lay_out(table, &layout);
    print_line(table, &layout, NULL);
    for (size_t row = 0; row < table->row_count; row++)
        print_line(table, &layout, &table->rows[row]);
}

void table_end(struct table *table)
{
    for (size_t row = 0; row < table->row_count; row++) {
        for (size_t i = 0; i < table->column_count; i++)
            free(table->rows[row].cell[i]);
    }
    free(table->rows);
}
