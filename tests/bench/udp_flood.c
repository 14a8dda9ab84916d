/*
 * udp_flood.c - small UDP packets, as many as go, over several flows
 *
 *     udp_flood INTERFACE GATEWAY SOURCE ADDRESS PORT SECONDS FLOWS FIRST_SOURCE_PORT [RATE]
 *
 * IP packets of 64 bytes, as ready frames (frames.h), to the gateway's hardware address
 * (aa:bb:...). A flow is a source port; the flows take turns, packet by packet. With RATE, no more
 * than so many packets a second. Sockets of the flows' ports take the answers, which nobody reads.
 */
#include "frames.h"

#include <stdlib.h>
#include <sys/socket.h>

#define FLOWS_MAX FRAMES_BATCH

static void take_answers(struct sockaddr_in source)
{
    int descriptor = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

    must(bind(descriptor, (struct sockaddr *)&source, sizeof(source)), "a flow's port");
}

int main(int argc, char **argv)
{
    static struct frame frames[FLOWS_MAX];
    unsigned long flows, first;

    if (argc != 9 && argc != 10)
        die("usage: udp_flood INTERFACE GATEWAY SOURCE ADDRESS PORT SECONDS FLOWS "
            "FIRST_SOURCE_PORT [RATE]");
    flows = argument_number(argv[7], 1, FLOWS_MAX);
    first = argument_number(argv[8], 1, 65535 - flows);
    for (unsigned long i = 0; i < flows; i++) {
        struct sockaddr_in source = socket_address(argv[3], (uint16_t)(first + i));

        take_answers(source);
        frame_fill(&frames[i], argv[2], IPPROTO_UDP);
        frame_address(&frames[i], source,
                      socket_address(argv[4], (uint16_t)argument_number(argv[5], 1, 65535)));
    }
    stop_on_signals();
    frames_send(frames_open(argv[1]), frames, flows, argument_seconds(argv[6]),
                argc > 9 ? argument_number(argv[9], 1, 100000000) : 0, NULL);
    return EXIT_SUCCESS;
}
