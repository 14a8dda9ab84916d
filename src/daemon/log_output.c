/*
 * log_output.c - where the lines of the log go, without ever waiting
 */
#include "log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum way {
    WAY_FILE,     /* a write waits for nobody */
    WAY_ANEW,     /* opened anew: a write does not wait */
    WAY_POLL,     /* a write may wait */
    WAY_STREAM,   /* a socket */
    WAY_DATAGRAM, /* a line each, without its newline */
};

static struct {
    pthread_mutex_t lock; /* covers all of it; nothing waits while it is held, but WAY_FILE */
    bool is_open;
    enum way way;
    int descriptor;
    char syslog_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* "": standard error */
    char buffer[LOG_BUFFER_SIZE];
    size_t used;
    uint64_t lost, lost_unsaid;
} output = {.lock = PTHREAD_MUTEX_INITIALIZER, .descriptor = STDERR_FILENO};

/* ---- opening ---- */

static bool connect_syslog(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), result;

    if (descriptor < 0)
        return false;
    memcpy(address.sun_path, output.syslog_path, sizeof(address.sun_path));
    result = connect(descriptor, (struct sockaddr *)&address, sizeof(address));
    if (result < 0) {
        result = errno;
        close(descriptor);
        errno = result;
        return false;
    }
    output.descriptor = descriptor;
    output.way = type == SOCK_DGRAM ? WAY_DATAGRAM : WAY_STREAM;
    return true;
}

static void open_stderr(void)
{
    struct stat status;
    int anew;

    output.descriptor = STDERR_FILENO;
    output.way = WAY_FILE;
    if (fstat(STDERR_FILENO, &status) < 0)
        return;
    if (S_ISSOCK(status.st_mode)) {
        output.way = WAY_STREAM;
    } else if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
        anew = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        output.way = anew < 0 ? WAY_POLL : WAY_ANEW;
        output.descriptor = anew < 0 ? STDERR_FILENO : anew;
    }
}

static void close_output(void)
{
    if (output.is_open && output.descriptor >= 0 && output.descriptor != STDERR_FILENO)
        close(output.descriptor);
    output.descriptor = -1;
    output.is_open = false;
}

static void open_output(void)
{
    close_output();
    output.is_open = true;
    if (output.syslog_path[0] == '\0')
        open_stderr();
    else if (!connect_syslog(SOCK_DGRAM) && errno == EPROTOTYPE)
        (void)connect_syslog(SOCK_STREAM);
}

/* ---- writing ---- */

static ssize_t try_write(const char *line, size_t length)
{
    struct pollfd room = {.fd = output.descriptor, .events = POLLOUT};

    switch (output.way) {
    case WAY_STREAM:
        return send(output.descriptor, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    case WAY_DATAGRAM: /* all or nothing */
        return send(output.descriptor, line, length - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
                   ? -1
                   : (ssize_t)length;
    case WAY_POLL:
        if (poll(&room, 1, 0) <= 0) {
            errno = EAGAIN;
            return -1;
        }
        return write(output.descriptor, line, length < PIPE_BUF ? length : PIPE_BUF);
    default:
        return write(output.descriptor, line, length);
    }
}

/* Syslog may have been restarted: then a new socket helps. */
static ssize_t write_some(const char *line, size_t length)
{
    ssize_t written;

    do {
        written = try_write(line, length);
    } while (written < 0 && errno == EINTR);
    if (written >= 0 || errno == EAGAIN || errno == ENOBUFS || output.syslog_path[0] == '\0')
        return written;
    open_output();
    return try_write(line, length);
}

static void lose(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n') {
            output.lost++;
            output.lost_unsaid++;
        }
    }
}

static bool may_have_room_later(int code)
{
    return code == EAGAIN || code == ENOBUFS;
}

/* Writes what is kept, line by line. If nobody is there any more, it is lost. */
static void write_kept(void)
{
    size_t done = 0;

    while (done < output.used) {
        const char *line = output.buffer + done;
        const char *end = memchr(line, '\n', output.used - done);
        ssize_t written = write_some(line, (size_t)(end - line) + 1);

        if (written < 0 && may_have_room_later(errno))
            break;
        if (written < 0) {
            lose(line, output.used - done);
            done = output.used;
            break;
        }
        done += (size_t)written;
    }
    output.used -= done;
    memmove(output.buffer, output.buffer + done, output.used);
}

static void keep(const char *line, size_t length)
{
    if (length > sizeof(output.buffer) - output.used) {
        lose(line, length);
        return;
    }
    memcpy(output.buffer + output.used, line, length);
    output.used += length;
}

static void write_or_keep(const char *line, size_t length)
{
    ssize_t written = 0;

    if (output.used == 0)
        written = write_some(line, length);
    if (written < 0 && !may_have_room_later(errno))
        lose(line, length);
    else if (written < (ssize_t)length)
        keep(line + (written > 0 ? written : 0), length - (size_t)(written > 0 ? written : 0));
}

/* ---- what others call ---- */

void log_output_open(const char *syslog_path)
{
    pthread_mutex_lock(&output.lock);
    snprintf(output.syslog_path, sizeof(output.syslog_path), "%s",
             syslog_path != NULL ? syslog_path : "");
    open_output();
    pthread_mutex_unlock(&output.lock);
}

void log_output_write(const char *line, size_t length)
{
    pthread_mutex_lock(&output.lock);
    if (!output.is_open)
        open_output();
    write_kept();
    write_or_keep(line, length);
    pthread_mutex_unlock(&output.lock);
}

void log_output_flush(int patience_ms)
{
    struct pollfd room = {.events = POLLOUT};
    bool more;

    for (int turn = 0; turn < 2; turn++) {
        pthread_mutex_lock(&output.lock);
        write_kept();
        more = output.used > 0;
        room.fd = output.descriptor;
        pthread_mutex_unlock(&output.lock);
        if (!more || patience_ms == 0 || poll(&room, 1, patience_ms) <= 0)
            return;
    }
}

uint64_t log_output_unsaid(void)
{
    uint64_t lost;

    pthread_mutex_lock(&output.lock);
    lost = output.lost_unsaid;
    pthread_mutex_unlock(&output.lock);
    return lost;
}

void log_output_say(const char *line, size_t length, uint64_t lost)
{
    ssize_t written = -1;

    pthread_mutex_lock(&output.lock);
    write_kept();
    if (output.used == 0 && lost <= output.lost_unsaid) /* another thread may have said it */
        written = write_some(line, length);
    if (written > 0) {
        output.lost_unsaid -= lost;
        keep(line + written, length - (size_t)written);
    }
    pthread_mutex_unlock(&output.lock);
}

uint64_t log_output_lost(void)
{
    uint64_t lost;

    pthread_mutex_lock(&output.lock);
    lost = output.lost;
    pthread_mutex_unlock(&output.lock);
    return lost;
}
