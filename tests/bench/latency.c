/*
 * latency.c - how long an answer takes over one TCP connection that is kept: 64 bytes there, 64
 * bytes back, the next
 *
 *     latency ADDRESS PORT SECONDS
 */
#include "support.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define WARM_UP (SECOND / 10)

static void ask(int connection)
{
    char bytes[MESSAGE_SIZE] = {0};

    if (send(connection, bytes, sizeof(bytes), MSG_NOSIGNAL) != (ssize_t)sizeof(bytes))
        die("send");
    if (recv(connection, bytes, sizeof(bytes), MSG_WAITALL) != (ssize_t)sizeof(bytes))
        die("recv");
}

int main(int argc, char **argv)
{
    struct samples samples = {0};
    struct sockaddr_in target;
    int connection, on = 1;
    uint64_t end, measured;

    if (argc != 4)
        die("usage: latency ADDRESS PORT SECONDS");
    target = socket_address(argv[1], (uint16_t)argument_number(argv[2], 1, 65535));
    connection = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    must(connect(connection, (struct sockaddr *)&target, sizeof(target)), "connect");
    measured = now_ns() + WARM_UP;
    end = measured + argument_seconds(argv[3]);
    for (uint64_t before = now_ns(); before < end;) {
        uint64_t after;

        ask(connection);
        after = now_ns();
        if (before >= measured)
            samples_add(&samples, after - before);
        before = after;
    }
    printf("{");
    samples_print(&samples);
    puts("}");
    return EXIT_SUCCESS;
}
