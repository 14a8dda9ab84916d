/*
 * warnings.h - warnings in the answer to a change
 */
#ifndef PORTREEVE_CTL_WARNINGS_H
#define PORTREEVE_CTL_WARNINGS_H

#include <jansson.h>

/* Shows the member `warnings` of an answer on stderr, one line each. */
void complain_of_warnings(const json_t *result);

#endif
