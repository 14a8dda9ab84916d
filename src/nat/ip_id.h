/*
 * ip_id.h - IP ids of what leaves by an address that hosts share
 */
#ifndef NAT_IP_ID_H
#define NAT_IP_ID_H

#include "nat_internal.h"

/*
 * Hosts that share an address do not know each other's IP ids, so they would use the same ones
 * (RFC 7857 section 10, RFC 6864 section 5.3.1): gives a packet that may be fragmented one of the
 * gateway's. The segments of a GSO packet take the ids that follow.
 */
void ip_id_renew(struct nat *nat, const struct packet *packet, const struct packet_view *view);

#endif
