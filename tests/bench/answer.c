/*
 * answer.c - sends back what it gets: on one port, TCP and UDP, many connections at a time
 *
 *     answer PORT
 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS  256
#define BACKLOG 4096

static int epoll;

static void watch(int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};

    must(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event), "epoll_ctl");
}

static int open_socket(int kind, uint16_t port)
{
    int descriptor = must(socket(AF_INET, kind | SOCK_NONBLOCK, 0), "socket"), on = 1;
    struct sockaddr_in any = socket_address("0.0.0.0", port);

    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    must(bind(descriptor, (struct sockaddr *)&any, sizeof(any)), "bind");
    watch(descriptor);
    return descriptor;
}

static void take_connections(int listener)
{
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

        if (connection < 0)
            return;
        watch(connection);
    }
}

static void answer_datagrams(int descriptor)
{
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    char bytes[2048];
    ssize_t size;

    while ((size = recvfrom(descriptor, bytes, sizeof(bytes), 0, (struct sockaddr *)&from,
                            &length)) >= 0)
        (void)sendto(descriptor, bytes, (size_t)size, 0, (struct sockaddr *)&from, length);
}

/* Messages are small: the send buffer is never full. */
static void answer_stream(int connection)
{
    char bytes[2048];
    ssize_t size = recv(connection, bytes, sizeof(bytes), 0);

    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0 || send(connection, bytes, (size_t)size, MSG_NOSIGNAL) != size)
        close(connection);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    int listener, datagrams;
    uint16_t port;

    if (argc != 2)
        die("usage: answer PORT");
    port = (uint16_t)argument_number(argv[1], 1, 65535);
    stop_on_signals();
    epoll = must(epoll_create1(0), "epoll");
    listener = open_socket(SOCK_STREAM, port);
    datagrams = open_socket(SOCK_DGRAM, port);
    enlarge_receive_buffer(datagrams);
    must(listen(listener, BACKLOG), "listen");
    while (!stopped) {
        int count = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                take_connections(listener);
            else if (events[i].data.fd == datagrams)
                answer_datagrams(datagrams);
            else
                answer_stream(events[i].data.fd);
        }
    }
    return EXIT_SUCCESS;
}
