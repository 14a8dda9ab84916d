/*
 * support.h - what the benchmark's load programs share: time, arguments, signals, percentiles
 */
#ifndef PORTREEVE_BENCH_SUPPORT_H
#define PORTREEVE_BENCH_SUPPORT_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECOND 1000000000ull /* in nanoseconds */

/* What every request, answer and ping carries. */
#define MESSAGE_SIZE 64

/* The sentence, what errno says, and exit code 1. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A system call's result, or the end. */
int must(int result, const char *what);

uint64_t now_ns(void);         /* monotonic */
void wait_until(uint64_t due); /* of that clock; what is over does not wait */

/* A number of the command line between the two bounds, or the end. */
unsigned long argument_number(const char *text, unsigned long least, unsigned long most);
uint64_t argument_seconds(const char *text); /* "1.5"; in nanoseconds */

/* An IPv4 address of the command line and a port (host byte order). */
struct sockaddr_in socket_address(const char *text, uint16_t port);

/* SIGTERM and SIGINT set it; they interrupt system calls. */
extern volatile sig_atomic_t stopped;
void stop_on_signals(void);

/* Room for as many messages as the kernel will let root have. */
void enlarge_receive_buffer(int descriptor);

/* Times in nanoseconds; what is longer than 4 s counts as that. */
struct samples {
    uint32_t *values;
    size_t count, room;
};

void samples_add(struct samples *samples, uint64_t nanoseconds);

/* Sorts, and prints the JSON members p50_us, p90_us, p99_us, p999_us, max_us without braces. */
void samples_print(struct samples *samples);

#endif
