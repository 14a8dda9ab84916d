/*
 * log.h - the daemon's messages, and where they go
 *
 * One line per event, never one per packet. Of one kind (one format) there are at most 60 within a
 * minute, of log_change and log_debug 1000; then a line says how many more there were. No function
 * here waits for who reads the log: what nobody reads is lost, and a line says how much. The
 * journal gets the level as the "<N>" prefix of sd-daemon(3), so no library is needed for it.
 */
#ifndef PORTREEVE_LOG_H
#define PORTREEVE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_target {
    LOG_TARGET_AUTO, /* the journal when stderr is connected to it ($JOURNAL_STREAM), else stderr */
    LOG_TARGET_JOURNAL,
    LOG_TARGET_STDERR,
    LOG_TARGET_SYSLOG,
};

struct log_options {
    enum log_level level;
    enum log_target target;
};

/*
 * Until log_open is called, messages from error to notice go to stderr. May be called again (a
 * reload). Thread-safe.
 */
void log_open(const struct log_options *options);

/*
 * Once per second, from the end of the start on: says how many lines of a kind were too many, and
 * writes what could not be written before.
 */
void log_tick(void);

/* At the end: what was not read yet is waited for, for half a second. */
void log_finish(void);

/* How many lines were lost since the start, because nobody has read them. */
uint64_t log_lost(void);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A notice of what an administrator has done, which is to be known later. */
void log_change(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
