/*
 * support_twin_icmp.c - the naive NAT's ICMP errors
 */
#include "support_twin_packet.h"

#include <string.h>

/*
 * What the error quotes: as twin_read_packet, but it may be cut, and `l4_length` is what is there
 * of it.
 */
static enum drop_reason read_quoted(const struct header *error, struct header *quoted)
{
    size_t available = error->l4_length - 8, stated = (size_t)error->l4[5] * 4;

    memset(quoted, 0, sizeof(*quoted));
    quoted->ip = error->l4 + 8;
    if (stated >= 20 && stated < available)
        available = stated; /* RFC 4884: an extension follows */
    if (available < 20 || quoted->ip[0] / 16 != 4)
        return DROP_MALFORMED;
    quoted->header = (size_t)(quoted->ip[0] % 16) * 4;
    if (quoted->header < 20 || available < quoted->header + 8)
        return DROP_MALFORMED;
    if (!icmp_checksum_is_right(error->l4, error->l4_length) || !ip_checksum_is_right(quoted->ip))
        return DROP_BAD_CHECKSUM;
    quoted->total = get16(quoted->ip + 2);
    if (quoted->total >= quoted->header + 8 && quoted->total < available)
        available = quoted->total; /* what follows is padding */
    quoted->l4 = quoted->ip + quoted->header;
    quoted->l4_length = available - quoted->header;
    twin_read_spots(quoted);
    twin_read_ports(quoted);
    return DROP_NONE;
}

/* Nothing that has ports: an error, another ICMP type, another protocol. */
static bool is_opaque(const struct header *quoted)
{
    if (quoted->protocol == PROTOCOL_ICMP)
        return !twin_asks(quoted->type) && quoted->type != 0 && quoted->type != 14;
    return quoted->protocol != PROTOCOL_TCP && quoted->protocol != PROTOCOL_UDP;
}

/* Makes the quoted packet what it was before it was rewritten. */
static void restore(struct header *quoted, struct spot source, struct spot destination)
{
    static const size_t offset[256] = {
        [PROTOCOL_TCP] = 16, [PROTOCOL_UDP] = 6, [PROTOCOL_ICMP] = 2};
    uint8_t *checksum = quoted->l4 + offset[quoted->protocol];
    bool is_udp = quoted->protocol == PROTOCOL_UDP;
    bool whole = quoted->total == quoted->header + quoted->l4_length &&
                 (!is_udp || get16(quoted->l4 + 4) <= quoted->l4_length);
    bool there =
        checksum + 2 <= quoted->l4 + quoted->l4_length && !(is_udp && get16(checksum) == 0);
    bool right = whole && there && l4_checksum_is_right(quoted->ip);
    uint64_t before = twin_covered_words(quoted);

    twin_write_end(quoted, true, source);
    twin_write_end(quoted, false, destination);
    put16(quoted->ip + 10, naive_ip_checksum(quoted->ip));
    if (there)
        put16(checksum,
              right ? naive_l4_checksum(quoted->ip)
                    : twin_adjust(get16(checksum), before, twin_covered_words(quoted), is_udp));
}

static enum drop_reason rewrite(struct packet *packet, struct header *error, struct header *quoted,
                                struct spot source, struct spot destination, bool outer_source,
                                uint32_t outer)
{
    uint8_t *at = error->ip + (outer_source ? 12 : 16);
    bool right = ip_checksum_is_right(error->ip);
    uint64_t before = twin_words(error->ip + 12, 8);

    restore(quoted, source, destination);
    if (!(outer_source && twin_is_external(error->source.ip)))
        put32(at, outer);
    put16(error->ip + 10,
          right ? naive_ip_checksum(error->ip)
                : twin_adjust(get16(error->ip + 10), before, twin_words(error->ip + 12, 8), false));
    put16(error->l4 + 2, 0);
    put16(error->l4 + 2, (uint16_t)~naive_sum(error->l4, error->l4_length));
    packet->verdict = VERDICT_REWRITTEN;
    return DROP_NONE;
}

static enum drop_reason without_talk(const struct twin *twin, struct packet *packet,
                                     const struct header *error, const struct header *quoted)
{
    bool drop = !is_opaque(quoted) && twin_is_ours(twin, quoted->protocol, quoted->source);

    if (packet->hook == HOOK_OUTBOUND)
        drop = packet->out_interface == WAN && twin_share_of(error->source.ip) != NULL;
    packet->verdict = VERDICT_ACCEPT;
    return drop ? DROP_ICMP_NO_SESSION : DROP_NONE;
}

static bool between(const struct header *quoted, struct spot source, struct spot destination)
{
    return twin_same(quoted->source, source) && twin_same(quoted->destination, destination);
}

/* Somebody outside, or a hairpin's host, says what it thinks of a packet that we sent. */
static enum drop_reason from_outside(const struct talk *talk, struct packet *packet,
                                     struct header *error, struct header *quoted)
{
    packet->transit = false;
    if (!between(quoted, talk->outside, talk->far))
        return rewrite(packet, error, quoted, talk->far, talk->outside, false, talk->far.ip);
    return rewrite(packet, error, quoted, talk->inside,
                   talk->hairpin ? talk->far_outside : talk->seen, false, talk->inside.ip);
}

/* The second pass: the quoted packet is as its sender knows it. */
static enum drop_reason turned_back(const struct talk *talk, struct packet *packet,
                                    struct header *error, struct header *quoted)
{
    packet->transit = false;
    return rewrite(packet, error, quoted, quoted->source, quoted->destination, true,
                   between(quoted, talk->inside, talk->far_outside) ? talk->far_outside.ip
                                                                    : talk->outside.ip);
}

enum drop_reason twin_icmp_error(struct twin *twin, struct packet *packet, struct header *error)
{
    struct header quoted;
    enum drop_reason reason = read_quoted(error, &quoted);

    if (reason != DROP_NONE)
        return reason;
    for (size_t i = 0; i < twin->talks && !is_opaque(&quoted); i++) {
        const struct talk *talk = &twin->talk[i];

        if (talk->protocol != quoted.protocol || (!talk->hairpin && twin_is_external(talk->far.ip)))
            continue; /* nobody has seen a packet that only knocked */
        if (packet->hook == HOOK_INBOUND &&
            (between(&quoted, talk->outside, talk->far) ||
             (talk->hairpin && between(&quoted, talk->far_outside, talk->inside))))
            return from_outside(talk, packet, error, &quoted);
        if (packet->hook == HOOK_OUTBOUND && packet->in_interface != WAN && talk->hairpin &&
            (between(&quoted, talk->inside, talk->far_outside) ||
             between(&quoted, talk->far, talk->outside)))
            return turned_back(talk, packet, error, &quoted);
        if (packet->hook == HOOK_OUTBOUND && !talk->hairpin &&
            between(&quoted, talk->seen, talk->inside)) {
            packet->transit = false;
            return rewrite(packet, error, &quoted, talk->far, talk->outside, true,
                           talk->outside.ip);
        }
    }
    return without_talk(twin, packet, error, &quoted);
}
