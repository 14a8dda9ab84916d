/*
 * error.h - one sentence for people about what went wrong
 *
 * Functions that fail for reasons outside the program (files, sockets, the kernel) return -errno
 * and leave the sentence here, so that the caller decides where it goes: the terminal, the log, a
 * control client.
 */
#ifndef PORTREEVE_ERROR_H
#define PORTREEVE_ERROR_H

struct error {
    char text[512]; /* no newline at the end; empty: no error */
};

/* Writes the sentence, cut where it does not fit. */
void error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
