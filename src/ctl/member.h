/*
 * member.h - members of a JSON object of the daemon
 */
#ifndef PORTREEVE_CTL_MEMBER_H
#define PORTREEVE_CTL_MEMBER_H

#include <jansson.h>
#include <stdint.h>

/* "" or 0 for a member that is missing or of another type. */
const char *member_text(const json_t *object, const char *name);
int64_t member_number(const json_t *object, const char *name);
double member_seconds(const json_t *object, const char *name);

#endif
