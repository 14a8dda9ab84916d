/*
 * support_twin_packet.c - how the naive NAT reads and rewrites headers
 */
#include "support_twin_packet.h"

#include <string.h>

bool twin_asks(uint8_t type)
{
    return type == 8 || type == 13;
}

static bool answers(uint8_t type)
{
    return type == 0 || type == 14;
}

bool twin_is_error(const struct header *header)
{
    return header->protocol == PROTOCOL_ICMP &&
           (header->type == 3 || header->type == 11 || header->type == 12);
}

void twin_read_spots(struct header *header)
{
    header->protocol = header->ip[9];
    header->source = (struct spot){get32(header->ip + 12), 0};
    header->destination = (struct spot){get32(header->ip + 16), 0};
}

void twin_read_ports(struct header *header)
{
    if (header->protocol == PROTOCOL_TCP || header->protocol == PROTOCOL_UDP) {
        header->source.port = get16(header->l4);
        header->destination.port = get16(header->l4 + 2);
    } else if (header->protocol == PROTOCOL_ICMP) {
        header->type = header->l4[0];
        if (twin_asks(header->type))
            header->source.port = get16(header->l4 + 4);
        if (answers(header->type))
            header->destination.port = get16(header->l4 + 4);
    }
}

static enum drop_reason read_options(const uint8_t *ip, size_t header)
{
    size_t at = 20;

    while (at < header) {
        if (ip[at] == 0)
            return DROP_NONE;
        if (ip[at] == 1) {
            at++;
            continue;
        }
        if (ip[at] == 131 || ip[at] == 137)
            return DROP_SOURCE_ROUTE;
        if (at + 1 >= header || ip[at + 1] < 2 || at + ip[at + 1] > header)
            return DROP_MALFORMED;
        at += ip[at + 1];
    }
    return DROP_NONE;
}

static enum drop_reason read_l4(struct header *header)
{
    static const uint8_t least[256] = {
        [PROTOCOL_TCP] = 20, [PROTOCOL_UDP] = 8, [PROTOCOL_ICMP] = 8};

    if (least[header->protocol] == 0)
        return DROP_UNSUPPORTED_PROTOCOL;
    if (header->l4_length < least[header->protocol])
        return DROP_MALFORMED;
    if (header->protocol == PROTOCOL_TCP &&
        (header->l4[12] / 16 < 5 || (size_t)(header->l4[12] / 16) * 4 > header->l4_length))
        return DROP_MALFORMED;
    if (header->protocol == PROTOCOL_UDP &&
        (get16(header->l4 + 4) < 8 || get16(header->l4 + 4) > header->l4_length))
        return DROP_MALFORMED;
    twin_read_ports(header);
    if (header->protocol == PROTOCOL_ICMP && !twin_is_error(header) && !twin_asks(header->type) &&
        !answers(header->type))
        return DROP_UNSUPPORTED_ICMP;
    return DROP_NONE;
}

enum drop_reason twin_read_packet(const struct packet *packet, struct header *header)
{
    uint8_t *ip = packet->data;
    enum drop_reason reason;

    memset(header, 0, sizeof(*header));
    if (packet->truncated)
        return DROP_TRUNCATED;
    if (packet->length < 20 || ip[0] / 16 != 4)
        return DROP_MALFORMED;
    header->header = (size_t)(ip[0] % 16) * 4;
    header->total = get16(ip + 2);
    if (header->header < 20 || header->total < header->header || header->total > packet->length)
        return DROP_MALFORMED;
    header->ip = ip;
    header->l4 = ip + header->header;
    header->l4_length = header->total - header->header;
    twin_read_spots(header);
    reason = read_options(ip, header->header);
    if (reason != DROP_NONE)
        return reason;
    if (get16(ip + 6) % 0x4000 != 0)
        return DROP_FRAGMENT;
    return read_l4(header);
}

/* Rewriting. */

/* A checksum that may have been wrong stays as wrong as it was: arithmetic modulo 65535. */
uint16_t twin_adjust(uint16_t checksum, uint64_t before, uint64_t after, bool is_udp)
{
    uint64_t sum = (65535u - checksum) + after % 65535 + (65535 - before % 65535);
    uint16_t result = sum % 65535 == 0 ? 0 : (uint16_t)(65535 - sum % 65535);

    return result == 0 && is_udp ? 0xffff : result;
}

uint64_t twin_words(const uint8_t *at, size_t length)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < length; i += 2)
        sum += get16(at + i);
    return sum;
}

/* Where a port of this end is in the L4 header, or NULL. */
static uint8_t *port_at(const struct header *header, bool source)
{
    if (header->protocol == PROTOCOL_ICMP)
        return (source ? twin_asks(header->type) : answers(header->type)) ? header->l4 + 4 : NULL;
    return header->l4 + (source ? 0 : 2);
}

void twin_write_end(struct header *header, bool source, struct spot spot)
{
    uint8_t *port = port_at(header, source);

    put32(header->ip + (source ? 12 : 16), spot.ip);
    if (port != NULL)
        put16(port, spot.port);
}

/* The words of both ends that the L4 checksum covers. */
uint64_t twin_covered_words(const struct header *header)
{
    if (header->protocol == PROTOCOL_ICMP)
        return twin_words(header->l4 + 4, 2);
    return twin_words(header->ip + 12, 8) + twin_words(header->l4, 4);
}

void twin_prepare_for_segmentation(const struct packet *packet, const struct header *header)
{
    uint8_t *at = l4_checksum_at(header->ip);

    if (packet->gso && packet->hook == HOOK_OUTBOUND && header->protocol != PROTOCOL_ICMP &&
        packet->checksum_missing)
        put16(at, naive_pseudo_sum(header->ip));
}

void twin_set_end(const struct packet *packet, struct header *header, bool source, struct spot spot)
{
    bool ip_right = ip_checksum_is_right(header->ip), l4_right = l4_checksum_is_right(header->ip);
    uint64_t ip_before = twin_words(header->ip + 12, 8), l4_before = twin_covered_words(header);
    uint8_t *at = l4_checksum_at(header->ip);
    bool is_udp = header->protocol == PROTOCOL_UDP, l4_none = get16(at) == 0;

    twin_write_end(header, source, spot);
    put16(header->ip + 10, ip_right ? naive_ip_checksum(header->ip)
                                    : twin_adjust(get16(header->ip + 10), ip_before,
                                                  twin_words(header->ip + 12, 8), false));
    put16(at, l4_right || packet->checksum_missing
                  ? naive_l4_checksum(header->ip)
                  : twin_adjust(get16(at), l4_before, twin_covered_words(header), is_udp));
    if (is_udp && l4_none && !packet->checksum_missing)
        put16(at, 0);
    twin_prepare_for_segmentation(packet, header);
}
