/*
 * icmp.c - ICMP errors: the packet inside, and refusals
 */
#include "portreeve/icmp.h"
#include "checksum.h"
#include "packet_edit.h"

#include <string.h>

enum {
    ICMP_HEADER = 8,
    ICMP_CHECKSUM = 2,
    ICMP_ORIGINAL_WORDS =
        5, /* RFC 4884 section 4: length of the quoted packet, in 32-bit words; 0: all of it */
    IP_HEADER = 20,
    QUOTED_L4 = 8, /* RFC 792: at least so much of the quoted packet's payload */
    ICMP_ADMINISTRATIVELY_PROHIBITED = 13, /* RFC 1812 section 5.2.7.1 */
};

static bool sum_is_right(const uint8_t *data, size_t length)
{
    return checksum_fold(checksum_add(0, data, length)) == 0xffff;
}

/*
 * How many bytes the quoted packet has here, without RFC 4884's extensions and the padding after
 * it.
 */
static size_t quoted_length(const struct packet_view *view)
{
    size_t available = (size_t)view->l4_length - ICMP_HEADER;
    size_t stated = (size_t)view->l4[ICMP_ORIGINAL_WORDS] * 4;

    return stated >= IP_HEADER && stated < available ? stated : available;
}

enum drop_reason icmp_parse_error(const struct packet_view *view, struct icmp_embedded *embedded)
{
    uint8_t *ip = view->l4 + ICMP_HEADER;
    size_t available = quoted_length(view), header, total;

    memset(embedded, 0, sizeof(*embedded));
    if (available < IP_HEADER || ip[0] >> 4 != 4)
        return DROP_MALFORMED;
    header = (size_t)(ip[0] & 15) * 4;
    if (header < IP_HEADER || available < header + QUOTED_L4)
        return DROP_MALFORMED;
    if (!sum_is_right(view->l4, view->l4_length) || !sum_is_right(ip, header))
        return DROP_BAD_CHECKSUM;
    total = (size_t)ip[2] << 8 | ip[3];
    if (total >= header + QUOTED_L4 && total < available)
        available = total;
    embedded->ip = ip;
    embedded->l4 = ip + header;
    embedded->l4_available = (uint16_t)(available - header);
    packet_read_addresses(ip, &embedded->tuple);
    if (protocol_index(embedded->tuple.protocol) == PROTOCOL_COUNT)
        return DROP_NONE; /* no session will match it */
    embedded->is_icmp_error = !packet_read_ports(embedded->l4, &embedded->tuple);
    return DROP_NONE;
}

void icmp_rewrite_error(const struct packet_view *view, const struct icmp_embedded *embedded,
                        const struct tuple *original, const struct address *source,
                        const struct address *destination)
{
    uint16_t sum = 0;

    packet_replace_endpoint(embedded->ip, embedded->l4, embedded->l4_available, true, END_SOURCE,
                            &original->source);
    packet_replace_endpoint(embedded->ip, embedded->l4, embedded->l4_available, true,
                            END_DESTINATION, &original->destination);
    /*
     * Errors are rare and mostly short: computing them anew is simpler than updating them for each
     * change.
     */
    memcpy(view->l4 + ICMP_CHECKSUM, &sum, 2);
    sum = (uint16_t)~checksum_fold(checksum_add(0, view->l4, view->l4_length));
    memcpy(view->l4 + ICMP_CHECKSUM, &sum, 2);
    if (source != NULL)
        packet_replace(view->ip + 10, false, view->ip + 12, source->bytes + 12, 4);
    if (destination != NULL)
        packet_replace(view->ip + 10, false, view->ip + 16, destination->bytes + 12, 4);
}

size_t icmp_write_refusal(const struct packet *packet, uint8_t out[ICMP_REFUSAL_MAX])
{
    size_t quoted = packet->length < ICMP_REFUSAL_MAX - ICMP_HEADER
                        ? packet->length
                        : ICMP_REFUSAL_MAX - ICMP_HEADER;
    uint16_t sum;

    memset(out, 0, ICMP_HEADER);
    out[0] = ICMP_DESTINATION_UNREACHABLE;
    out[1] = ICMP_ADMINISTRATIVELY_PROHIBITED;
    memcpy(out + ICMP_HEADER, packet->data, quoted);
    sum = (uint16_t)~checksum_fold(checksum_add(0, out, ICMP_HEADER + quoted));
    memcpy(out + ICMP_CHECKSUM, &sum, 2);
    return ICMP_HEADER + quoted;
}
