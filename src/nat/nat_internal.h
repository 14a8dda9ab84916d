/*
 * nat_internal.h - inside the core: what session.c gives to translate.c and nat.c
 */
#ifndef PORTREEVE_NAT_INTERNAL_H
#define PORTREEVE_NAT_INTERNAL_H

#include "portreeve/nat.h"

/*
 * What the world sees instead of an internal endpoint: by a forward or by a mapping, or not at all.
 */
struct external_side {
    struct endpoint external;
    uint32_t mapping; /* INDEX_NONE: a forward's */
    uint16_t forward; /* POLICY_NONE: a mapping's, or none */
    uint16_t share;   /* POLICY_NONE: none */
};

/*
 * Finds or makes the external endpoint of `internal`, which sends to `remote`. DROP_NONE with
 * neither a forward nor a share: the policy does not translate this host. A new mapping has no
 * session yet: session_open or mapping_release must follow.
 */
enum drop_reason session_external_side(struct nat *nat, uint8_t protocol,
                                       const struct endpoint *internal,
                                       const struct endpoint *remote, uint64_t now,
                                       struct external_side *side);

/*
 * Frees a mapping that no session uses, and its port if no other mapping shares it. `hold`: after
 * the hold-down.
 */
void mapping_release(struct nat *nat, uint32_t mapping, bool hold, uint64_t now);

/*
 * The share that a mapping serves, or POLICY_NONE when the policy or the addresses allow it no
 * more: then it is not used, and goes with its sessions, which a review has yet to end.
 */
uint16_t mapping_share(const struct nat *nat, uint32_t mapping);

/*
 * Like table_find and table_find_transit, for what a packet carries: a session that a review has
 * not reached yet is looked at, and when it is no longer allowed, it is ended and not found. Not
 * for a packet that is about to open a session: with the one that is ended, a mapping may go that
 * the new one counts on. There an old one may stand in the way until the review has come by.
 */
uint32_t session_find(struct nat *nat, const struct tuple *tuple, uint64_t now, enum role *role);
uint32_t session_find_transit(struct nat *nat, const struct tuple *transit, uint64_t now,
                              enum role *role);

/* The policy that the indexes of shares and forwards in this session mean. */
static inline const struct policy *session_policy(const struct nat *nat,
                                                  const struct session *session)
{
    return session->epoch == nat->epoch ? nat->policy : nat->policy_before;
}

/* True when another mapping has this one's external endpoint as well (RFC 7857 section 3). */
bool mapping_shares_port(const struct nat *nat, uint32_t mapping);

/*
 * Adds a mapping whose port has been taken, or is shared, as its holder or as one of its sharers.
 * INDEX_NONE without room.
 */
uint32_t mapping_enter(struct nat *nat, const struct mapping *mapping);

/*
 * The external endpoint of a mapping, and the mapping that an external endpoint is; INDEX_NONE:
 * none, or it rests.
 */
struct endpoint mapping_external(const struct nat *nat, const struct mapping *mapping);
uint32_t mapping_find_external(const struct nat *nat, uint8_t protocol,
                               const struct endpoint *external);

/* What a new session is to be; session_open fills the rest. */
struct session_plan {
    struct tuple tuple[2];
    enum direction direction;
    uint32_t mapping[2];
    uint16_t forward[2];
    uint16_t share;
};

/*
 * Makes room for, and reserves, one session; DROP_TABLE_FULL when nothing may be evicted,
 * DROP_HOST_LIMIT when `host` (may be NULL) has too many. Then either session_open or
 * session_abandon.
 */
enum drop_reason session_reserve(struct nat *nat, const struct address *host, uint64_t now,
                                 uint32_t *slot);
void session_abandon(struct nat *nat, uint32_t slot);
void session_open(struct nat *nat, uint32_t slot, const struct session_plan *plan, uint64_t now);

/* Writes the plan's share, mappings and forwards into a session, and counts it in the mappings. */
void session_fill(struct nat *nat, struct session *session, const struct session_plan *plan);

/*
 * A closed connection whose responder opens a new one between the same endpoints: the roles change,
 * so that the handshake is followed from its right end.
 */
void session_reverse(struct nat *nat, uint32_t slot);

/* Whether packets of this side keep the session alive (an RST never does). */
bool session_refreshed_by(const struct nat *nat, const struct session *session, enum role from);

/* An RST of this side, judged by what is known of the sequence numbers now. */
void session_saw_reset(struct nat *nat, uint32_t slot, const struct tcp_segment *segment,
                       enum role from, uint64_t now);

/* When this session ends if nothing keeps it alive, milliseconds. */
uint64_t session_due(const struct nat *nat, const struct session *session, uint64_t now);

/* True in the states in which nothing is left to be decided, and which alone are offloaded. */
static inline bool session_is_settled(const struct session *session)
{
    return session->state == STATE_ESTABLISHED || session->state == STATE_ANSWERED;
}

/* Ends the session if its time has come, arms it for when it comes otherwise. */
void session_check_deadline(struct nat *nat, uint32_t slot, uint64_t now);

/* The endpoints of a session by viewpoint; a hairpin's are its initiator's. */
void session_endpoints(const struct session *session, struct endpoint *internal,
                       struct endpoint *external, struct endpoint *remote);

/* The one place where sessions end. */
void session_close(struct nat *nat, uint32_t slot, enum close_reason reason, uint64_t now);

/* Seconds this session may be idle in its state. */
uint32_t session_idle_limit(const struct nat *nat, const struct session *session);

/* Moves a session to another state, arms it for a deadline that came nearer, publishes. */
void session_change_state(struct nat *nat, uint32_t slot, enum session_state state, uint64_t now);

/*
 * True when the forward delivers to what this side of the session is, and lets the initiator in.
 * What a target itself opened its allow list does not concern.
 */
bool nat_forward_allows(const struct nat *nat, const struct session *session, enum role role,
                        uint16_t forward);

/* Which of the three port spaces of an external slot. */
struct port_space *nat_port_space(struct nat *nat, size_t external_index, uint8_t protocol);

/*
 * True when what `source` sends to `destination` may not leave untranslated: it is shared, and the
 * destination not exempt.
 */
bool nat_must_translate(const struct nat *nat, const struct address *source,
                        const struct address *destination);

/* True when the address belongs to a share. */
bool nat_is_shared(const struct nat *nat, const struct address *address);

/* The slot of an external address, or EXTERNAL_ADDRESSES_MAX. */
size_t nat_external_index(const struct nat *nat, const struct address *address);

/*
 * Hosts that share an address do not know each other's IP ids, so they would use the same ones (RFC
 * 7857 section 10, RFC 6864 section 5.3.1): gives a packet that may be fragmented one of the
 * gateway's. The segments of a GSO packet take the ids that follow.
 */
void nat_renew_ip_id(struct nat *nat, const struct packet *packet, const struct packet_view *view);

void event_publish(struct nat *nat, enum event_type type, enum close_reason reason, uint32_t slot,
                   uint64_t now);

/*
 * True for a session that remembers a packet which another host of the gateway did not get
 * (translate.c).
 */
bool nat_is_knock(const struct nat *nat, uint32_t slot);

/*
 * Whether a packet came by the external interface, and whether an address is one of the gateway's
 * external ones.
 */
static inline bool nat_from_outside(const struct nat *nat, const struct packet *packet)
{
    return packet->in_interface == nat->external_interface;
}

static inline bool nat_is_external(const struct nat *nat, const struct address *address)
{
    return nat_external_index(nat, address) < EXTERNAL_ADDRESSES_MAX;
}

/* True when the policy translates what this endpoint sends there. */
bool nat_translates(const struct nat *nat, const struct tuple *sent);

/*
 * In open.c. Why a packet without a session may not open one by what it is; DROP_NONE when it may.
 */
enum drop_reason opening_refused(const struct packet_view *view);

/* Open a session for a packet that has none; DROP_NONE and its slot, or why not. */
enum drop_reason open_outbound(struct nat *nat, const struct packet_view *view, uint64_t now,
                               uint32_t *slot);
enum drop_reason open_inbound(struct nat *nat, const struct packet *packet,
                              const struct packet_view *view, uint64_t now, uint32_t *slot);

/*
 * In offload.c, which tells more: a packet has passed by the queue; the session ends; its state has
 * changed. offload_suspects_reset: true when an RST has to wait until the kernel has said its last
 * word. offload_must_ask: true when the session's timer means nothing before the kernel has been
 * asked; the answer checks the deadline again.
 */
void offload_consider(struct nat *nat, uint32_t slot, const struct packet *packet);
void offload_end(struct nat *nat, uint32_t slot);
void offload_state_changed(struct nat *nat, uint32_t slot);
bool offload_suspects_reset(struct nat *nat, uint32_t slot, const struct tcp_segment *segment,
                            enum role from);
bool offload_must_ask(struct nat *nat, uint32_t slot);

/* True when the kernel rewrites the session's packets by itself. */
bool offload_is_live(const struct nat *nat, const struct session *session);

/* Decisions about ICMP errors, in translate_icmp.c. */
enum drop_reason translate_icmp_error(struct nat *nat, struct packet *packet,
                                      struct packet_view *view, uint64_t now);

#endif
