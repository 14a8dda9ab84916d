/*
 * table_print.h - the formats of a table
 */
#ifndef PORTREEVE_CTL_TABLE_PRINT_H
#define PORTREEVE_CTL_TABLE_PRINT_H

#include "table.h"

/* Print the first `count` rows. */

/* For people: columns that fit the terminal. Output to a file or another program has no limit. */
void table_print_text(const struct table *table, size_t count);
/* For programs: every column, with a line of names. */
void table_print_csv(const struct table *table, size_t count); /* RFC 4180, with line feeds */
void table_print_tsv(const struct table *table, size_t count);
void table_print_markdown(const struct table *table, size_t count);

#endif
