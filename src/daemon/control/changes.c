/*
 * changes.c - what is different between two versions of a forward
 */
#include "changes.h"

#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The members of json_forward that an administrator can set. */
static const char *const fields[] = {
    "protocols", "listen", "to", "allow", "owner", "note", "expires", "limit", "rate",
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

/* A new reference; null if the forward has no such member. */
static json_t *member(const json_t *forward, const char *name)
{
    json_t *value = json_object_get(forward, name);

    return value != NULL ? json_incref(value) : json_null();
}

json_t *changes_json(const struct forward *before, const struct forward *after)
{
    json_t *was = json_forward(before, 0, NULL, ""), *is = json_forward(after, 0, NULL, ""),
           *changes = was != NULL && is != NULL ? json_object() : NULL;

    for (size_t i = 0; changes != NULL && i < FIELD_COUNT; i++) {
        json_t *one = member(was, fields[i]), *other = member(is, fields[i]);

        if (!json_equal(one, other))
            json_object_set_new(changes, fields[i],
                                json_pack("{s:O,s:O}", "before", one, "after", other));
        json_decref(one);
        json_decref(other);
    }
    json_decref(was);
    json_decref(is);
    return changes;
}

__attribute__((format(printf, 3, 4))) static void append(char *buffer, size_t *used,
                                                         const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(buffer + *used, CHANGES_TEXT_MAX - *used, format, arguments);
    va_end(arguments);
    *used += length > 0 ? (size_t)length : 0;
    if (*used >= CHANGES_TEXT_MAX)
        *used = CHANGES_TEXT_MAX - 1;
}

static void append_value(char *buffer, size_t *used, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    append(buffer, used, "%s", text != NULL ? text : "?");
    free(text);
}

const char *changes_text(const json_t *changes, char buffer[CHANGES_TEXT_MAX])
{
    const json_t *change;
    const char *name;
    size_t used = 0;

    snprintf(buffer, CHANGES_TEXT_MAX, "nothing");
    /* json_object_foreach takes no const pointer, but changes nothing */
    json_object_foreach((json_t *)changes, name, change)
    {
        append(buffer, &used, "%s%s ", used > 0 ? ", " : "", name);
        append_value(buffer, &used, json_object_get(change, "before"));
        append(buffer, &used, " -> ");
        append_value(buffer, &used, json_object_get(change, "after"));
    }
    return buffer;
}

const char *changes_describe(const struct forward *forward, char buffer[CHANGES_TEXT_MAX])
{
    json_t *json = json_forward(forward, 0, NULL, "");
    size_t used = 0;

    buffer[0] = '\0';
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const json_t *value = json_object_get(json, fields[i]);

        if (value == NULL || json_is_null(value) ||
            (json_is_array(value) && json_array_size(value) == 0))
            continue;
        append(buffer, &used, "%s%s ", used > 0 ? ", " : "", fields[i]);
        append_value(buffer, &used, value);
    }
    json_decref(json);
    return buffer;
}
