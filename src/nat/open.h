/*
 * open.h - opening a session for a packet that has none
 */
#ifndef NAT_OPEN_H
#define NAT_OPEN_H

#include "nat_internal.h"
#include "portreeve/explain.h"

/* Why a packet of this kind may not open a session; DROP_NONE when it may. */
enum drop_reason open_refused(const struct packet_view *view);

/*
 * True when this external endpoint is published and in use: a forward or a mapping has it, or its
 * port still rests after a mapping. Any other is the host's own, whatever the pools are: its
 * programs may bind a port of a pool.
 */
bool open_is_ours(const struct nat *nat, uint8_t protocol, const struct endpoint *external,
                  uint64_t now);

/*
 * True when a socket of the gateway has the external port as well as a mapping, and neither a
 * session nor the filtering of the mapping admits the packet: then it is the gateway's.
 */
bool open_is_hosts(const struct nat *nat, const struct packet_view *view);

/* DROP_NONE and the new session's slot, or why not. Outbound: of a packet that leaves by `uplink`.
 */
enum drop_reason open_outbound(struct nat *nat, uint8_t uplink, const struct packet_view *view,
                               uint64_t now, uint32_t *slot);
enum drop_reason open_inbound(struct nat *nat, const struct packet *packet,
                              const struct packet_view *view, uint64_t now, uint32_t *slot);

/* What open_inbound would decide about a first packet, if it were asked. */
void open_explain_inbound(struct nat *nat, const struct packet *packet,
                          const struct packet_view *view, uint64_t now,
                          struct explanation *explanation);

/* True for a session that remembers a dropped packet to another internal host (open.c). */
bool open_is_knock(const struct nat *nat, uint32_t slot);

#endif
