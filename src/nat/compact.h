/*
 * compact.h - addresses, endpoints and tuples as the table stores them
 *
 * Only IPv4 is translated, so the table stores four bytes of an address instead of sixteen: with
 * sixteen a session would span a third cache line. Everything outside of the table knows struct
 * address, struct endpoint and struct tuple; this is the one place that converts. Sessions of IPv6
 * will be stored in a table of their own.
 */
#ifndef PORTREEVE_COMPACT_H
#define PORTREEVE_COMPACT_H

#include "portreeve/endpoint.h"

#include <assert.h>
#include <string.h>

/* The four bytes as they are in a packet: they are only compared and hashed. */
typedef uint32_t compact_address;

static inline compact_address compact_address_of(const struct address *address)
{
    compact_address compact;
    uint64_t first;

    memcpy(&first, address->bytes, sizeof(first));
    assert(first == 0); /* IPv4-mapped, as far as a lookup can check cheaply */
    memcpy(&compact, address->bytes + 12, sizeof(compact));
    return compact;
}

static inline struct address compact_address_expand(compact_address compact)
{
    struct address address = {.bytes = {[10] = 0xff, [11] = 0xff}};

    memcpy(address.bytes + 12, &compact, sizeof(compact));
    return address;
}

static inline struct endpoint compact_endpoint_expand(compact_address address, uint16_t port)
{
    return (struct endpoint){compact_address_expand(address), port};
}

/* A tuple without its protocol, which both tuples of a session share. */
struct compact_tuple {
    compact_address source, destination;
    uint16_t source_port, destination_port; /* host byte order */
};

static inline struct compact_tuple compact_tuple_of(const struct tuple *tuple)
{
    return (struct compact_tuple){compact_address_of(&tuple->source.address),
                                  compact_address_of(&tuple->destination.address),
                                  tuple->source.port, tuple->destination.port};
}

static inline struct tuple compact_tuple_expand(const struct compact_tuple *compact,
                                                uint8_t protocol)
{
    return (struct tuple){compact_endpoint_expand(compact->source, compact->source_port),
                          compact_endpoint_expand(compact->destination, compact->destination_port),
                          protocol, 0};
}

#endif
