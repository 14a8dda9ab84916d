/*
 * place.c - where a line is, in a configuration of several files
 */
#include "place.h"

#include <stdio.h>

uint16_t place_file(const struct reading *reading, unsigned line)
{
    size_t file = reading->config == NULL ? 0 : reading->config->included_count;

    while (file > 0 && reading->lines_before[file] >= line)
        file--;
    return (uint16_t)file;
}

const char *place_of(const struct reading *reading, unsigned line, unsigned *local)
{
    uint16_t file = place_file(reading, line);

    *local = line;
    if (file == 0)
        return reading->path;
    *local = line - reading->lines_before[file];
    return reading->config->included[file - 1];
}

const char *place_text(const struct reading *reading, unsigned line, char buffer[PLACE_MAX])
{
    unsigned local;
    const char *path = place_of(reading, line, &local);

    if (reading->config == NULL || reading->config->included_count == 0)
        snprintf(buffer, PLACE_MAX, "line %u", local);
    else
        snprintf(buffer, PLACE_MAX, "line %u of %.128s", local, path);
    return buffer;
}
