/*
 * ping_pong.c - the longest stall of a path: a datagram every millisecond, whether the last one
 * came back or not
 *
 *     ping_pong ADDRESS PORT SOURCE_PORT
 *
 * "ready" is its first line. Upon SIGUSR1 it prints a line of JSON about the time since the last
 * one, and goes on; upon SIGTERM it ends with one. "gap" is the longest time without any answer,
 * "lost" what had no answer LATE after it was sent.
 */
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define EVERY (SECOND / 1000)
#define LATE  (SECOND / 2)

struct ping {
    uint64_t sent;  /* ns */
    uint64_t phase; /* which line it counts for */
    char rest[MESSAGE_SIZE - 2 * sizeof(uint64_t)];
};

struct phase {
    uint64_t number, sent, gap, last_answer;
    struct samples samples;
};

static volatile sig_atomic_t report;

static void ask_for_report(int number)
{
    (void)number;
    report = 1;
}

static void take_answers(int descriptor, struct phase *phase)
{
    struct ping ping;

    while (recv(descriptor, &ping, sizeof(ping), MSG_DONTWAIT) == (ssize_t)sizeof(ping)) {
        uint64_t now = now_ns();

        if (ping.phase != phase->number)
            continue;
        if (phase->last_answer != 0 && now - phase->last_answer > phase->gap)
            phase->gap = now - phase->last_answer;
        phase->last_answer = now;
        samples_add(&phase->samples, now - ping.sent);
    }
}

/* Until `until`, or a signal. */
static void wait_for_answers(int descriptor, struct phase *phase, uint64_t until)
{
    struct pollfd wait = {.fd = descriptor, .events = POLLIN};
    uint64_t now;

    while ((now = now_ns()) < until) {
        struct timespec left = {.tv_nsec = (long)((until - now) % SECOND)};

        if (ppoll(&wait, 1, &left, NULL) < 0)
            return;
        take_answers(descriptor, phase);
    }
}

static void print(int descriptor, struct phase *phase)
{
    wait_for_answers(descriptor, phase, now_ns() + LATE);
    printf("{\"sent\": %llu, \"lost\": %llu, \"gap_us\": %.1f, ", (unsigned long long)phase->sent,
           (unsigned long long)(phase->sent - phase->samples.count), (double)phase->gap / 1e3);
    samples_print(&phase->samples);
    puts("}");
    fflush(stdout);
    phase->samples.count = 0;
    *phase = (struct phase){.number = phase->number + 1, .samples = phase->samples};
}

static int open_socket(char **argv)
{
    struct sockaddr_in target =
        socket_address(argv[1], (uint16_t)argument_number(argv[2], 1, 65535));
    struct sockaddr_in source =
        socket_address("0.0.0.0", (uint16_t)argument_number(argv[3], 1, 65535));
    int descriptor = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

    must(bind(descriptor, (struct sockaddr *)&source, sizeof(source)), "bind");
    must(connect(descriptor, (struct sockaddr *)&target, sizeof(target)), "connect");
    return descriptor;
}

int main(int argc, char **argv)
{
    const struct sigaction on_report = {.sa_handler = ask_for_report};
    struct phase phase = {0};
    uint64_t due;
    int descriptor;

    if (argc != 4)
        die("usage: ping_pong ADDRESS PORT SOURCE_PORT");
    descriptor = open_socket(argv);
    stop_on_signals();
    sigaction(SIGUSR1, &on_report, NULL);
    puts("ready");
    fflush(stdout);
    for (due = now_ns(); !stopped; due += EVERY) {
        struct ping ping = {.sent = now_ns(), .phase = phase.number};

        if (send(descriptor, &ping, sizeof(ping), MSG_DONTWAIT) == (ssize_t)sizeof(ping))
            phase.sent++;
        wait_for_answers(descriptor, &phase, due + EVERY);
        if (report) {
            report = 0;
            print(descriptor, &phase);
            due = now_ns();
        }
    }
    print(descriptor, &phase);
    return EXIT_SUCCESS;
}
