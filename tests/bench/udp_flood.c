/*
 * udp_flood.c - small UDP packets, as many as go, over several flows
 *
 *     udp_flood INTERFACE GATEWAY SOURCE ADDRESS PORT SECONDS FLOWS FIRST_SOURCE_PORT [RATE]
 *
 * IP packets of 64 bytes, as ready frames through a packet socket, to the gateway's hardware
 * address (aa:bb:...): that costs the sender least, and like those of a wire they come with a
 * complete checksum. A flow is a source port; the flows take turns, packet by packet. With RATE, no
 * more than so many packets a second. Sockets of the flows' ports take the answers, which nobody
 * reads.
 */
#include "support.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH     64
#define FLOWS_MAX BATCH

struct frame {
    struct ether_header ethernet;
    struct iphdr ip;
    struct udphdr udp;
    char payload[MESSAGE_SIZE - sizeof(struct iphdr) - sizeof(struct udphdr)];
} __attribute__((packed));

/* RFC 1071, over an even number of bytes. */
static uint32_t sum(const void *data, size_t length, uint32_t begin)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < length; i += 2)
        begin += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    return begin;
}

static uint16_t checksum(uint32_t total)
{
    total = (total >> 16) + (total & 0xffff);
    total += total >> 16;
    return htons((uint16_t)~total);
}

static void fill_frame(struct frame *frame, const char *gateway, struct sockaddr_in source,
                       struct sockaddr_in target)
{
    const size_t udp_length = sizeof(frame->udp) + sizeof(frame->payload);
    const struct ether_addr *hardware = ether_aton(gateway);

    if (hardware == NULL)
        die("'%s': expected a hardware address", gateway);
    *frame = (struct frame){.ethernet = {.ether_type = htons(ETHERTYPE_IP)},
                            .ip = {.version = 4,
                                   .ihl = 5,
                                   .tot_len = htons(MESSAGE_SIZE),
                                   .frag_off = htons(IP_DF),
                                   .ttl = 64,
                                   .protocol = IPPROTO_UDP,
                                   .saddr = source.sin_addr.s_addr,
                                   .daddr = target.sin_addr.s_addr},
                            .udp = {.source = source.sin_port,
                                    .dest = target.sin_port,
                                    .len = htons((uint16_t)udp_length)}};
    memcpy(frame->ethernet.ether_dhost, hardware, ETH_ALEN);
    frame->ip.check = checksum(sum(&frame->ip, sizeof(frame->ip), 0));
    frame->udp.check = checksum(sum(
        &frame->ip.saddr, 8, IPPROTO_UDP + (uint32_t)udp_length + sum(&frame->udp, udp_length, 0)));
}

static int open_socket(const char *interface)
{
    struct sockaddr_ll link = {.sll_family = AF_PACKET,
                               .sll_ifindex = (int)if_nametoindex(interface)};
    int descriptor = must(socket(AF_PACKET, SOCK_RAW, 0), "packet socket"), on = 1;

    must(bind(descriptor, (struct sockaddr *)&link, sizeof(link)), interface);
    must(setsockopt(descriptor, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)),
         "PACKET_QDISC_BYPASS");
    return descriptor;
}

static void take_answers(struct sockaddr_in source)
{
    int descriptor = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

    must(bind(descriptor, (struct sockaddr *)&source, sizeof(source)), "a flow's port");
}

static void flood(int descriptor, struct frame *frames, unsigned long flows, uint64_t seconds,
                  uint64_t rate)
{
    struct iovec pieces[BATCH];
    struct mmsghdr batch[BATCH];
    uint64_t began = now_ns(), sent = 0, refused = 0;

    for (unsigned long i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){&frames[i % flows], sizeof(*frames)};
        batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
    }
    while (!stopped && now_ns() - began < seconds) {
        int done;

        if (rate > 0)
            wait_until(began + sent * SECOND / rate);
        done = sendmmsg(descriptor, batch, BATCH, 0);
        if (done > 0)
            sent += (uint64_t)done;
        else
            refused++;
    }
    printf("{\"sent\": %llu, \"refused\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent,
           (unsigned long long)refused, (double)(now_ns() - began) / (double)SECOND);
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
        fill_frame(&frames[i], argv[2], source,
                   socket_address(argv[4], (uint16_t)argument_number(argv[5], 1, 65535)));
    }
    stop_on_signals();
    flood(open_socket(argv[1]), frames, flows, argument_seconds(argv[6]),
          argc > 9 ? argument_number(argv[9], 1, 100000000) : 0);
    return EXIT_SUCCESS;
}
