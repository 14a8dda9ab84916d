/*
 * table_text.c - a table for people, with columns that fit the terminal
 *
 * If the terminal is too narrow, long cells of the columns that are always shown are cut, then
 * whole columns are left out, those with the highest rank first. If this is not enough, lines are
 * cut. Output to a file or another program has no limit, unless $COLUMNS sets one.
 */
#include "table_print.h"

#include "portreeve/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define GAP             2
#define CUT_MARK        '>'            /* of a line */
#define CELL_MARK       "\xe2\x80\xa6" /* of a cell: an ellipsis */
#define CELL_LEAST      8              /* columns that a cell is never cut below */
#define EMPTY_CELL      "-"            /* so that each line has as many fields as the others */
#define RANK_MAX        TABLE_COLUMNS
#define COLUMNS_DEFAULT 80    /* of a terminal without a size */
#define COLUMNS_MAX     10000 /* in $COLUMNS */

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

/* ---- layout ---- */

struct layout {
    size_t order[TABLE_COLUMNS], count; /* the columns that may be shown */
    size_t width[TABLE_COLUMNS];
    bool shown[TABLE_COLUMNS], empty[TABLE_COLUMNS];
    size_t line;   /* columns of the terminal for a line */
    size_t hidden; /* columns that are left out for want of room */
};

static size_t total_width(const struct layout *layout)
{
    size_t total = 0;

    for (size_t n = 0; n < layout->count; n++) {
        size_t i = layout->order[n];

        if (layout->shown[i])
            total += layout->width[i] + (total > 0 ? GAP : 0);
    }
    return total;
}

/* Makes the widest column narrower until the line fits, or no column can be cut further. */
static void cut_cells(struct layout *layout)
{
    while (total_width(layout) > layout->line) {
        size_t widest = TABLE_COLUMNS;

        for (size_t i = 0; i < TABLE_COLUMNS; i++) {
            if (layout->shown[i] && layout->width[i] > CELL_LEAST &&
                (widest == TABLE_COLUMNS || layout->width[i] > layout->width[widest]))
                widest = i;
        }
        if (widest == TABLE_COLUMNS)
            return;
        layout->width[widest]--;
    }
}

/* The columns of rank 0, and as many others as fit, in the order of their rank. */
static void choose_by_rank(const struct table *table, struct layout *layout)
{
    for (unsigned rank = 0; rank <= RANK_MAX; rank++) {
        for (size_t i = 0; i < table->column_count; i++) {
            if (table->columns[i].rank != rank || layout->empty[i])
                continue;
            layout->shown[i] = true;
            if (rank > 0 && total_width(layout) > layout->line) {
                layout->shown[i] = false;
                layout->hidden++;
            }
        }
        if (rank == 0)
            cut_cells(layout);
    }
    for (size_t i = 0; i < table->column_count; i++)
        layout->hidden += table->columns[i].rank == RANK_ASKED && !layout->empty[i];
}

/* Which columns may be shown at all, and all of them if that is asked for. */
static void choose(const struct table *table, struct layout *layout)
{
    const bool asked = table->chosen_count > 0;

    layout->count = asked ? table->chosen_count : table->column_count;
    for (size_t n = 0; n < layout->count; n++) {
        layout->order[n] = asked ? table->chosen[n] : n;
        layout->shown[layout->order[n]] = asked || table->wide;
    }
    if (!asked && !table->wide)
        choose_by_rank(table, layout);
}

static void measure(const struct table *table, size_t count, size_t column, struct layout *layout)
{
    const size_t title = strlen(table->columns[column].title);
    size_t widest = 0;

    for (size_t row = 0; row < count; row++) {
        const char *text = table->rows[row].cell[column];
        size_t width = text != NULL ? text_width(text) : 0;

        widest = width > widest ? width : widest;
    }
    layout->empty[column] = widest == 0; /* a column without text is left out */
    layout->width[column] = widest > title ? widest : title;
}

static void lay_out(const struct table *table, size_t count, struct layout *layout)
{
    *layout = (struct layout){.line = table->wide ? SIZE_MAX : terminal_width()};
    for (size_t i = 0; i < table->column_count; i++)
        measure(table, count, i, layout);
    choose(table, layout);
}

/* ---- printing ---- */

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

/* A cell that is at most `width` columns wide. Its end is replaced by CELL_MARK if it is longer. */
static void put_cell(const char *text, size_t width, size_t *left)
{
    size_t room = width > 0 ? width - 1 : 0, used = 0;

    if (text_width(text) <= width) {
        put_cut(text, left);
        return;
    }
    while (*text != '\0' && *left > 1) {
        size_t length = text_printable(text), columns;

        length = length > 0 ? length : 1;
        columns = character_width(text, length);
        if (used + columns > room || columns >= *left)
            break;
        fwrite(text, 1, length, stdout);
        used += columns;
        *left -= columns;
        text += length;
    }
    put_cut(CELL_MARK, left);
}

static const char *text_of(const struct table *table, const struct row *row, size_t column)
{
    if (row == NULL)
        return table->columns[column].title;
    return row->cell[column] != NULL && row->cell[column][0] != '\0' ? row->cell[column]
                                                                     : EMPTY_CELL;
}

/* `row` NULL: the titles. There are no spaces at the end of a line. */
static void print_line(const struct table *table, const struct layout *layout,
                       const struct row *row)
{
    size_t left = layout->line, pending = 0;

    for (size_t n = 0; n < layout->count; n++) {
        const size_t i = layout->order[n];
        const char *text;
        size_t width, spaces;

        if (!layout->shown[i])
            continue;
        text = text_of(table, row, i);
        width = text_width(text);
        spaces = width < layout->width[i] ? layout->width[i] - width : 0;
        if (table->columns[i].right)
            pending += spaces;
        put_spaces(pending, &left);
        put_cell(text, layout->width[i], &left);
        pending = GAP + (table->columns[i].right ? 0 : spaces);
    }
    putchar('\n');
}

/* Says what is not there, in a line that fits as well. */
static void print_rest(const struct table *table, const struct layout *layout, size_t count)
{
    char text[128];
    size_t left = layout->line, used = 0;
    size_t hidden = layout->line == SIZE_MAX ? 0 : layout->hidden; /* a program gets rows only */

    if (count < table->row_count)
        used = (size_t)snprintf(text, sizeof(text), "%zu of %zu rows", count, table->row_count);
    if (hidden > 0)
        snprintf(text + used, sizeof(text) - used, "%s%zu more column%s: --wide, or -o name,...",
                 used > 0 ? "; " : "", hidden, hidden == 1 ? "" : "s");
    if (used == 0 && hidden == 0)
        return;
    put_cut(text, &left);
    putchar('\n');
}

void table_print_text(const struct table *table, size_t count)
{
    struct layout layout;

    lay_out(table, count, &layout);
    print_line(table, &layout, NULL);
    for (size_t row = 0; row < count; row++)
        print_line(table, &layout, &table->rows[row]);
    print_rest(table, &layout, count);
}
