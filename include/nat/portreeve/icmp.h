/*
 * icmp.h - ICMP errors: the packet inside, and restoring it (RFC 5508 section 4, RFC 3022 section
 * 4.3)
 */
#ifndef PORTREEVE_ICMP_H
#define PORTREEVE_ICMP_H

#include "portreeve/packet.h"

/* The packet that an ICMP error quotes. */
struct icmp_embedded {
    uint8_t *ip;
    uint8_t *l4;
    uint16_t l4_available; /* bytes of it that are quoted */
    struct tuple tuple;    /* as quoted; of ICMP queries as packet_parse gives it */
    bool is_icmp_error;    /* an error about an error: nothing to translate */
};

/*
 * Parses what the error in `view` quotes. Skips IP options (RFC 5508 REQ-3c), does not look at the
 * embedded transport checksum (3d). DROP_BAD_CHECKSUM when the ICMP checksum or the embedded IP
 * header's is wrong (3a, 3b); DROP_MALFORMED when less than the embedded ports is there.
 */
enum drop_reason icmp_parse_error(const struct packet_view *view, struct icmp_embedded *embedded);

/*
 * Makes the quoted packet carry `original`, with its IP checksum and, where it is quoted, its
 * transport checksum; gives the error itself this source and this destination (NULL: unchanged) and
 * updates its checksums.
 */
void icmp_rewrite_error(const struct packet_view *view, const struct icmp_embedded *embedded,
                        const struct tuple *original, const struct address *source,
                        const struct address *destination);

/*
 * Room for an ICMP message in an IP packet of 576 bytes, which every host accepts (RFC 1812 section
 * 4.3.2.3).
 */
#define ICMP_REFUSAL_MAX 556

/*
 * Writes the ICMP message "communication administratively prohibited" (type 3, code 13) about a
 * dropped packet, for its sender: RFC 5508 REQ-8 asks for it where policy or exhaustion refuses.
 * (RFC 6888 REQ-11 also allows 3/1; one answer for both is simpler.) Returns its length.
 */
size_t icmp_write_refusal(const struct packet *packet, uint8_t out[ICMP_REFUSAL_MAX]);

#endif
