/*
 * include.h - the files that [gateway] include names
 */
#ifndef PORTREEVE_CONFIG_INCLUDE_H
#define PORTREEVE_CONFIG_INCLUDE_H

#include "reading.h"

/*
 * Calls `read` for each file that the pattern names, in the order of their names, with
 * reading->stream open and lines that count on. Files that cannot be read are errors.
 */
void include_each(struct reading *reading, void (*read)(struct reading *reading));

#endif
