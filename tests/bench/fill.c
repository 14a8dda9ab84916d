/*
 * fill.c - makes many sessions: one UDP packet each, from several source ports to many destinations
 *
 *     fill SESSIONS SOCKETS RATE FIRST_SOURCE_PORT FIRST_DESTINATION
 *
 * At RATE packets a second: the question is what a large table does to others, not what a flood
 * does. The destinations follow one another from FIRST_DESTINATION, port 9.
 */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH       16
#define SOCKETS_MAX 1000

static int open_socket(uint16_t port)
{
    struct sockaddr_in source = socket_address("0.0.0.0", port);
    int descriptor = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

    must(bind(descriptor, (struct sockaddr *)&source, sizeof(source)), "bind");
    return descriptor;
}

/* One source port, BATCH destinations in a row. */
static void send_batch(int descriptor, uint32_t first, size_t count)
{
    static char payload[MESSAGE_SIZE - 20 - 8];
    struct iovec piece = {payload, sizeof(payload)};
    struct sockaddr_in targets[BATCH];
    struct mmsghdr batch[BATCH];

    for (uint32_t i = 0; i < count; i++) {
        targets[i] = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(first + i)};
        batch[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &targets[i],
                                                .msg_namelen = sizeof(targets[i]),
                                                .msg_iov = &piece,
                                                .msg_iovlen = 1}};
    }
    for (size_t done = 0; done < count;) {
        int sent = sendmmsg(descriptor, batch + done, (unsigned)(count - done), 0);

        if (sent < 0 && errno != ENOBUFS)
            die("sendmmsg");
        done += sent > 0 ? (size_t)sent : 0;
    }
}

int main(int argc, char **argv)
{
    static int sockets[SOCKETS_MAX];
    uint64_t sessions, count, rate, began, sent = 0;
    uint32_t first;

    if (argc != 6)
        die("usage: fill SESSIONS SOCKETS RATE FIRST_SOURCE_PORT FIRST_DESTINATION");
    sessions = argument_number(argv[1], 1, 1 << 24);
    count = argument_number(argv[2], 1, SOCKETS_MAX);
    rate = argument_number(argv[3], 1, 10000000);
    for (uint64_t i = 0; i < count; i++)
        sockets[i] = open_socket((uint16_t)(argument_number(argv[4], 1, 65535 - count) + i));
    first = ntohl(socket_address(argv[5], 0).sin_addr.s_addr);
    stop_on_signals();
    began = now_ns();
    for (uint64_t turn = 0; sent < sessions && !stopped; turn++) {
        uint64_t size = sessions - sent < BATCH ? sessions - sent : BATCH;

        wait_until(began + sent * SECOND / rate);
        send_batch(sockets[turn % count], first + (uint32_t)(turn / count * BATCH), size);
        sent += size;
    }
    printf("{\"sent\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent,
           (double)(now_ns() - began) / (double)SECOND);
    return EXIT_SUCCESS;
}
