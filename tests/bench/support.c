/*
 * support.c - time, arguments, signals and percentiles for the load programs
 */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define RECEIVE_BUFFER (64 << 20) /* bytes */

volatile sig_atomic_t stopped;

void die(const char *format, ...)
{
    int code = errno;
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, code != 0 ? ": %s\n" : "\n", strerror(code));
    exit(EXIT_FAILURE);
}

int must(int result, const char *what)
{
    if (result < 0)
        die("%s", what);
    return result;
}

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

void wait_until(uint64_t due)
{
    const struct timespec until = {.tv_sec = (time_t)(due / SECOND),
                                   .tv_nsec = (long)(due % SECOND)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

unsigned long argument_number(const char *text, unsigned long least, unsigned long most)
{
    char *end;
    unsigned long number;

    errno = 0;
    number = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < least || number > most)
        die("'%s': expected a number from %lu to %lu", text, least, most);
    return number;
}

uint64_t argument_seconds(const char *text)
{
    char *end;
    double seconds;

    errno = 0;
    seconds = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(seconds > 0 && seconds <= 86400))
        die("'%s': expected seconds", text);
    return (uint64_t)(seconds * (double)SECOND);
}

struct sockaddr_in socket_address(const char *text, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    errno = 0;
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
        die("'%s': expected an IPv4 address", text);
    return address;
}

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

void stop_on_signals(void)
{
    const struct sigaction action = {.sa_handler = stop};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

void enlarge_receive_buffer(int descriptor)
{
    const int bytes = RECEIVE_BUFFER;

    must(setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)),
         "SO_RCVBUFFORCE");
}

void samples_add(struct samples *samples, uint64_t nanoseconds)
{
    if (samples->count == samples->room) {
        samples->room = samples->room > 0 ? 2 * samples->room : 1 << 20;
        samples->values = realloc(samples->values, samples->room * sizeof(*samples->values));
        if (samples->values == NULL)
            die("samples");
    }
    samples->values[samples->count++] =
        nanoseconds < UINT32_MAX ? (uint32_t)nanoseconds : UINT32_MAX;
}

static int compare(const void *one, const void *other)
{
    uint32_t left = *(const uint32_t *)one, right = *(const uint32_t *)other;

    return (left > right) - (left < right);
}

/* The nearest rank: the smallest value that at least this share of all does not exceed. */
static double percentile(const struct samples *samples, double share)
{
    size_t rank = (size_t)ceil(share * (double)samples->count);

    return samples->count > 0 ? samples->values[rank > 0 ? rank - 1 : 0] / 1e3 : 0;
}

void samples_print(struct samples *samples)
{
    if (samples->count > 0)
        qsort(samples->values, samples->count, sizeof(*samples->values), compare);
    printf("\"samples\": %zu, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": "
           "%.1f, \"max_us\": %.1f",
           samples->count, percentile(samples, 0.5), percentile(samples, 0.9),
           percentile(samples, 0.99), percentile(samples, 0.999), percentile(samples, 1.0));
}
