/*
 * report.c - errors and warnings about the configuration
 *
 * They are kept until the file is read and checked, because checks across sections find errors in
 * earlier lines.
 */
#include "report.h"

#include "place.h"
#include "portreeve/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX "200" /* bytes of a value that a message shows */

static void keep(struct reading *reading, unsigned line, bool warning, char *text)
{
    size_t wanted = reading->diagnostic_capacity ? reading->diagnostic_capacity * 2 : 16;

    if (!warning)
        reading->failed = true;
    if (text == NULL) {
        reading->no_memory = true;
        return;
    }
    if (reading->diagnostic_count == reading->diagnostic_capacity) {
        struct diagnostic *moved = realloc(reading->diagnostics, wanted * sizeof(*moved));

        if (moved == NULL) {
            reading->no_memory = true;
            free(text);
            return;
        }
        reading->diagnostics = moved;
        reading->diagnostic_capacity = wanted;
    }
    text_make_printable(text);
    reading->diagnostics[reading->diagnostic_count] = (struct diagnostic){
        .line = line, .order = reading->diagnostic_count, .warning = warning, .text = text};
    reading->diagnostic_count++;
}

/* "FILE:LINE: " in front of the message, or nothing for the control socket. */
static char *with_place(const struct reading *reading, unsigned line, const char *subject,
                        const char *message)
{
    unsigned local;
    const char *path = place_of(reading, line, &local);
    char *text = NULL;
    int length;

    if (reading->path == NULL)
        length = asprintf(&text, "%s%s", subject, message);
    else if (line == 0)
        length = asprintf(&text, "%s: %s%s", reading->path, subject, message);
    else
        length = asprintf(&text, "%s:%u: %s%s", path, local, subject, message);
    return length < 0 ? NULL : text;
}

__attribute__((format(printf, 5, 0))) static void
keep_formatted(struct reading *reading, unsigned line, bool warning, const char *subject,
               const char *format, va_list arguments)
{
    char *message = NULL;

    if (vasprintf(&message, format, arguments) < 0) {
        keep(reading, line, warning, NULL);
        return;
    }
    keep(reading, line, warning, with_place(reading, line, subject, message));
    free(message);
}

void config_problem(struct reading *reading, unsigned line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    keep_formatted(reading, line, false, "", format, arguments);
    va_end(arguments);
}

void config_warning(struct reading *reading, unsigned line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    keep_formatted(reading, line, true, "", format, arguments);
    va_end(arguments);
}

/* "[title] key = value: ", the title only for a file. */
static void write_subject(const struct reading *reading, const struct section *section,
                          const char *key, const char *value, char *buffer, size_t size)
{
    char title[TITLE_MAX] = "";

    if (reading->path != NULL && section != NULL) {
        config_title(section, title);
        strcat(title, " ");
    }
    if (value != NULL && *value == '\0')
        snprintf(buffer, size, "%s%s =: ", title, key);
    else if (value != NULL)
        snprintf(buffer, size, "%s%s = %." VALUE_MAX "s: ", title, key, value);
    else
        snprintf(buffer, size, "%s%s: ", title, key);
}

const char *config_key_name(const struct reading *reading)
{
    return reading->key->flags & KEY_OF_PORT ? reading->key_name : reading->key->name;
}

enum outcome config_refuse(struct reading *reading, const char *value, const char *format, ...)
{
    char subject[TITLE_MAX + 300];
    va_list arguments;

    write_subject(reading, reading->section, config_key_name(reading), value, subject,
                  sizeof(subject));
    va_start(arguments, format);
    keep_formatted(reading, reading->line, false, subject, format, arguments);
    va_end(arguments);
    return VALUE_REFUSED;
}

void config_conflict(struct reading *reading, const struct section *section, size_t key,
                     const char *value, const char *format, ...)
{
    unsigned line = section->key_line[key] ? section->key_line[key] : section->line;
    char subject[TITLE_MAX + 300];
    va_list arguments;

    write_subject(reading, section, section->kind->keys[key].name, value, subject, sizeof(subject));
    va_start(arguments, format);
    keep_formatted(reading, line, false, subject, format, arguments);
    va_end(arguments);
}

/* By line; messages about the whole file come last. */
static int compare_diagnostics(const void *left, const void *right)
{
    const struct diagnostic *one = left, *other = right;
    unsigned one_line = one->line - 1, other_line = other->line - 1; /* 0 becomes the largest */

    if (one_line != other_line)
        return one_line < other_line ? -1 : 1;
    return one->order < other->order ? -1 : 1;
}

void config_report_all(struct reading *reading, config_report *report, config_report *warn,
                       void *context)
{
    if (reading->diagnostic_count > 0)
        qsort(reading->diagnostics, reading->diagnostic_count, sizeof(*reading->diagnostics),
              compare_diagnostics);
    for (size_t i = 0; i < reading->diagnostic_count; i++) {
        struct diagnostic *diagnostic = &reading->diagnostics[i];

        if (!diagnostic->warning)
            report(context, diagnostic->text);
        else if (warn != NULL)
            warn(context, diagnostic->text);
        free(diagnostic->text);
    }
    if (reading->no_memory)
        report(context, "not enough memory");
    free(reading->diagnostics);
    reading->diagnostics = NULL;
    reading->diagnostic_count = reading->diagnostic_capacity = 0;
}
