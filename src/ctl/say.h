/*
 * say.h - messages of portreeve on standard error, and text of the daemon that is safe to print
 */
#ifndef PORTREEVE_CTL_SAY_H
#define PORTREEVE_CTL_SAY_H

#include <stddef.h>

#define SHOWN_MAX 256 /* bytes, with the final NUL */

/* "portreeve: ..." on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program, because there is not enough memory. */
void give_up(void) __attribute__((noreturn));

/* Text of the daemon, cut to the buffer; unprintable characters are replaced. */
struct shown {
    char text[SHOWN_MAX];
};
const char *show(struct shown *shown, const char *text);

#endif
