/*
 * mss.h - lowering the maximum segment size that TCP offers (RFC 9293 section 3.7.1)
 *
 * Where the external link has a smaller MTU than the inside (PPPoE, tunnels) and the ICMP errors
 * about it are lost, connections hang at their first full segment. Both sides never send segments
 * larger than the MSS that they were offered, so a gateway that lowers it in the SYNs keeps them
 * small enough.
 */
#ifndef PORTREEVE_MSS_H
#define PORTREEVE_MSS_H

#include "portreeve/packet.h"

/*
 * Lowers the MSS option of a TCP SYN to `limit` bytes and updates the checksum. Does not change:
 * what offers less, what offers nothing (536 bytes then, RFC 9293), options that cannot be read,
 * packets without SYN. Call before packet_finish.
 */
void mss_clamp(const struct packet *packet, const struct packet_view *view, uint16_t limit);

#endif
