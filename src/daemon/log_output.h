/*
 * log_output.h - where the lines of the log go, without ever waiting
 *
 * Whoever is at the other end of standard error may stop reading, and a write would wait. So what
 * cannot be written at once is kept in a buffer, and tried again with the next line and once per
 * second; what finds no room in the buffer is lost, and counted.
 *
 *   a socket (the journal, syslog)   send(2) with MSG_DONTWAIT
 *   a pipe, a terminal               opened anew by way of /proc, with O_NONBLOCK. The flag belongs
 *                                    to an open file, which others share with us: theirs stays
 *   where that is not allowed        poll(2) first, and no more than a pipe then has room for. If
 *                                    another program fills it at this moment, the write does wait
 *   a file                           write(2)
 *
 * Rejected: a thread that writes. It would have to be stopped and started for an exec, and a line
 * would not be there when the function that logs it has returned.
 *
 * Thread-safe.
 */
#ifndef PORTREEVE_LOG_OUTPUT_H
#define PORTREEVE_LOG_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_BUFFER_SIZE (64 * 1024)

/*
 * To standard error, or to the socket at `syslog_path` (not NULL). Without this call, the first
 * line goes to standard error.
 */
void log_output_open(const char *syslog_path);

/* One line, with its newline; at most LOG_BUFFER_SIZE bytes. */
void log_output_write(const char *line, size_t length);

/* Tries again what is kept, and waits for so many milliseconds at most. */
void log_output_flush(int patience_ms);

/* How many lines were lost since this was said last. */
uint64_t log_output_unsaid(void);

/* A line that says so; nothing happens as long as there is no room for it. */
void log_output_say(const char *line, size_t length, uint64_t lost);

/* How many lines were lost since the start. */
uint64_t log_output_lost(void);

#endif
