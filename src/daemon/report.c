/*
 * report.c - functions of type config_report, and reporting a formatted line
 */
#include "portreeve/report.h"

#include "portreeve/log.h"

#include <stdarg.h>
#include <stdio.h>

void report_error(void *context, const char *message)
{
    (void)context;
    log_error("%s", message);
}

void report_warning(void *context, const char *message)
{
    (void)context;
    log_warning("%s", message);
}

void report_format(config_report *report, void *context, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    report(context, text);
}
