/*
 * json.h - JSON on standard output
 */
#ifndef PORTREEVE_CTL_JSON_H
#define PORTREEVE_CTL_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Prints a value and a newline: on several lines with indentation, or on one line. */
void json_print(const json_t *json);
void json_print_line(const json_t *json);

/*
 * An array whose elements arrive one by one. It is kept as text until it is complete: so a slow
 * reader does not make the daemon wait, and no half array is printed. When the text gets longer
 * than JSON_LIST_KEPT, it is printed in parts, so that a million elements need no more memory than
 * a few thousand. From then on the reader must not pause.
 */
#define JSON_LIST_KEPT ((size_t)4 << 20) /* bytes */

struct json_list {
    bool begun;
    FILE *stream; /* writes to `text`; NULL: nothing is kept */
    char *text;
    size_t length;
};
void json_list_add(struct json_list *list, const json_t *element);
/* Prints what is kept and the end of the array. */
void json_list_print(struct json_list *list);
/* Frees what is kept. */
void json_list_end(struct json_list *list);

#endif
