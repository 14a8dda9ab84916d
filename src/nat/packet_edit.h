/*
 * packet_edit.h - shared by packet.c and icmp.c: reading and changing headers, which may be
 * embedded in an ICMP error and cut short there
 */
#ifndef PORTREEVE_PACKET_EDIT_H
#define PORTREEVE_PACKET_EDIT_H

#include "portreeve/packet.h"

enum packet_end {
    END_SOURCE,
    END_DESTINATION,
};

/* Fills protocol and addresses from a sound IPv4 header; the ports are 0. */
void packet_read_addresses(const uint8_t *ip, struct tuple *tuple);

/*
 * Fills the ports of a tuple whose protocol is set; reads 8 bytes. False for ICMP that is no query.
 */
bool packet_read_ports(const uint8_t *l4, struct tuple *tuple);

/*
 * Copies `length` (even) bytes to `at` and updates the checksum that covers them (NULL: none).
 * `may_lack`: a checksum of 0 is none; it stays, and no other becomes 0 (UDP).
 */
void packet_replace(uint8_t *checksum, bool may_lack, uint8_t *at, const void *value,
                    size_t length);

/*
 * Gives one end of a header this endpoint; `update_l4` unless the L4 checksum is yet to be
 * computed.
 */
void packet_replace_endpoint(uint8_t *ip, uint8_t *l4, size_t l4_available, bool update_l4,
                             enum packet_end end, const struct endpoint *endpoint);

#endif
