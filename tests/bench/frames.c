/*
 * frames.c - ready frames of small packets, and the packet socket that sends them
 */
#include "frames.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

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

void frame_fill(struct frame *frame, const char *gateway, uint8_t protocol)
{
    const struct ether_addr *hardware = ether_aton(gateway);

    if (hardware == NULL)
        die("'%s': expected a hardware address", gateway);
    *frame = (struct frame){.ethernet = {.ether_type = htons(ETHERTYPE_IP)},
                            .ip = {.version = 4,
                                   .ihl = 5,
                                   .tot_len = htons(MESSAGE_SIZE),
                                   .frag_off = htons(IP_DF),
                                   .ttl = 64,
                                   .protocol = protocol}};
    memcpy(frame->ethernet.ether_dhost, hardware, ETH_ALEN);
    if (protocol == IPPROTO_UDP)
        frame->udp.len = htons(sizeof(frame->bytes));
    else
        frame->tcp.doff = sizeof(frame->tcp) / 4;
}

void frame_address(struct frame *frame, struct sockaddr_in source, struct sockaddr_in target)
{
    const uint8_t protocol = frame->ip.protocol;
    const size_t at =
        protocol == IPPROTO_UDP ? offsetof(struct udphdr, check) : offsetof(struct tcphdr, check);
    uint16_t transport = 0;

    frame->ip.saddr = source.sin_addr.s_addr;
    frame->ip.daddr = target.sin_addr.s_addr;
    frame->udp.source = source.sin_port; /* TCP has them at the same place */
    frame->udp.dest = target.sin_port;
    frame->ip.check = 0;
    memcpy(&frame->bytes[at], &transport, sizeof(transport));
    frame->ip.check = checksum(sum(&frame->ip, sizeof(frame->ip), 0));
    transport = checksum(sum(&frame->ip.saddr, 8,
                             protocol + (uint32_t)sizeof(frame->bytes) +
                                 sum(frame->bytes, sizeof(frame->bytes), 0)));
    memcpy(&frame->bytes[at], &transport, sizeof(transport));
}

int frames_open(const char *interface)
{
    struct sockaddr_ll link = {.sll_family = AF_PACKET,
                               .sll_ifindex = (int)if_nametoindex(interface)};
    int descriptor = must(socket(AF_PACKET, SOCK_RAW, 0), "packet socket"), on = 1;

    must(bind(descriptor, (struct sockaddr *)&link, sizeof(link)), interface);
    must(setsockopt(descriptor, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)),
         "PACKET_QDISC_BYPASS");
    return descriptor;
}

void frames_send(int descriptor, struct frame *frames, size_t count, uint64_t nanoseconds,
                 uint64_t rate, void (*prepare)(struct frame *frames, size_t count))
{
    struct iovec pieces[FRAMES_BATCH];
    struct mmsghdr batch[FRAMES_BATCH];
    uint64_t began = now_ns(), sent = 0, refused = 0;

    for (size_t i = 0; i < FRAMES_BATCH; i++) {
        pieces[i] = (struct iovec){&frames[i % count], sizeof(*frames)};
        batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
    }
    while (!stopped && now_ns() - began < nanoseconds) {
        int done;

        if (rate > 0)
            wait_until(began + sent * SECOND / rate);
        if (prepare != NULL)
            prepare(frames, count);
        done = sendmmsg(descriptor, batch, FRAMES_BATCH, 0);
        if (done > 0)
            sent += (uint64_t)done;
        else
            refused++;
    }
    printf("{\"sent\": %llu, \"refused\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent,
           (unsigned long long)refused, (double)(now_ns() - began) / (double)SECOND);
}
