/*
 * reader.h - from lines to sections, keys and values
 */
#ifndef PORTREEVE_CONFIG_READER_H
#define PORTREEVE_CONFIG_READER_H

#include "reading.h"

/* Fills reading->sections and the values that go straight into reading->config. */
void config_read_lines(struct reading *reading);

#endif
