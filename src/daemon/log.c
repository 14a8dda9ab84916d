/*
 * log.c - the daemon's messages, and where they go
 *
 * A line is built on the stack and written with one call, so lines of several threads never mix and
 * no lock is held. A message may quote text from the network or the control socket: bytes that are
 * not printable are written as \xNN, so no one can forge a line or send commands to a terminal.
 */
#include "portreeve/log.h"

#include "portreeve/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define PROGRAM     "portreeved"
#define MESSAGE_MAX 1024 /* bytes of a message before unprintable ones are replaced */
#define LINE_SIZE   (4 * MESSAGE_MAX + 64)
#define CUT_MARK    " [cut]"

static const struct level {
    const char *name;
    int priority; /* of syslog(3) and sd-daemon(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},      [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_NOTICE] = {"notice", LOG_NOTICE}, [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

static _Atomic(enum log_level) chosen_level = LOG_LEVEL_NOTICE;
static _Atomic(enum log_target) chosen_target = LOG_TARGET_STDERR; /* never LOG_TARGET_AUTO */

/*
 * systemd.exec(5), $JOURNAL_STREAM: the device and inode of the stream that is connected to the
 * journal.
 */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char own[64];

    if (stream == NULL || fstat(STDERR_FILENO, &status) != 0)
        return false;
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(own, stream) == 0;
}

void log_open(const struct log_options *options)
{
    enum log_target target = options->target;

    if (target == LOG_TARGET_AUTO)
        target = stderr_is_journal() ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR;
    if (target == LOG_TARGET_SYSLOG) /* at once: later /dev/log may not be reachable */
        openlog(PROGRAM, LOG_PID | LOG_NDELAY, LOG_DAEMON);
    atomic_store(&chosen_level, options->level);
    atomic_store(&chosen_target, target);
}

/*
 * Copies `message` and replaces what is not printable. `line` has room for four bytes per byte, and
 * a NUL.
 */
static char *escape(char *line, const char *message)
{
    while (*message != '\0') {
        size_t length = text_printable(message);

        if (length == 0) {
            line += sprintf(line, "\\x%02x", (unsigned)(unsigned char)*message);
            message++;
            continue;
        }
        memcpy(line, message, length);
        line += length;
        message += length;
    }
    *line = '\0';
    return line;
}

static void write_line(const char *line, size_t length)
{
    ssize_t written;

    do {
        written = write(STDERR_FILENO, line, length);
    } while (written < 0 && errno == EINTR);
    /* If stderr is full or closed, the message is lost: there is no other place for it. */
}

__attribute__((format(printf, 2, 0))) static void log_message(enum log_level level,
                                                              const char *format, va_list arguments)
{
    enum log_target target = atomic_load(&chosen_target);
    char message[MESSAGE_MAX], line[LINE_SIZE];
    int saved_errno = errno, length;
    char *end = line;

    if (level > atomic_load(&chosen_level))
        return;
    length = vsnprintf(message, sizeof(message), format, arguments);
    if (length >= (int)sizeof(message))
        strcpy(message + sizeof(message) - sizeof(CUT_MARK), CUT_MARK);
    if (target == LOG_TARGET_JOURNAL)
        end += sprintf(line, "<%d>", levels[level].priority);
    else if (target == LOG_TARGET_STDERR)
        end += sprintf(line, "%s: %s: ", PROGRAM, levels[level].name);
    end = escape(end, length < 0 ? "(a message that cannot be formatted)" : message);
    if (target == LOG_TARGET_SYSLOG) {
        syslog(levels[level].priority, "%s", line);
    } else {
        *end++ = '\n';
        write_line(line, (size_t)(end - line));
    }
    errno = saved_errno;
}

#define DEFINE_LOG(function, level)                                                                \
    void function(const char *format, ...)                                                         \
    {                                                                                              \
        va_list arguments;                                                                         \
                                                                                                   \
        va_start(arguments, format);                                                               \
        log_message(level, format, arguments);                                                     \
        va_end(arguments);                                                                         \
    }

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_notice, LOG_LEVEL_NOTICE)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
