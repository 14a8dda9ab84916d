/*
 * section.c - creating and freeing a section, and its title
 */
#include "section.h"

#include <stdio.h>
#include <stdlib.h>

struct section *config_section_new(const struct section_kind *kind, unsigned line)
{
    struct section *section = calloc(1, sizeof(*section));

    if (section == NULL)
        return NULL;
    section->kind = kind;
    section->line = line;
    section->share.filtering = FILTERING_ADDRESS_DEPENDENT;
    return section;
}

void config_section_free(struct section *section)
{
    free(section->share.source);
    free(section->share.ports);
    free(section->share.exempt);
    free(section->source_line);
    free(section->forward.allow);
    free(section->promise.from);
    free(section->promise.not_from);
    free(section->promise.to);
    free(section);
}

char *config_title(const struct section *section, char buffer[TITLE_MAX])
{
    const struct section_kind *kind = section->kind;

    if (kind->named && section->name[0] != '\0')
        snprintf(buffer, TITLE_MAX, "[%s %s]", kind->name, section->name);
    else
        snprintf(buffer, TITLE_MAX, "[%s]", kind->name);
    return buffer;
}
