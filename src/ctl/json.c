/*
 * json.c - JSON on standard output
 */
#include "json.h"

#include "portreeve/control_protocol.h"
#include "say.h"

#include <stdlib.h>

#define STYLE JSON_REAL_PRECISION(CONTROL_DIGITS)

void json_print(const json_t *json)
{
    json_dumpf(json, stdout, STYLE | JSON_INDENT(2));
    putchar('\n');
}

void json_print_line(const json_t *json)
{
    json_dumpf(json, stdout, STYLE | JSON_COMPACT);
    putchar('\n');
}

/* Prints what is kept. */
static void flush_list(struct json_list *list)
{
    if (list->stream == NULL)
        return;
    if (fclose(list->stream) != 0)
        give_up();
    fwrite(list->text, 1, list->length, stdout);
    free(list->text);
    list->stream = NULL;
    list->text = NULL;
}

void json_list_add(struct json_list *list, const json_t *element)
{
    if (list->stream == NULL)
        list->stream = open_memstream(&list->text, &list->length);
    if (list->stream == NULL || fputs(list->begun ? ",\n" : "[\n", list->stream) < 0 ||
        json_dumpf(element, list->stream, STYLE) < 0)
        give_up();
    list->begun = true;
    if (ftello(list->stream) > (off_t)JSON_LIST_KEPT)
        flush_list(list);
}

void json_list_print(struct json_list *list)
{
    flush_list(list);
    puts(list->begun ? "\n]" : "[]");
}

void json_list_end(struct json_list *list)
{
    if (list->stream != NULL)
        fclose(list->stream);
    free(list->text);
}
