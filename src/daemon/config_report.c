/*
 * config_report.c - errors and warnings about the configuration
 *
 * They are kept until the file is read and checked, because checks between sections find errors of
 * earlier lines.
 */
#include "config_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX  40    /* longer words are not worth a guess */
#define VALUE_MAX "200" /* bytes of a value that a message shows */

/* Nothing in a message may play tricks on a terminal: what is not printable becomes '?'. */
static void make_printable(char *text)
{
    while (*text != '\0') {
        size_t length = text_printable(text);

        if (length == 0) {
            *text = '?';
            length = 1;
        }
        text += length;
    }
}

static void keep(struct reading *reading, unsigned line, bool warning, char *text)
{
    size_t wanted = reading->diagnostic_capacity ? reading->diagnostic_capacity * 2 : 16;

    if (!warning)
        reading->failed = true;
    if (!text) {
        reading->no_memory = true;
        return;
    }
    if (reading->diagnostic_count == reading->diagnostic_capacity) {
        struct diagnostic *moved = realloc(reading->diagnostics, wanted * sizeof(*moved));

        if (!moved) {
            reading->no_memory = true;
            free(text);
            return;
        }
        reading->diagnostics = moved;
        reading->diagnostic_capacity = wanted;
    }
    make_printable(text);
    reading->diagnostics[reading->diagnostic_count] = (struct diagnostic){
        .line = line, .order = reading->diagnostic_count, .warning = warning, .text = text};
    reading->diagnostic_count++;
}

/* "FILE:LINE: " in front of the message, or nothing for the control socket. */
static char *with_place(const struct reading *reading, unsigned line, const char *subject,
                        const char *message)
{
    char *text = NULL;
    int length;

    if (!reading->path)
        length = asprintf(&text, "%s%s", subject, message);
    else if (line == 0)
        length = asprintf(&text, "%s: %s%s", reading->path, subject, message);
    else
        length = asprintf(&text, "%s:%u: %s%s", reading->path, line, subject, message);
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

/* "[title] key = value: ", the title only of a file. */
static void write_subject(const struct reading *reading, const struct section *section,
                          const char *key, const char *value, char *buffer, size_t size)
{
    char title[TITLE_MAX] = "";

    if (reading->path && section) {
        config_title(section, title);
        strcat(title, " ");
    }
    if (value && *value == '\0')
        snprintf(buffer, size, "%s%s =: ", title, key);
    else if (value)
        snprintf(buffer, size, "%s%s = %." VALUE_MAX "s: ", title, key, value);
    else
        snprintf(buffer, size, "%s%s: ", title, key);
}

enum outcome config_refuse(struct reading *reading, const char *value, const char *format, ...)
{
    char subject[TITLE_MAX + 300];
    va_list arguments;

    write_subject(reading, reading->section, reading->key->name, value, subject, sizeof(subject));
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

    write_subject(reading, section, section_kinds[section->id].keys[key].name, value, subject,
                  sizeof(subject));
    va_start(arguments, format);
    keep_formatted(reading, line, false, subject, format, arguments);
    va_end(arguments);
}

static size_t smallest(size_t one, size_t other)
{
    return one < other ? one : other;
}

/*
 * How many letters must be inserted, left out, changed or exchanged with their neighbour to make
 * one word of the other (optimal string alignment). Both are shorter than WORD_MAX.
 */
static size_t distance(const char *typed, const char *word)
{
    size_t cost[WORD_MAX + 1][WORD_MAX + 1];
    size_t rows = strlen(typed), columns = strlen(word);

    for (size_t i = 0; i <= rows; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= columns; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        for (size_t j = 1; j <= columns; j++) {
            size_t changed = cost[i - 1][j - 1] + (typed[i - 1] != word[j - 1]);

            cost[i][j] = smallest(changed, smallest(cost[i - 1][j], cost[i][j - 1]) + 1);
            if (i > 1 && j > 1 && typed[i - 1] == word[j - 2] && typed[i - 2] == word[j - 1])
                cost[i][j] = smallest(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost[rows][columns];
}

const char *config_suggest(const char *typed, const char *const *words, size_t count)
{
    size_t length = strlen(typed);
    size_t best_cost = length < 4 ? 1 : length < 8 ? 2 : 3; /* farther away is another word */
    const char *best = NULL;

    if (length == 0 || length >= WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t cost = distance(typed, words[i]);

        if (cost < best_cost || (cost == best_cost && !best)) {
            best = words[i];
            best_cost = cost;
        }
    }
    return best;
}

/* By line; what is about the whole file comes last. */
static int compare_diagnostics(const void *left, const void *right)
{
    const struct diagnostic *one = left, *other = right;
    unsigned one_line = one->line - 1, other_line = other->line - 1; /* 0 becomes the largest */

    if (one_line != other_line)
        return one_line < other_line ? -1 : 1;
    return one->order < other->order ? -1 : 1;
}

void config_tell(struct reading *reading, config_report *report, config_report *warn, void *context)
{
    if (reading->diagnostic_count > 0)
        qsort(reading->diagnostics, reading->diagnostic_count, sizeof(*reading->diagnostics),
              compare_diagnostics);
    for (size_t i = 0; i < reading->diagnostic_count; i++) {
        struct diagnostic *diagnostic = &reading->diagnostics[i];

        if (!diagnostic->warning)
            report(context, diagnostic->text);
        else if (warn)
            warn(context, diagnostic->text);
        free(diagnostic->text);
    }
    if (reading->no_memory)
        report(context, "out of memory");
    free(reading->diagnostics);
    reading->diagnostics = NULL;
    reading->diagnostic_count = reading->diagnostic_capacity = 0;
}
