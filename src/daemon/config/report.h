/*
 * report.h - errors and warnings, kept until the end and reported in the order of their lines
 */
#ifndef PORTREEVE_CONFIG_REPORT_H
#define PORTREEVE_CONFIG_REPORT_H

#include "reading.h"

void config_problem(struct reading *reading, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void config_warning(struct reading *reading, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The key that is being read, as the file writes it: udp:53, not udp:PORT. */
const char *config_key_name(const struct reading *reading);
/*
 * Reports "[title] key = value: ..." about the key and line that are being read; returns
 * VALUE_REFUSED.
 */
enum outcome config_refuse(struct reading *reading, const char *value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same about another key of a section. `value` may be NULL. */
void config_conflict(struct reading *reading, const struct section *section, size_t key,
                     const char *value, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Reports everything and frees it. */
void config_report_all(struct reading *reading, config_report *report, config_report *warn,
                       void *context);

#endif
