/*
 * notices.c - what is wrong around the gateway now, for the log and for status
 */
#include "notices.h"

#include "portreeve/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool has_name(const struct notice *notice, const char *name)
{
    return strcmp(notice->name, name) == 0;
}

void notices_begin(struct notices *notices, const char *name)
{
    for (size_t i = 0; i < notices->count; i++) {
        if (has_name(&notices->list[i], name))
            notices->said_again[i] = false;
    }
}

static bool say_again(struct notices *notices, const char *name, const char *text)
{
    for (size_t i = 0; i < notices->count; i++) {
        if (has_name(&notices->list[i], name) && strcmp(notices->list[i].text, text) == 0) {
            notices->said_again[i] = true;
            return true;
        }
    }
    return false;
}

static void add(struct notices *notices, const char *name, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void add(struct notices *notices, const char *name, const char *format, va_list arguments)
{
    struct notice notice = {.since = time(NULL)};

    snprintf(notice.name, sizeof(notice.name), "%s", name);
    vsnprintf(notice.text, sizeof(notice.text), format, arguments);
    if (say_again(notices, name, notice.text))
        return;
    if (notices->count == NOTICES_MAX) {
        if (!notices->overflows)
            log_warning("there are more than %d notices: the others are not shown", NOTICES_MAX);
        notices->overflows = true;
        return;
    }
    log_warning("%s", notice.text);
    notices->said_again[notices->count] = true;
    notices->list[notices->count++] = notice;
}

void notices_add(struct notices *notices, const char *name, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(notices, name, format, arguments);
    va_end(arguments);
}

void notices_end(struct notices *notices, const char *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < notices->count; i++) {
        if (has_name(&notices->list[i], name) && !notices->said_again[i]) {
            log_notice("no longer: %s", notices->list[i].text);
            continue;
        }
        notices->said_again[kept] = notices->said_again[i];
        if (kept != i)
            notices->list[kept] = notices->list[i];
        kept++;
    }
    notices->count = kept;
}

void notices_set(struct notices *notices, const char *name, const char *format, ...)
{
    va_list arguments;

    notices_begin(notices, name);
    va_start(arguments, format);
    add(notices, name, format, arguments);
    va_end(arguments);
    notices_end(notices, name);
}

void notices_clear(struct notices *notices, const char *name)
{
    notices_begin(notices, name);
    notices_end(notices, name);
}
