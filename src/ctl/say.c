/*
 * say.c - messages of portreeve on standard error, and text of the daemon that is safe to print
 */
#include "say.h"

#include "exit_code.h"
#include "portreeve/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX 1024 /* bytes, with the final NUL */

void complain(const char *format, ...)
{
    char text[MESSAGE_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    text_make_printable(text);
    fflush(stdout); /* keeps the order where both outputs go to the same place */
    fprintf(stderr, "portreeve: %s\n", text);
}

void give_up(void)
{
    complain("not enough memory");
    exit(EXIT_REFUSED);
}

const char *show(struct shown *shown, const char *text)
{
    snprintf(shown->text, sizeof(shown->text), "%s", text);
    text_make_printable(shown->text);
    return shown->text;
}
