/*
 * report.h - functions of type config_report, and reporting a formatted line
 */
#ifndef PORTREEVE_REPORT_H
#define PORTREEVE_REPORT_H

#include "portreeve/config.h"

/* Each line goes to the log. The context is not used. */
void report_error(void *context, const char *message);
void report_warning(void *context, const char *message);

/* Reports one line, cut at 511 bytes. */
void report_format(config_report *report, void *context, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
