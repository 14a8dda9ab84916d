/*
 * protocol.h - the transport protocols that are translated: a row each
 *
 * Whatever differs between protocols and is not code of their own (parsing, the states of TCP) is
 * in this table. To add one: a row here, its parser in packet.c, its states and timeout in tcp.c or
 * a file of its own (doc/architecture.md).
 */
#ifndef PORTREEVE_PROTOCOL_H
#define PORTREEVE_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Symbol, number in the IP header (IANA), name, offset of the checksum in the transport header,
 * whether the pseudo header counts in it (RFC 9293 section 3.1, RFC 768), whether it may be left
 * out (0, RFC 768). Those with ports come first. The others have query ids, which are used as
 * ports.
 */
#define PROTOCOLS_WITH_PORTS(X)                                                                    \
    X(TCP, 6, "tcp", 16, true, false)                                                              \
    X(UDP, 17, "udp", 6, true, true)
#define PROTOCOLS_WITH_QUERY_ID(X) X(ICMP, 1, "icmp", 2, false, false)
#define PROTOCOLS(X)                                                                               \
    PROTOCOLS_WITH_PORTS(X)                                                                        \
    PROTOCOLS_WITH_QUERY_ID(X)

/* As in the IP header. */
enum {
#define X(symbol, number, ...) PROTOCOL_##symbol = number,
    PROTOCOLS(X)
#undef X
};

/* Arrays that have an element for each protocol are indexed by this. */
enum protocol_index {
#define X(symbol, ...) PROTOCOL_INDEX_##symbol,
    PROTOCOLS(X)
#undef X
        PROTOCOL_COUNT,

/* How many have ports: the first ones. Forwards are of these. */
#define X(symbol, ...) +1
    PROTOCOL_PORTS_COUNT = PROTOCOLS_WITH_PORTS(X),
#undef X
};

struct protocol {
    uint8_t number;
    uint8_t checksum_offset; /* bytes */
    bool has_pseudo_header;
    bool may_lack_checksum;
    const char *name;
};

/* By enum protocol_index. The last row stands for every protocol that is not translated. */
extern const struct protocol protocol_table[PROTOCOL_COUNT + 1];

/* Of a number in an IP header; PROTOCOL_COUNT when it is not translated. */
static inline enum protocol_index protocol_index(uint8_t number)
{
    switch (number) {
#define X(symbol, ...)                                                                             \
    case PROTOCOL_##symbol:                                                                        \
        return PROTOCOL_INDEX_##symbol;
        PROTOCOLS(X)
#undef X
    default:
        return PROTOCOL_COUNT;
    }
}

/* The row of a number in an IP header. */
static inline const struct protocol *protocol_of(uint8_t number)
{
    return &protocol_table[protocol_index(number)];
}

static inline bool protocol_has_ports(uint8_t number)
{
    return protocol_index(number) < PROTOCOL_PORTS_COUNT;
}

/* "tcp" and so on; "?" when it is not translated. */
const char *protocol_name(uint8_t number);

#endif
