/*
 * connect_load.c - new TCP connections per second: connect, ask, read the answer, close, and again
 *
 *     connect_load [--paced RATE] ADDRESS PORT SECONDS PARALLEL SOURCE...
 *
 * PARALLEL connections are under way at any time, from the SOURCE addresses in turn. With --paced,
 * RATE begin per second instead, PARALLEL at most are under way, and one that has failed counts
 * among the times, with the time until it failed. The client
 * closes first, in an orderly way (no RST), so TIME_WAIT is the client's: net.ipv4.tcp_tw_reuse and
 * several sources keep it from running out of ports. A connection that has no answer after
 * ANSWER_WITHIN has failed.
 */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PARALLEL_MAX  1024
#define ANSWER_WITHIN (3 * SECOND)
#define LOOK_EVERY    50 /* milliseconds between two looks for overdue connections */

enum failure { REFUSED, RESET, OVERDUE, NO_PORT, OTHER, FAILURES };
static const char *const failure_names[FAILURES] = {"refused", "reset", "no answer",
                                                    "no local port", "other"};

struct connection {
    int descriptor;
    bool asked;
    uint64_t began;
};

static struct sockaddr_in target;
static struct sockaddr_in *sources;
static size_t source_count, next_source;
static int epoll;
static uint64_t done, failed[FAILURES];
static uint64_t rate; /* 0: not paced */
static struct samples times;

static void fail(int code)
{
    failed[code == ECONNREFUSED    ? REFUSED
           : code == ECONNRESET    ? RESET
           : code == ETIMEDOUT     ? OVERDUE
           : code == EADDRNOTAVAIL ? NO_PORT
                                   : OTHER]++;
}

static void begin(struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    int on = 1;

    connection->descriptor = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    connection->asked = false;
    connection->began = now_ns();
    setsockopt(connection->descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    must(bind(connection->descriptor, (struct sockaddr *)&sources[next_source++ % source_count],
              sizeof(target)),
         "bind");
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, connection->descriptor, &event), "epoll_ctl");
    if (connect(connection->descriptor, (struct sockaddr *)&target, sizeof(target)) < 0 &&
        errno != EINPROGRESS) {
        /*
         * Begun again when it is overdue: without a port to begin from, at once would be a busy
         * loop.
         */
        fail(errno);
        close(connection->descriptor);
        connection->descriptor = -1;
    }
}

static void end(struct connection *connection, int code)
{
    if (code == 0)
        done++;
    else
        fail(code);
    if (code == 0 || rate > 0)
        samples_add(&times, now_ns() - connection->began);
    close(connection->descriptor);
    connection->descriptor = -1;
    if (rate == 0)
        begin(connection);
}

static int pending_error(const struct connection *connection)
{
    int code = 0;
    socklen_t length = sizeof(code);

    getsockopt(connection->descriptor, SOL_SOCKET, SO_ERROR, &code, &length);
    return code;
}

static void advance(struct connection *connection, uint32_t events)
{
    static const char question[MESSAGE_SIZE];
    char answer[MESSAGE_SIZE];
    ssize_t size;

    if (events & (EPOLLERR | EPOLLHUP)) {
        int code = pending_error(connection);

        end(connection, code != 0 ? code : ECONNRESET);
        return;
    }
    if (!connection->asked && (events & EPOLLOUT)) {
        connection->asked = true;
        if (send(connection->descriptor, question, sizeof(question), MSG_NOSIGNAL) < 0)
            end(connection, errno);
        return;
    }
    if (!(events & EPOLLIN))
        return;
    size = recv(connection->descriptor, answer, sizeof(answer), 0);
    if (size < 0 && errno == EAGAIN)
        return;
    end(connection, size > 0 ? 0 : size == 0 ? ECONNRESET : errno);
}

static void end_overdue(struct connection *connections, size_t count)
{
    uint64_t now = now_ns();

    for (size_t i = 0; i < count; i++) {
        if (connections[i].descriptor < 0 && rate == 0)
            begin(&connections[i]);
        else if (connections[i].descriptor >= 0 && now - connections[i].began > ANSWER_WITHIN)
            end(&connections[i], ETIMEDOUT);
    }
}

/* Begins what is due, as far as there is room. Returns when the next one is due. */
static uint64_t keep_pace(struct connection *connections, size_t count, uint64_t due)
{
    for (size_t i = 0; i < count && due <= now_ns(); i++) {
        if (connections[i].descriptor >= 0)
            continue;
        begin(&connections[i]);
        due += SECOND / rate;
    }
    return due;
}

static int until_due(uint64_t due)
{
    uint64_t now = now_ns(), left = due > now ? (due - now) / (SECOND / 1000) : 0;

    return left < LOOK_EVERY ? (int)left : LOOK_EVERY;
}

static void work(struct connection *connections, size_t count, uint64_t until)
{
    struct epoll_event events[PARALLEL_MAX];
    uint64_t looked = now_ns(), due = looked;

    for (size_t i = 0; i < count; i++) {
        connections[i].descriptor = -1;
        if (rate == 0)
            begin(&connections[i]);
    }
    while (!stopped && now_ns() < until) {
        int ready;

        if (rate > 0)
            due = keep_pace(connections, count, due);
        ready = epoll_wait(epoll, events, PARALLEL_MAX, rate > 0 ? until_due(due) : LOOK_EVERY);

        for (int i = 0; i < ready; i++)
            advance(events[i].data.ptr, events[i].events);
        if (now_ns() - looked > LOOK_EVERY * (SECOND / 1000)) {
            end_overdue(connections, count);
            looked = now_ns();
        }
    }
}

static void print(double seconds)
{
    uint64_t all = 0;

    printf("{\"connections\": %llu, \"seconds\": %.6f, \"failures\": {", (unsigned long long)done,
           seconds);
    for (int i = 0; i < FAILURES; i++) {
        printf("%s\"%s\": %llu", i > 0 ? ", " : "", failure_names[i],
               (unsigned long long)failed[i]);
        all += failed[i];
    }
    printf("}, \"failed\": %llu, ", (unsigned long long)all);
    samples_print(&times);
    puts("}");
}

int main(int argc, char **argv)
{
    static struct connection connections[PARALLEL_MAX];
    uint64_t began, seconds;
    size_t parallel;

    if (argc > 2 && strcmp(argv[1], "--paced") == 0) {
        rate = argument_number(argv[2], 1, 1000000);
        argc -= 2;
        argv += 2;
    }
    if (argc < 6)
        die("usage: connect_load [--paced RATE] ADDRESS PORT SECONDS PARALLEL SOURCE...");
    target = socket_address(argv[1], (uint16_t)argument_number(argv[2], 1, 65535));
    seconds = argument_seconds(argv[3]);
    parallel = argument_number(argv[4], 1, PARALLEL_MAX);
    source_count = (size_t)argc - 5;
    sources = calloc(source_count, sizeof(*sources));
    if (sources == NULL)
        die("sources");
    for (size_t i = 0; i < source_count; i++)
        sources[i] = socket_address(argv[5 + i], 0);
    stop_on_signals();
    epoll = must(epoll_create1(0), "epoll");
    began = now_ns();
    work(connections, parallel, began + seconds);
    print((double)(now_ns() - began) / (double)SECOND);
    return EXIT_SUCCESS;
}
