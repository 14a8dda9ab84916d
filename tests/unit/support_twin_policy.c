/*
 * support_twin_policy.c - the naive NAT's shares and forwards
 */
#include "support_twin_packet.h"

#define SLASH24 0xffffff00

const struct twin_share twin_shares[3] = {
    {"open", "10.0.0.0/24", IP(10, 0, 0, 0), SLASH24, 50000, 50999, FILTERING_ENDPOINT_INDEPENDENT},
    {"half", "10.0.1.0/24", IP(10, 0, 1, 0), SLASH24, 51000, 51999, FILTERING_ADDRESS_DEPENDENT},
    {"strict", "10.0.2.0/24", IP(10, 0, 2, 0), SLASH24, 52000, 52999,
     FILTERING_ADDRESS_AND_PORT_DEPENDENT},
};

const struct twin_forward twin_forwards[5] = {
    {"web", "10.0.0.80:8080", NULL, FORWARD_TCP, 80, 80, {IP(10, 0, 0, 80), 8080}, 0, 0},
    {"dns",
     "10.0.1.53:53",
     "198.51.100.0/24",
     FORWARD_UDP,
     53,
     53,
     {IP(10, 0, 1, 53), 53},
     IP(198, 51, 100, 0),
     SLASH24},
    {"range",
     "10.0.2.7:9000",
     NULL,
     FORWARD_TCP | FORWARD_UDP,
     7000,
     7009,
     {IP(10, 0, 2, 7), 9000},
     0,
     0},
    {"elsewhere", "10.9.0.9:8888", NULL, FORWARD_TCP, 8888, 8888, {IP(10, 9, 0, 9), 8888}, 0, 0},
    {"in-pool", "10.0.0.81:81", NULL, FORWARD_UDP, 50500, 50500, {IP(10, 0, 0, 81), 81}, 0, 0},
};

const uint32_t twin_externals[2] = {IP(203, 0, 113, 5), IP(203, 0, 113, 6)};

bool twin_is_external(uint32_t ip)
{
    return ip == twin_externals[0] || ip == twin_externals[1];
}

bool twin_same(struct spot one, struct spot other)
{
    return one.ip == other.ip && one.port == other.port;
}

/* The configuration. */

const struct twin_share *twin_share_of(uint32_t ip)
{
    for (size_t i = 0; i < 3; i++) {
        if ((ip & twin_shares[i].mask) == twin_shares[i].network)
            return &twin_shares[i];
    }
    return NULL;
}

static bool speaks(const struct twin_forward *forward, uint8_t protocol)
{
    return (protocol == PROTOCOL_TCP && forward->protocols & FORWARD_TCP) ||
           (protocol == PROTOCOL_UDP && forward->protocols & FORWARD_UDP);
}

const struct twin_forward *twin_forward_at(uint8_t protocol, uint16_t port)
{
    for (size_t i = 0; i < 5; i++) {
        if (speaks(&twin_forwards[i], protocol) && port >= twin_forwards[i].first &&
            port <= twin_forwards[i].last)
            return &twin_forwards[i];
    }
    return NULL;
}

/* The external port of a forward's target, or 0. */
uint16_t twin_forward_port_of(uint8_t protocol, struct spot inside)
{
    for (size_t i = 0; i < 5; i++) {
        const struct twin_forward *forward = &twin_forwards[i];
        int offset = inside.port - forward->to.port;

        if (speaks(forward, protocol) && inside.ip == forward->to.ip && offset >= 0 &&
            offset <= forward->last - forward->first)
            return (uint16_t)(forward->first + offset);
    }
    return 0;
}

bool twin_published(uint8_t protocol, uint16_t port)
{
    if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP && protocol != PROTOCOL_ICMP)
        return false;
    return twin_forward_at(protocol, port) != NULL || (port >= 50000 && port <= 52999);
}
