/*
 * checksum.h - the Internet checksum (RFC 1071) and its incremental update (RFC 1624)
 *
 * Checksums and sums have the byte order of the packet (network order, read as a native 16-bit
 * word). One's complement addition does not depend on the byte order (RFC 1071 section 2B), so no
 * bytes are swapped.
 */
#ifndef PORTREEVE_CHECKSUM_H
#define PORTREEVE_CHECKSUM_H

#include "portreeve/endpoint.h"

/* Adds `length` bytes to a running sum; an odd last byte counts as if a zero followed it. */
uint32_t checksum_add(uint32_t sum, const void *data, size_t length);

/* Folds a running sum to 16 bits, without the final complement. */
uint16_t checksum_fold(uint32_t sum);

/*
 * RFC 1624 equation 3: `checksum` after the bytes at `before` became those at `after`; `length` is
 * even.
 */
uint16_t checksum_update(uint16_t checksum, const void *before, const void *after, size_t length);

/* The running sum of the IPv4 pseudo header; the addresses lie in the IP header at `ip`. */
uint32_t checksum_pseudo_ipv4(const uint8_t *ip, uint8_t protocol, uint16_t l4_length);

#endif
