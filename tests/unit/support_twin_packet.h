/*
 * support_twin_packet.h - inside the naive NAT: how it reads and rewrites headers, and its parts
 */
#ifndef PORTREEVE_TEST_SUPPORT_TWIN_PACKET_H
#define PORTREEVE_TEST_SUPPORT_TWIN_PACKET_H

#include "support_twin.h"

/* An IPv4 header and what it carries; also of a packet that an ICMP error quotes. */
struct header {
    uint8_t *ip, *l4;
    size_t header, total, l4_length;
    uint8_t protocol;
    struct spot source, destination;
    uint8_t type; /* of ICMP */
};

enum drop_reason twin_read_packet(const struct packet *packet, struct header *header);
bool twin_is_error(const struct header *header);
bool twin_asks(uint8_t type); /* ICMP requests, which have their id as source port */

/* Of a header whose place is known. */
void twin_read_spots(struct header *header);
void twin_read_ports(struct header *header);

/* Gives the packet this source or destination, with all checksums. */
void twin_set_end(const struct packet *packet, struct header *header, bool source,
                  struct spot spot);

/* Segmentation wants the sum of the pseudo header where there is no checksum yet. */
void twin_prepare_for_segmentation(const struct packet *packet, const struct header *header);

/*
 * The parts of that: without checksums; the words that the L4 checksum covers; a checksum that goes
 * with them.
 */
void twin_write_end(struct header *header, bool source, struct spot spot);
uint64_t twin_covered_words(const struct header *header);
uint64_t twin_words(const uint8_t *at, size_t length);
uint16_t twin_adjust(uint16_t checksum, uint64_t before, uint64_t after, bool is_udp);

bool twin_same(struct spot one, struct spot other);
const struct twin_share *twin_share_of(uint32_t ip);
bool twin_published(uint8_t protocol, uint16_t port);
/* The forward of an external port, or NULL. */
const struct twin_forward *twin_forward_at(uint8_t protocol, uint16_t port);
/* The external port of a forward's target, or 0. */
uint16_t twin_forward_port_of(uint8_t protocol, struct spot inside);

/* Decisions about ICMP errors. */
enum drop_reason twin_icmp_error(struct twin *twin, struct packet *packet, struct header *header);

#endif
