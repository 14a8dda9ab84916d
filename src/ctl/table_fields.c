/*
 * table_fields.c - a table for programs: CSV, TSV, Markdown
 *
 * Every column is there, also an empty one, so that a column has the same place each time.
 */
#include "table_print.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 400  /* bytes of any number without an exponent */
#define EXACT_MAX  1e15 /* below, a double has every whole number */

typedef void put_field(const char *text);

/* RFC 4180: quoted where it has to be. */
static void put_csv(const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

/* Cells are printable: there are no tabs in them. */
static void put_tsv(const char *text)
{
    fputs(text, stdout);
}

static void put_markdown(const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("|\\`*_<>[]", *text) != NULL)
            putchar('\\');
        putchar(*text);
    }
}

/* Numbers without their units, but not in Markdown, which people read. */
static const char *value_of(const struct table *table, const struct row *row, size_t column,
                            char buffer[NUMBER_MAX])
{
    double number = row->number[column];

    if (row->is_number[column] && table->format != TABLE_MARKDOWN) {
        if (number > -EXACT_MAX && number < EXACT_MAX)
            number = (double)(int64_t)number; /* whole seconds that have passed */
        snprintf(buffer, NUMBER_MAX, "%.0f", number);
        return buffer;
    }
    return row->cell[column] != NULL ? row->cell[column] : "";
}

/* The name of a column: its title in small letters. */
static const char *name_of(const struct table *table, size_t column, char buffer[NUMBER_MAX])
{
    snprintf(buffer, NUMBER_MAX, "%s", table->columns[column].title);
    for (char *at = buffer; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    return buffer;
}

/* `row` NULL: the names. */
static void print_line(const struct table *table, const struct row *row, const char *begin,
                       const char *between, const char *end, put_field *put)
{
    const size_t count = table->chosen_count > 0 ? table->chosen_count : table->column_count;
    char buffer[NUMBER_MAX];

    fputs(begin, stdout);
    for (size_t n = 0; n < count; n++) {
        const size_t column = table->chosen_count > 0 ? table->chosen[n] : n;

        if (n > 0)
            fputs(between, stdout);
        put(row == NULL ? name_of(table, column, buffer) : value_of(table, row, column, buffer));
    }
    puts(end);
}

void table_print_csv(const struct table *table, size_t count)
{
    print_line(table, NULL, "", ",", "", put_csv);
    for (size_t row = 0; row < count; row++)
        print_line(table, &table->rows[row], "", ",", "", put_csv);
}

void table_print_tsv(const struct table *table, size_t count)
{
    print_line(table, NULL, "", "\t", "", put_tsv);
    for (size_t row = 0; row < count; row++)
        print_line(table, &table->rows[row], "", "\t", "", put_tsv);
}

void table_print_markdown(const struct table *table, size_t count)
{
    const size_t columns = table->chosen_count > 0 ? table->chosen_count : table->column_count;

    print_line(table, NULL, "| ", " | ", " |", put_markdown);
    for (size_t n = 0; n < columns; n++) {
        const size_t column = table->chosen_count > 0 ? table->chosen[n] : n;

        fputs(table->columns[column].right ? "|---:" : "|---", stdout);
    }
    puts("|");
    for (size_t row = 0; row < count; row++)
        print_line(table, &table->rows[row], "| ", " | ", " |", put_markdown);
}
