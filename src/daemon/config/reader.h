/*
 * reader.h - from lines to sections, keys and values
 */
#ifndef PORTREEVE_CONFIG_READER_H
#define PORTREEVE_CONFIG_READER_H

#include "reading.h"

/* Fills reading->sections, and those values that belong into reading->config directly. */
void config_read_lines(struct reading *reading);

#endif
