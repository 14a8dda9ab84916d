/*
 * member.c - members of a JSON object of the daemon
 */
#include "member.h"

const char *member_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

int64_t member_number(const json_t *object, const char *name)
{
    return (int64_t)json_number_value(json_object_get(object, name));
}

double member_seconds(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}
