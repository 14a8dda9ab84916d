/*
 * explain_steps.c - the steps of an explanation
 */
#include "explain_steps.h"

#include "portreeve/text.h"

#include <stdarg.h>
#include <stdio.h>

void explain_add(struct explaining *explaining, const char *check, enum explain_result result,
                 enum explain_cause cause, const char *format, ...)
{
    struct explain_report *report = explaining->report;
    struct explain_step *step = &report->step[report->count];
    va_list arguments;

    if (report->count == EXPLAIN_STEPS_MAX)
        return;
    report->count++;
    step->check = check;
    step->result = result;
    step->cause = cause;
    va_start(arguments, format);
    vsnprintf(step->text, sizeof(step->text), format, arguments);
    va_end(arguments);
    text_make_printable(step->text);
}

bool explain_has_failed(const struct explaining *explaining)
{
    for (size_t i = 0; i < explaining->report->count; i++) {
        if (explaining->report->step[i].result == EXPLAIN_FAIL)
            return true;
    }
    return false;
}
