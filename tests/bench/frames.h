/*
 * frames.h - ready frames of small packets, and the packet socket that sends them
 *
 * That costs the sender least, and like those of a wire they come with a complete checksum.
 */
#ifndef PORTREEVE_BENCH_FRAMES_H
#define PORTREEVE_BENCH_FRAMES_H

#include "support.h"

#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#define FRAMES_BATCH 64

/* An IP packet of MESSAGE_SIZE bytes. */
struct frame {
    struct ether_header ethernet;
    struct iphdr ip;
    union {
        struct udphdr udp;
        struct tcphdr tcp;
        char bytes[MESSAGE_SIZE - sizeof(struct iphdr)];
    };
} __attribute__((packed));

/* To the gateway's hardware address (aa:bb:...), of this protocol; the rest is zero. */
void frame_fill(struct frame *frame, const char *gateway, uint8_t protocol);

/* Addresses and ports, and with them both checksums. A frame that has them already gets others. */
void frame_address(struct frame *frame, struct sockaddr_in source, struct sockaddr_in target);

/* A packet socket of this interface. */
int frames_open(const char *interface);

/*
 * Sends batches of the frames, in turn, for so many nanoseconds or until a signal, at most `rate`
 * packets a second (0: all it can). Before each batch `prepare` may change the frames. Prints how
 * many were sent, as JSON.
 */
void frames_send(int descriptor, struct frame *frames, size_t count, uint64_t nanoseconds,
                 uint64_t rate, void (*prepare)(struct frame *frames, size_t count));

#endif
