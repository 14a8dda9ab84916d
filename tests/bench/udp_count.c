/*
 * udp_count.c - counts the UDP packets that arrive at a port, until SIGTERM
 *
 *     udp_count PORT
 *
 * The first packet of each source port is answered: a conversation that nobody answers is not what
 * is measured, and some contenders treat it otherwise.
 *
 * "seconds" is from the first packet to the last, "socket_drops" what came while the socket's
 * buffer was full: such a packet did arrive, and this program was too slow for it.
 */
#include "support.h"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#define BATCH 256

static uint32_t drops(int descriptor)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof(memory);

    must(getsockopt(descriptor, SOL_SOCKET, SO_MEMINFO, memory, &length), "SO_MEMINFO");
    return memory[SK_MEMINFO_DROPS];
}

static int open_socket(uint16_t port)
{
    const struct timeval look = {.tv_usec = 50000}; /* how soon SIGTERM is seen at the latest */
    struct sockaddr_in any = socket_address("0.0.0.0", port);
    int descriptor = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

    enlarge_receive_buffer(descriptor);
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof(look));
    must(bind(descriptor, (struct sockaddr *)&any, sizeof(any)), "bind");
    return descriptor;
}

static void answer_newcomers(int descriptor, const struct mmsghdr *batch, int count)
{
    static bool known[UINT16_MAX + 1];

    for (int i = 0; i < count; i++) {
        const struct sockaddr_in *from = batch[i].msg_hdr.msg_name;

        if (known[from->sin_port])
            continue;
        known[from->sin_port] = true;
        (void)sendto(descriptor, "", 1, 0, (const struct sockaddr *)from, sizeof(*from));
    }
}

int main(int argc, char **argv)
{
    static struct sockaddr_in from[BATCH];
    static char buffers[BATCH][MESSAGE_SIZE];
    struct iovec pieces[BATCH];
    struct mmsghdr batch[BATCH];
    uint64_t received = 0, first = 0, last = 0;
    char text[INET_ADDRSTRLEN];
    int descriptor;

    if (argc != 2)
        die("usage: udp_count PORT");
    stop_on_signals();
    descriptor = open_socket((uint16_t)argument_number(argv[1], 1, 65535));
    for (size_t i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){buffers[i], sizeof(buffers[i])};
        batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i],
                                                .msg_iovlen = 1,
                                                .msg_name = &from[i],
                                                .msg_namelen = sizeof(from[i])}};
    }
    while (!stopped) {
        int count = recvmmsg(descriptor, batch, BATCH, MSG_WAITFORONE, NULL);

        if (count <= 0)
            continue;
        answer_newcomers(descriptor, batch, count);
        last = now_ns();
        first = first != 0 ? first : last;
        received += (uint64_t)count;
    }
    printf("{\"received\": %llu, \"seconds\": %.6f, \"socket_drops\": %u, \"from\": \"%s\"}\n",
           (unsigned long long)received, (double)(last - first) / (double)SECOND, drops(descriptor),
           inet_ntop(AF_INET, &from[0].sin_addr, text, sizeof(text)));
    return EXIT_SUCCESS;
}
