/*
 * warnings.c - warnings in the answer to a change
 */
#include "warnings.h"

#include "say.h"

void complain_of_warnings(const json_t *result)
{
    const json_t *warning;
    struct shown shown;
    size_t index;

    json_array_foreach(json_object_get(result, "warnings"), index, warning)
    {
        const char *text = json_string_value(warning);

        complain("warning: %s", show(&shown, text != NULL ? text : "?"));
    }
}
