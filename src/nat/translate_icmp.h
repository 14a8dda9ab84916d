/*
 * translate_icmp.h - decisions about ICMP errors
 */
#ifndef NAT_TRANSLATE_ICMP_H
#define NAT_TRANSLATE_ICMP_H

#include "nat_internal.h"

/* Translates an error about a session's packet, or says why it is dropped. */
enum drop_reason translate_icmp_error(struct nat *nat, struct packet *packet,
                                      struct packet_view *view, uint64_t now);

#endif
