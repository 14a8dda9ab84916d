/*
 * log_limit.h - how many lines of one kind the log gets
 *
 * Whoever can cause a line, could fill the log with it. So of each kind, so many lines are written
 * within a minute, and the others are counted; when the minute is over, one line says how many
 * they were. A kind is a format of a message.
 *
 * Memory is bounded: kinds have places in a table, and those that find none share one.
 */
#ifndef PORTREEVE_LOG_LIMIT_H
#define PORTREEVE_LOG_LIMIT_H

#include "portreeve/log.h"

#include <stddef.h>
#include <stdint.h>

#define LOG_KINDS          256
#define LOG_LIMIT_MS       60000
#define LOG_LIMIT_TEXT_MAX 200

struct log_kind {
    uint64_t key;   /* 0: the place is free */
    uint64_t began; /* when its minute began, milliseconds */
    uint32_t said;
    uint64_t more; /* that were not written */
    enum log_level level;
    char last[LOG_LIMIT_TEXT_MAX]; /* of those */
};

/* Starts with zeros. */
struct log_limits {
    struct log_kind kind[LOG_KINDS], others;
};

/*
 * The kind of a message. The format "%s" says nothing about it: then the message does, without its
 * digits.
 */
uint64_t log_kind_of(const char *format, const char *message);

/*
 * True when a line of this kind may be written now; at most `most` of it in a minute. Otherwise it
 * is counted. `now` in milliseconds.
 */
bool log_limits_admit(struct log_limits *limits, uint64_t kind, uint32_t most, enum log_level level,
                      const char *message, uint64_t now);

/* Takes out one kind whose minute is over and of which lines were not written. False: none. */
bool log_limits_take(struct log_limits *limits, uint64_t now, struct log_kind *out);

#endif
