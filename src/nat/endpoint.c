/*
 * endpoint.c - addresses, endpoints and tuples
 */
#include "portreeve/endpoint.h"

#include <string.h>

static const uint8_t ipv4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct address address_from_ipv4(uint32_t host_order)
{
    struct address address;

    memcpy(address.bytes, ipv4_mapped, sizeof(ipv4_mapped));
    address.bytes[12] = (uint8_t)(host_order >> 24);
    address.bytes[13] = (uint8_t)(host_order >> 16);
    address.bytes[14] = (uint8_t)(host_order >> 8);
    address.bytes[15] = (uint8_t)host_order;
    return address;
}

uint32_t address_to_ipv4(const struct address *address)
{
    const uint8_t *b = address->bytes;

    return (uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15];
}

bool address_is_ipv4(const struct address *address)
{
    return memcmp(address->bytes, ipv4_mapped, sizeof(ipv4_mapped)) == 0;
}

bool address_equal(const struct address *one, const struct address *other)
{
    return memcmp(one, other, sizeof(*one)) == 0;
}

bool endpoint_equal(const struct endpoint *one, const struct endpoint *other)
{
    return memcmp(one, other, sizeof(*one)) == 0;
}

bool tuple_equal(const struct tuple *one, const struct tuple *other)
{
    return memcmp(one, other, sizeof(*one)) == 0;
}

struct tuple tuple_inverse(const struct tuple *tuple)
{
    return (struct tuple){
        .source = tuple->destination,
        .destination = tuple->source,
        .protocol = tuple->protocol,
    };
}

/* True when the first `length` bits are the same. */
static bool bits_equal(const struct address *one, const struct address *other, unsigned length)
{
    unsigned whole = length / 8, rest = length % 8;

    if (memcmp(one->bytes, other->bytes, whole) != 0)
        return false;
    return rest == 0 || (one->bytes[whole] ^ other->bytes[whole]) >> (8 - rest) == 0;
}

bool prefix_contains(const struct prefix *prefix, const struct address *address)
{
    return bits_equal(&prefix->address, address, prefix->length);
}
