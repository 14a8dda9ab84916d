/*
 * log.c - the daemon's messages, and where they go
 *
 * A line is built on the stack and written as a whole, so lines of several threads never mix. It
 * never waits (log_output.h), and of one kind there are so many in a minute (log_limit.h). A
 * message may quote text from the network or the control socket: bytes that are not printable are
 * written as \xNN, so no one can forge a line or send commands to a terminal.
 */
#include "portreeve/log.h"

#include "log_limit.h"
#include "log_output.h"
#include "portreeve/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM     "portreeved"
#define MESSAGE_MAX 1024 /* bytes of a message before unprintable ones are replaced */
#define LINE_SIZE   (4 * MESSAGE_MAX + 128)
#define CUT_MARK    " [cut]"

static const struct level {
    const char *name;
    int priority; /* of syslog(3) and sd-daemon(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},      [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_NOTICE] = {"notice", LOG_NOTICE}, [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

/* Lines of one kind that are written within a minute. */
#define MOST         60
#define MOST_OF_ROOT 1000

#define SYSLOG_PATH "/dev/log"
#define FINISH_MS   500

static struct log_limits limits;
static pthread_mutex_t limits_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_limited;

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
    log_output_open(target == LOG_TARGET_SYSLOG ? SYSLOG_PATH : NULL);
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

/* As syslog(3) does it: the time is local, and its names are English. */
static int begin_syslog(char *line, const struct level *level)
{
    time_t now = time(NULL);
    struct tm local;
    char when[32];

    localtime_r(&now, &local);
    strftime(when, sizeof(when), "%b %e %T", &local);
    return sprintf(line, "<%d>%s %s[%d]: ", LOG_DAEMON | level->priority, when, PROGRAM,
                   (int)getpid());
}

/* `line` has LINE_SIZE bytes. Returns the length. */
static size_t build_line(char *line, enum log_level level, const char *message)
{
    enum log_target target = atomic_load(&chosen_target);
    char *end = line;

    if (target == LOG_TARGET_SYSLOG)
        end += begin_syslog(line, &levels[level]);
    else if (target == LOG_TARGET_JOURNAL)
        end += sprintf(line, "<%d>", levels[level].priority);
    else
        end += sprintf(line, "%s: %s: ", PROGRAM, levels[level].name);
    end = escape(end, message);
    *end++ = '\n';
    return (size_t)(end - line);
}

static void write_line(enum log_level level, const char *message)
{
    char line[LINE_SIZE];

    log_output_write(line, build_line(line, level, message));
}

/* Between the lines that were kept and those that come now. */
static void say_lost(void)
{
    uint64_t lost = log_output_unsaid();
    char message[96], line[LINE_SIZE];

    if (lost == 0)
        return;
    snprintf(message, sizeof(message), "%llu lines of the log were lost: nobody has read them",
             (unsigned long long)lost);
    log_output_say(line, build_line(line, LOG_LEVEL_WARNING, message), lost);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A start is not limited: what it says depends on the configuration, and on nobody outside. */
static bool is_admitted(enum log_level level, uint32_t most, const char *format,
                        const char *message)
{
    bool admitted;

    if (!atomic_load(&is_limited))
        return true;
    pthread_mutex_lock(&limits_lock);
    admitted =
        log_limits_admit(&limits, log_kind_of(format, message), most, level, message, now_ms());
    pthread_mutex_unlock(&limits_lock);
    return admitted;
}

static bool take_limited(struct log_kind *kind)
{
    bool any;

    pthread_mutex_lock(&limits_lock);
    any = log_limits_take(&limits, now_ms(), kind);
    pthread_mutex_unlock(&limits_lock);
    return any;
}

void log_tick(void)
{
    char message[MESSAGE_MAX];
    struct log_kind kind;

    atomic_store(&is_limited, true);
    while (take_limited(&kind)) {
        snprintf(message, sizeof(message), "and %llu more within a minute, the last of them: %s",
                 (unsigned long long)kind.more, kind.last);
        write_line(kind.level, message);
    }
    log_output_flush(0);
    say_lost();
}

void log_finish(void)
{
    log_output_flush(FINISH_MS);
    say_lost();
}

uint64_t log_lost(void)
{
    return log_output_lost();
}

/* At most `most` of this format within a minute. */
__attribute__((format(printf, 3, 0))) static void log_message(enum log_level level, uint32_t most,
                                                              const char *format, va_list arguments)
{
    char message[MESSAGE_MAX];
    int saved_errno = errno, length;

    if (level > atomic_load(&chosen_level))
        return;
    length = vsnprintf(message, sizeof(message), format, arguments);
    if (length < 0)
        strcpy(message, "(a message that cannot be formatted)");
    if (length >= (int)sizeof(message))
        strcpy(message + sizeof(message) - sizeof(CUT_MARK), CUT_MARK);
    if (is_admitted(level, most, format, message)) {
        say_lost();
        write_line(level, message);
    }
    errno = saved_errno;
}

#define DEFINE_LOG(function, level, most)                                                          \
    void function(const char *format, ...)                                                         \
    {                                                                                              \
        va_list arguments;                                                                         \
                                                                                                   \
        va_start(arguments, format);                                                               \
        log_message(level, most, format, arguments);                                               \
        va_end(arguments);                                                                         \
    }

DEFINE_LOG(log_error, LOG_LEVEL_ERROR, MOST)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING, MOST)
DEFINE_LOG(log_notice, LOG_LEVEL_NOTICE, MOST)
DEFINE_LOG(log_info, LOG_LEVEL_INFO, MOST)
DEFINE_LOG(log_change, LOG_LEVEL_NOTICE, MOST_OF_ROOT)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG, MOST_OF_ROOT)
