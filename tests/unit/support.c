/*
 * support.c - packets, naive checksums and chance
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Chance: Vigna's splitmix64. */

struct chance chance_new(void)
{
    const char *text = getenv("PORTREEVE_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20250101;

    return (struct chance){seed, seed};
}

uint64_t chance_next(struct chance *chance)
{
    uint64_t z = (chance->state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint32_t chance_below(struct chance *chance, uint32_t bound)
{
    return (uint32_t)(chance_next(chance) % bound);
}

bool chance_one_in(struct chance *chance, uint32_t many)
{
    return chance_below(chance, many) == 0;
}

void chance_fill(struct chance *chance, void *at, size_t length)
{
    uint8_t *byte = at;
    uint64_t word = 0;

    for (size_t i = 0; i < length; i++) {
        if (i % 8 == 0)
            word = chance_next(chance);
        byte[i] = (uint8_t)(word >> (i % 8 * 8));
    }
}

/* Text. */

struct endpoint endpoint_of(const char *text)
{
    unsigned a, b, c, d, port = 0;
    int fields = sscanf(text, "%u.%u.%u.%u:%u", &a, &b, &c, &d, &port);

    if (fields < 4)
        ck_abort_msg("not an endpoint: %s", text);
    return (struct endpoint){address_from_ipv4(a << 24 | b << 16 | c << 8 | d), (uint16_t)port};
}

struct address address_of(const char *text)
{
    return endpoint_of(text).address;
}

struct prefix prefix_of(const char *text)
{
    const char *slash = strchr(text, '/');

    if (slash == NULL)
        ck_abort_msg("not a prefix: %s", text);
    return (struct prefix){address_of(text), (uint8_t)(96 + atoi(slash + 1))};
}

static char *text_buffer(void)
{
    static char buffers[16][32];
    static unsigned next;

    return buffers[next++ % 16];
}

const char *address_text(const struct address *address)
{
    char *text = text_buffer();

    snprintf(text, 32, "%u.%u.%u.%u", address->bytes[12], address->bytes[13], address->bytes[14],
             address->bytes[15]);
    return text;
}

const char *endpoint_text(const struct endpoint *endpoint)
{
    char *text = text_buffer();

    const uint8_t *bytes = endpoint->address.bytes;

    snprintf(text, 32, "%u.%u.%u.%u:%u", bytes[12], bytes[13], bytes[14], bytes[15],
             endpoint->port);
    return text;
}

uint16_t port_of(const char *endpoint)
{
    return endpoint_of(endpoint).port;
}

/* Numbers and checksums. */

uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] * 256 + at[1]);
}

void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value / 256);
    at[1] = (uint8_t)(value % 256);
}

uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) * 65536 + get16(at + 2);
}

void put32(uint8_t *at, uint32_t value)
{
    put16(at, value / 65536);
    put16(at + 2, value % 65536);
}

static uint64_t wide_sum(const uint8_t *data, size_t length)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += i % 2 == 0 ? data[i] * UINT64_C(256) : data[i];
    return sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum > 0xffff)
        sum = sum % 65536 + sum / 65536;
    return (uint16_t)sum;
}

uint16_t naive_sum(const uint8_t *data, size_t length)
{
    return fold(wide_sum(data, length));
}

static size_t ip_header_length(const uint8_t *ip)
{
    return (size_t)(ip[0] % 16) * 4;
}

/* How many bytes the L4 checksum covers. */
static size_t l4_covered(const uint8_t *ip)
{
    if (ip[9] == PROTOCOL_UDP)
        return get16(ip + ip_header_length(ip) + 4);
    return get16(ip + 2) - ip_header_length(ip);
}

static size_t l4_checksum_offset(uint8_t protocol)
{
    return protocol == PROTOCOL_TCP ? 16 : protocol == PROTOCOL_UDP ? 6 : 2;
}

uint8_t *l4_checksum_at(uint8_t *ip)
{
    if (ip[9] != PROTOCOL_TCP && ip[9] != PROTOCOL_UDP && ip[9] != PROTOCOL_ICMP)
        return NULL;
    return ip + ip_header_length(ip) + l4_checksum_offset(ip[9]);
}

uint16_t naive_ip_checksum(const uint8_t *ip)
{
    uint64_t sum = wide_sum(ip, ip_header_length(ip)) - get16(ip + 10);

    return (uint16_t)~fold(sum);
}

static uint64_t wide_pseudo_sum(const uint8_t *ip)
{
    return ip[9] == PROTOCOL_ICMP ? 0 : wide_sum(ip + 12, 8) + ip[9] + l4_covered(ip);
}

uint16_t naive_pseudo_sum(const uint8_t *ip)
{
    return fold(wide_pseudo_sum(ip));
}

uint16_t naive_l4_checksum(const uint8_t *ip)
{
    const uint8_t *l4 = ip + ip_header_length(ip);
    uint64_t sum =
        wide_pseudo_sum(ip) + wide_sum(l4, l4_covered(ip)) - get16(l4 + l4_checksum_offset(ip[9]));
    uint16_t checksum = (uint16_t)~fold(sum);

    return checksum == 0 && ip[9] == PROTOCOL_UDP ? 0xffff : checksum;
}

void fix_checksums(uint8_t *ip)
{
    uint8_t *at = l4_checksum_at(ip);

    put16(ip + 10, naive_ip_checksum(ip));
    if (at != NULL)
        put16(at, naive_l4_checksum(ip));
}

bool ip_checksum_is_right(const uint8_t *ip)
{
    return naive_sum(ip, ip_header_length(ip)) == 0xffff;
}

bool l4_checksum_is_right(const uint8_t *ip)
{
    const uint8_t *l4 = ip + ip_header_length(ip);

    if (ip[9] == PROTOCOL_UDP && get16(l4 + 6) == 0)
        return true;
    return fold(wide_pseudo_sum(ip) + wide_sum(l4, l4_covered(ip))) == 0xffff;
}

bool icmp_checksum_is_right(const uint8_t *l4, size_t length)
{
    return naive_sum(l4, length) == 0xffff;
}

/* Packets. */

size_t put_ipv4(uint8_t *at, uint8_t protocol, const struct address *from, const struct address *to,
                const uint8_t *options, size_t options_length, size_t l4_length)
{
    size_t header = 20 + options_length;

    memset(at, 0, 20);
    at[0] = (uint8_t)(0x40 + header / 4);
    put16(at + 2, (uint32_t)(header + l4_length));
    put16(at + 4, 0x1234);
    put16(at + 6, 0x4000);
    at[8] = 64;
    at[9] = protocol;
    memcpy(at + 12, from->bytes + 12, 4);
    memcpy(at + 16, to->bytes + 12, 4);
    if (options_length > 0)
        memcpy(at + 20, options, options_length);
    put16(at + 10, naive_ip_checksum(at));
    return header;
}

/* Starts a packet without options; returns where its L4 header goes, zeroed. */
static uint8_t *begin(struct sample *sample, const char *from, const char *to, uint8_t protocol,
                      size_t l4_length)
{
    struct address source = address_of(from), destination = address_of(to);
    size_t header;

    ck_assert_uint_le(20 + l4_length, sizeof(sample->bytes));
    memset(sample, 0, sizeof(*sample));
    header = put_ipv4(sample->bytes, protocol, &source, &destination, NULL, 0, l4_length);
    sample->packet.data = sample->bytes;
    sample->packet.length = header + l4_length;
    for (size_t i = 0; i < l4_length; i++)
        sample->bytes[header + i] = (uint8_t)(i * 7 + 1);
    return sample->bytes + header;
}

static void put_ports(uint8_t *l4, const char *from, const char *to)
{
    put16(l4, port_of(from));
    put16(l4 + 2, port_of(to));
}

void make_udp(struct sample *sample, const char *from, const char *to, size_t payload)
{
    uint8_t *l4 = begin(sample, from, to, PROTOCOL_UDP, 8 + payload);

    put_ports(l4, from, to);
    put16(l4 + 4, (uint32_t)(8 + payload));
    fix_checksums(sample->bytes);
}

void make_tcp(struct sample *sample, const char *from, const char *to, uint8_t flags)
{
    uint8_t *l4 = begin(sample, from, to, PROTOCOL_TCP, 20);

    put_ports(l4, from, to);
    /* Both sides begin at 1000 and say nothing, so that each expects 1001. */
    put32(l4 + 4, flags & TCP_SYN ? 1000 : 1001);
    put32(l4 + 8, flags & TCP_ACK ? 1001 : 0);
    l4[12] = 0x50;
    l4[13] = flags;
    put16(l4 + 14, 65535);
    fix_checksums(sample->bytes);
}

void make_icmp_query(struct sample *sample, const char *from, const char *to, uint8_t type,
                     uint16_t id)
{
    uint8_t *l4 = begin(sample, from, to, PROTOCOL_ICMP, 8 + 12);

    l4[0] = type;
    l4[1] = 0;
    put16(l4 + 4, id);
    put16(l4 + 6, 1);
    fix_checksums(sample->bytes);
}

void make_icmp_error(struct sample *sample, const char *from, const char *to, uint8_t type,
                     uint8_t code, const struct sample *quoted, size_t l4_bytes)
{
    size_t header = ip_header_length(quoted->bytes), length = header + l4_bytes;
    uint8_t *l4;

    if (length > quoted->packet.length)
        length = quoted->packet.length;
    l4 = begin(sample, from, to, PROTOCOL_ICMP, 8 + length);
    memset(l4, 0, 8);
    l4[0] = type;
    l4[1] = code;
    memcpy(l4 + 8, quoted->bytes, length);
    fix_checksums(sample->bytes);
}

void make_raw(struct sample *sample, const char *from, const char *to, uint8_t protocol,
              size_t l4_length)
{
    begin(sample, from, to, protocol, l4_length);
}

void copy_sample(struct sample *to, const struct sample *from)
{
    *to = *from;
    to->packet.data = to->bytes;
}

static const char *end_text(const uint8_t *ip, size_t address_offset, size_t port_offset)
{
    struct endpoint endpoint = {address_from_ipv4(get32(ip + address_offset)), 0};

    if (ip[9] == PROTOCOL_ICMP)
        return address_text(&endpoint.address);
    endpoint.port = get16(ip + ip_header_length(ip) + port_offset);
    return endpoint_text(&endpoint);
}

const char *source_of(const struct sample *sample)
{
    return end_text(sample->bytes, 12, 0);
}

const char *destination_of(const struct sample *sample)
{
    return end_text(sample->bytes, 16, 2);
}

uint16_t icmp_id_of(const struct sample *sample)
{
    return get16(sample->bytes + ip_header_length(sample->bytes) + 4);
}

const char *quoted_source_of(const struct sample *sample)
{
    return end_text(sample->bytes + ip_header_length(sample->bytes) + 8, 12, 0);
}

const char *quoted_destination_of(const struct sample *sample)
{
    return end_text(sample->bytes + ip_header_length(sample->bytes) + 8, 16, 2);
}
