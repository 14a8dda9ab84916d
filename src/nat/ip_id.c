/*
 * ip_id.c - IP ids that several internal hosts share (RFC 7857 section 10, RFC 6864 section 5.3.1)
 */
#include "ip_id.h"

void ip_id_renew(struct nat *nat, const struct packet *packet, const struct packet_view *view)
{
    const uint16_t smallest_segment = 48; /* bytes: TCP_MIN_SND_MSS (include/net/tcp.h) */
    const struct address *destination = &view->tuple.destination.address;
    uint16_t *next =
        &nat->next_ip_id[hash_bytes(&nat->table.key, destination, sizeof(*destination)) %
                         NAT_IP_IDS];

    if (!packet_needs_id(view))
        return;
    packet_set_id(view, *next);
    *next = (uint16_t)(*next + 1 + (packet->gso ? view->l4_length / smallest_segment : 0));
}
