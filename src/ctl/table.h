/*
 * table.h - a table on standard output, in one of several formats
 */
#ifndef PORTREEVE_CTL_TABLE_H
#define PORTREEVE_CTL_TABLE_H

#include "options.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_COLUMNS 16
#define TABLE_KEY     40
#define RANK_ASKED    (TABLE_COLUMNS + 1)

struct column {
    const char *title; /* in small letters, the name for --columns and --sort */
    bool right;        /* aligned to the right: numbers */
    /*
     * 0: always shown. The others are shown if there is room, the lowest rank first, but for
     * RANK_ASKED: to people only if they ask for it.
     */
    unsigned rank;
};

struct row {
    uint8_t key[TABLE_KEY]; /* rows are sorted by it */
    char *cell[TABLE_COLUMNS];
    double number[TABLE_COLUMNS]; /* what the cell stands for, if it is a number */
    bool is_number[TABLE_COLUMNS];
};

enum table_format { TABLE_TEXT, TABLE_CSV, TABLE_TSV, TABLE_MARKDOWN, TABLE_JSON };

struct table {
    const struct column *columns;
    size_t column_count;
    struct row *rows; /* owned */
    size_t row_count, row_capacity;
    enum table_format format; /* TABLE_JSON: the caller prints, the table stays empty */
    bool wide;
    size_t chosen[TABLE_COLUMNS], chosen_count; /* columns in their order; none: by rank */
    bool sorted, backwards;
    size_t sort;  /* the column, if `sorted` */
    size_t limit; /* rows to print; 0: all */
};

/*
 * An empty table as the options say. False after a message if they make no sense. Sets whether
 * ports have names (format.h).
 */
bool table_begin(struct table *table, const struct column *columns, size_t count,
                 const struct options *options);
/*
 * A new row without cells; its key is all zeros, for the caller to fill. Ends the program if there
 * is not enough memory. The pointer is valid until the next call.
 */
struct row *table_add(struct table *table);
void table_set_cell(struct row *row, size_t column, const char *text);
void table_set_number(struct row *row, size_t column, int64_t number);
/* A cell that people read as `text` and programs as `number`. */
void table_set_amount(struct row *row, size_t column, double number, const char *text);
/* A time (RFC 3339, or empty), which people read as `text`. */
void table_set_time(const struct table *table, struct row *row, size_t column, const char *time,
                    const char *text);
/* The usual key: protocol, one endpoint, another endpoint. */
void table_set_key(struct row *row, const char *protocol, const json_t *first,
                   const json_t *second);
/* Sorts and prints the rows; prints nothing if there are none. */
void table_print(struct table *table);
void table_end(struct table *table);

#endif
