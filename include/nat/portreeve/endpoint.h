/*
 * endpoint.h - addresses, endpoints and tuples, and how they are written
 *
 * One struct for IPv4 and IPv6: an IPv4 address is held in its IPv4-mapped form, ::ffff:a.b.c.d, so
 * that the table, the policy and the control socket have one code path. Addresses are bytes in
 * network order; ports are numbers in host order. The structs have no padding, so that tuples can
 * be compared and hashed as bytes.
 */
#ifndef PORTREEVE_ENDPOINT_H
#define PORTREEVE_ENDPOINT_H

#include "portreeve/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address {
    uint8_t bytes[16]; /* network byte order; IPv4 as ::ffff:a.b.c.d */
};

/*
 * In an ICMP query the query id is used as the port of the side that asked. The other side's port
 * is 0.
 */
struct endpoint {
    struct address address;
    uint16_t port; /* host byte order */
};

struct tuple {
    struct endpoint source;
    struct endpoint destination;
    uint8_t protocol; /* number in the IP header (protocol.h) */
    uint8_t reserved; /* always 0: tuples are compared as bytes */
};

_Static_assert(sizeof(struct endpoint) == 18, "an endpoint has no padding");
_Static_assert(sizeof(struct tuple) == 38, "a tuple has no padding");

/* A prefix in the 16-byte form: IPv4's /24 has length 120. Host bits of `address` are 0. */
struct prefix {
    struct address address;
    uint8_t length; /* 0..128 */
};

struct port_range {
    uint16_t first, last; /* both included, host byte order; first <= last */
};

/* The IPv4 address of `host_order`, and back. address_to_ipv4 asks for address_is_ipv4 first. */
struct address address_from_ipv4(uint32_t host_order);
uint32_t address_to_ipv4(const struct address *address);
bool address_is_ipv4(const struct address *address);

bool address_equal(const struct address *one, const struct address *other);
bool endpoint_equal(const struct endpoint *one, const struct endpoint *other);
bool tuple_equal(const struct tuple *one, const struct tuple *other);

/* The tuple of the opposite direction: source and destination exchanged. */
struct tuple tuple_inverse(const struct tuple *tuple);

bool prefix_contains(const struct prefix *prefix, const struct address *address);

#endif
