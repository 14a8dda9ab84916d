/*
 * packet.c - parsing IPv4 packets and rewriting them in place
 */
#include "portreeve/packet.h"
#include "checksum.h"
#include "packet_edit.h"
#include "tcp.h"

#include <string.h>

enum {
    IP_HEADER = 20,
    IP_ID = 4,
    IP_FLAGS_OFFSET = 6,
    IP_CHECKSUM = 10,
    IP_SOURCE = 12,
    IP_DESTINATION = 16,
    TCP_HEADER = 20,
    UDP_HEADER = 8,
    ICMP_HEADER = 8,
    PORT_SOURCE = 0,
    PORT_DESTINATION = 2,
    ICMP_ID = 4,
};

const char *drop_reason_name(enum drop_reason reason)
{
    static const char *const names[] = {
#define X(symbol, name, text) [DROP_##symbol] = name,
        DROP_REASONS(X)
#undef X
    };

    return names[reason];
}

const char *drop_reason_text(enum drop_reason reason)
{
    static const char *const texts[] = {
#define X(symbol, name, text) [DROP_##symbol] = text,
        DROP_REASONS(X)
#undef X
    };

    return texts[reason];
}

static uint16_t read16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void write16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t read32(const uint8_t *at)
{
    return (uint32_t)read16(at) << 16 | read16(at + 2);
}

static struct address read_address(const uint8_t *at)
{
    struct address address = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};

    memcpy(address.bytes + 12, at, 4);
    return address;
}

/* Source routes (RFC 791 section 3.1: LSRR 131, SSRR 137), and lengths that leave the header. */
static enum drop_reason check_options(const uint8_t *options, size_t length)
{
    size_t at = 0;

    while (at < length && options[at] != 0) {
        if (options[at] == 131 || options[at] == 137)
            return DROP_SOURCE_ROUTE;
        if (options[at] == 1) {
            at++;
            continue;
        }
        if (length - at < 2 || options[at + 1] < 2 || options[at + 1] > length - at)
            return DROP_MALFORMED;
        at += options[at + 1];
    }
    return DROP_NONE;
}

static enum drop_reason parse_tcp(struct packet_view *view)
{
    size_t offset;

    if (view->l4_length < TCP_HEADER)
        return DROP_MALFORMED;
    offset = (size_t)(view->l4[12] >> 4) * 4;
    if (offset < TCP_HEADER || offset > view->l4_length)
        return DROP_MALFORMED;
    view->tcp_flags = view->l4[13];
    return DROP_NONE;
}

static enum drop_reason parse_udp(struct packet_view *view)
{
    if (view->l4_length < UDP_HEADER)
        return DROP_MALFORMED;
    view->covered = read16(view->l4 + 4);
    return view->covered < UDP_HEADER || view->covered > view->l4_length ? DROP_MALFORMED
                                                                         : DROP_NONE;
}

static bool icmp_is_request(uint8_t type)
{
    return type == ICMP_ECHO_REQUEST || type == ICMP_TIMESTAMP_REQUEST;
}

static bool icmp_is_reply(uint8_t type)
{
    return type == ICMP_ECHO_REPLY || type == ICMP_TIMESTAMP_REPLY;
}

static bool icmp_is_error(uint8_t type)
{
    return type == ICMP_DESTINATION_UNREACHABLE || type == ICMP_TIME_EXCEEDED ||
           type == ICMP_PARAMETER_PROBLEM;
}

static enum drop_reason parse_icmp(struct packet_view *view)
{
    if (view->l4_length < ICMP_HEADER)
        return DROP_MALFORMED;
    view->icmp_type = view->l4[0];
    view->icmp_code = view->l4[1];
    view->is_icmp_error = icmp_is_error(view->icmp_type);
    if (!view->is_icmp_error && !icmp_is_request(view->icmp_type) &&
        !icmp_is_reply(view->icmp_type))
        return DROP_UNSUPPORTED_ICMP;
    return DROP_NONE;
}

bool packet_read_ports(const uint8_t *l4, struct tuple *tuple)
{
    if (protocol_has_ports(tuple->protocol)) {
        tuple->source.port = read16(l4 + PORT_SOURCE);
        tuple->destination.port = read16(l4 + PORT_DESTINATION);
        return true;
    }
    /* The id is the port of the side that asked. */
    if (icmp_is_request(l4[0]))
        tuple->source.port = read16(l4 + ICMP_ID);
    else if (icmp_is_reply(l4[0]))
        tuple->destination.port = read16(l4 + ICMP_ID);
    else
        return false;
    return true;
}

void packet_read_addresses(const uint8_t *ip, struct tuple *tuple)
{
    memset(tuple, 0, sizeof(*tuple));
    tuple->source.address = read_address(ip + IP_SOURCE);
    tuple->destination.address = read_address(ip + IP_DESTINATION);
    tuple->protocol = ip[9];
}

static enum drop_reason parse_l4(struct packet_view *view)
{
    switch (view->protocol) {
    case PROTOCOL_TCP:
        return parse_tcp(view);
    case PROTOCOL_UDP:
        return parse_udp(view);
    case PROTOCOL_ICMP:
        return parse_icmp(view);
    default:
        return DROP_UNSUPPORTED_PROTOCOL;
    }
}

/* As the rules for such packets require it: what they do not match would come back to the queue. */
static bool is_for_the_kernel(const struct packet *packet)
{
    const uint8_t *ip = packet->data, plain = 0x45; /* version 4, and no options */

    return packet->length == PACKET_CARRIED_MAX && !packet->gso && ip[0] == plain &&
           ip[9] == PROTOCOL_UDP && read16(ip + 2) > PACKET_CARRIED_MAX &&
           read16(ip + IP_HEADER + 6) != 0;
}

enum drop_reason packet_parse(const struct packet *packet, struct packet_view *view)
{
    uint8_t *ip = packet->data;
    enum drop_reason reason;

    memset(view, 0, sizeof(*view));
    if (packet->truncated && !is_for_the_kernel(packet))
        return DROP_TRUNCATED;
    if (packet->length < IP_HEADER || ip[0] >> 4 != 4)
        return DROP_MALFORMED;
    view->ip = ip;
    view->ip_header_length = (uint16_t)((ip[0] & 15) * 4);
    view->total_length = read16(ip + 2);
    if (view->ip_header_length < IP_HEADER || view->total_length < view->ip_header_length ||
        (view->total_length > packet->length && !packet->truncated))
        return DROP_MALFORMED;
    view->protocol = ip[9];
    view->l4 = ip + view->ip_header_length;
    view->l4_length = (uint16_t)(view->total_length - view->ip_header_length);
    view->covered = view->l4_length;
    packet_read_addresses(ip, &view->tuple);
    reason = check_options(ip + IP_HEADER, (size_t)view->ip_header_length - IP_HEADER);
    if (reason != DROP_NONE)
        return reason;
    if (read16(ip + IP_FLAGS_OFFSET) & 0x3fff) /* more fragments, or an offset */
        return DROP_FRAGMENT;
    reason = parse_l4(view);
    if (reason == DROP_NONE && !view->is_icmp_error)
        packet_read_ports(view->l4, &view->tuple);
    return reason;
}

bool packet_needs_id(const struct packet_view *view)
{
    const uint16_t dont_fragment = 0x4000;

    return !(read16(view->ip + IP_FLAGS_OFFSET) & dont_fragment);
}

void packet_set_id(const struct packet_view *view, uint16_t id)
{
    uint8_t value[2];

    write16(value, id);
    packet_replace(view->ip + IP_CHECKSUM, false, view->ip + IP_ID, value, sizeof(value));
}

struct tcp_segment packet_tcp_segment(const struct packet_view *view)
{
    return (struct tcp_segment){.sequence = read32(view->l4 + 4),
                                .acknowledgement = read32(view->l4 + 8),
                                .window = read16(view->l4 + 14),
                                .flags = view->tcp_flags};
}

void packet_replace(uint8_t *checksum, bool may_lack, uint8_t *at, const void *value, size_t length)
{
    uint16_t sum;

    if (checksum != NULL) {
        memcpy(&sum, checksum, 2);
        if (!(may_lack && sum == 0)) { /* RFC 3022 section 4.1: no checksum stays no checksum */
            sum = checksum_update(sum, at, value, length);
            if (may_lack && sum == 0)
                sum = 0xffff; /* RFC 768: 0 is kept for "none" */
            memcpy(checksum, &sum, 2);
        }
    }
    memcpy(at, value, length);
}

void packet_replace_endpoint(uint8_t *ip, uint8_t *l4, size_t l4_available, bool update_l4,
                             enum packet_end end, const struct endpoint *endpoint)
{
    const struct protocol *protocol = protocol_of(ip[9]);
    bool has_ports = protocol_has_ports(protocol->number);
    size_t offset = protocol->checksum_offset;
    uint8_t *l4_checksum = update_l4 && l4_available >= offset + 2 ? l4 + offset : NULL;
    const uint8_t *address = endpoint->address.bytes + 12;
    uint8_t *at = ip + (end == END_SOURCE ? IP_SOURCE : IP_DESTINATION);
    uint8_t port[2], old[4];

    memcpy(old, at, 4);
    packet_replace(ip + IP_CHECKSUM, false, at, address, 4);
    if (protocol->has_pseudo_header) /* it has the address as well */
        packet_replace(l4_checksum, protocol->may_lack_checksum, old, address, 4);
    write16(port, endpoint->port);
    if (has_ports)
        packet_replace(l4_checksum, protocol->may_lack_checksum,
                       l4 + (end == END_SOURCE ? PORT_SOURCE : PORT_DESTINATION), port, 2);
    else if (protocol->number == PROTOCOL_ICMP &&
             (end == END_SOURCE ? icmp_is_request(l4[0]) : icmp_is_reply(l4[0])))
        packet_replace(l4_checksum, false, l4 + ICMP_ID, port, 2);
}

void packet_set_source(const struct packet *packet, const struct packet_view *view,
                       const struct endpoint *source)
{
    packet_replace_endpoint(view->ip, view->l4, view->l4_length, !packet->checksum_missing,
                            END_SOURCE, source);
}

void packet_set_destination(const struct packet *packet, const struct packet_view *view,
                            const struct endpoint *destination)
{
    packet_replace_endpoint(view->ip, view->l4, view->l4_length, !packet->checksum_missing,
                            END_DESTINATION, destination);
}

void packet_finish(const struct packet *packet, const struct packet_view *view)
{
    const struct protocol *protocol = protocol_of(view->protocol);
    uint8_t *at = view->l4 + protocol->checksum_offset;
    uint16_t sum = 0;
    bool segmented_next =
        packet->gso && packet->hook == HOOK_OUTBOUND && protocol->has_pseudo_header;
    uint32_t pseudo;

    if (!packet->checksum_missing)
        return;
    pseudo = protocol->has_pseudo_header
                 ? checksum_pseudo_ipv4(view->ip, view->protocol, view->covered)
                 : 0;
    memset(at, 0, 2);
    if (segmented_next) {
        sum = checksum_fold(pseudo);
    } else {
        sum = (uint16_t)~checksum_fold(checksum_add(pseudo, view->l4, view->covered));
        if (protocol->may_lack_checksum && sum == 0)
            sum = 0xffff;
    }
    memcpy(at, &sum, 2);
}
