/*
 * table.h - a table on standard output, with columns that fit the terminal
 */
#ifndef PORTREEVE_CTL_TABLE_H
#define PORTREEVE_CTL_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_COLUMNS 16
#define TABLE_KEY     40

struct column {
    const char *title;
    bool right; /* aligned to the right: numbers */
    /* 0: always shown. The others are shown if there is room, the lowest rank first. */
    unsigned rank;
};

struct row {
    uint8_t key[TABLE_KEY]; /* rows are sorted by it */
    char *cell[TABLE_COLUMNS];
};

struct table {
    const struct column *columns;
    size_t column_count;
    struct row *rows; /* owned */
    size_t row_count, row_capacity;
};

void table_begin(struct table *table, const struct column *columns, size_t count);
/*
 * A new row without cells; its key is all zeros, for the caller to fill. Ends the program if there
 * is not enough memory. The pointer is valid until the next call.
 */
struct row *table_add(struct table *table);
void table_set_cell(struct row *row, size_t column, const char *text);
void table_set_number(struct row *row, size_t column, int64_t number);
/* The usual key: protocol, one endpoint, another endpoint. */
void table_set_key(struct row *row, const char *protocol, const json_t *first,
                   const json_t *second);
/* Sorts and prints the rows; prints nothing if there are none. */
void table_print(struct table *table);
void table_end(struct table *table);

#endif
