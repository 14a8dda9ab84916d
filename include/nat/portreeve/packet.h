/*
 * packet.h - a packet as it comes from a queue: its bytes, its hook, and the verdict
 *
 * packet_parse reads an IPv4 packet strictly: every length is checked against the bytes that are
 * there. The rewriting functions change addresses and ports in place, with every checksum that
 * covers them. A packet never changes its length.
 */
#ifndef PORTREEVE_PACKET_H
#define PORTREEVE_PACKET_H

#include "portreeve/endpoint.h"

struct tcp_segment;

enum packet_hook {
    HOOK_INBOUND,  /* prerouting, output: destinations are rewritten here */
    HOOK_OUTBOUND, /* postrouting, input: sources are rewritten here */
};

enum verdict {
    VERDICT_ACCEPT,    /* passes unchanged */
    VERDICT_REWRITTEN, /* passes with the bytes as they are now */
    VERDICT_REPEAT,    /* truncated: the kernel is to rewrite it, see packet.rewriting */
    VERDICT_DROP,
    VERDICT_AGAIN, /* not yet: comes by again, unchanged */
};

/*
 * Why a packet was dropped: every dropped packet has exactly one reason. The status shows the word
 * and the text; tests/tables.py checks that portreeved(8) lists them all.
 */
#define DROP_REASONS(X)                                                                            \
    X(NONE, "none", "")                                                                            \
    X(MALFORMED, "malformed", "lengths in the packet contradict each other")                       \
    X(TRUNCATED, "truncated", "longer than a queue can carry")                                     \
    X(FRAGMENT, "fragment", "a fragment that the kernel did not reassemble")                       \
    X(SOURCE_ROUTE, "source-route", "has an IP source route option")                               \
    X(UNSUPPORTED_PROTOCOL, "unsupported-protocol", "from a share, but not TCP, UDP or ICMP")      \
    X(UNSUPPORTED_ICMP, "unsupported-icmp", "an ICMP type that cannot be translated")              \
    X(BAD_CHECKSUM, "bad-checksum", "an ICMP error with a wrong checksum")                         \
    X(SPOOFED_SOURCE, "spoofed-source", "from outside, with an internal source address")           \
    X(NO_SESSION, "no-session", "to a port that an ended mapping still holds")                     \
    X(ICMP_NO_SESSION, "icmp-no-session", "an ICMP error that belongs to no session")              \
    X(FILTERED, "filtered", "not permitted by the filtering of the share")                         \
    X(NOT_ALLOWED, "not-allowed", "not permitted by 'allow' of the forward")                       \
    X(NOT_SYN, "tcp-not-syn", "TCP that has no session and does not open one")                     \
    X(POOL_DRY, "pool-dry", "no free port in the pool: [share] ports")                             \
    X(TABLE_FULL, "table-full", "the session table was full: [limits] sessions")                   \
    X(HOST_LIMIT, "host-limit", "over sessions-per-host or mappings-per-host")                     \
    X(HOST_RATE, "host-rate", "over new-sessions-per-host")                                        \
    X(REMOTE_LIMIT, "remote-limit", "from outside, over sessions-per-remote")                      \
    X(REMOTE_RATE, "remote-rate", "from outside, over new-sessions-per-remote")                    \
    X(FORWARD_LIMIT, "forward-limit", "over the forward's own limit")                              \
    X(FORWARD_RATE, "forward-rate", "over the forward's own new-sessions")                         \
    X(OUTSIDE_LIMIT, "outside-limit", "from outside, over sessions-from-outside")                  \
    X(TUPLE_COLLISION, "tuple-collision", "its answers would be those of another session")         \
    X(NO_EXTERNAL_ADDRESS, "no-external-address", "the external interface had no usable address")  \
    X(OTHER_UPLINK, "other-uplink", "from a share, by an uplink not in 'external'")                \
    X(REROUTED, "rerouted", "its route has left the uplink of its session")                        \
    X(FLOWTABLE, "flowtable", "a flowtable would take its connection over")                        \
    X(CLOSED_SHARE, "closed-share", "of no session, from outside to a share's host")

enum drop_reason {
#define X(symbol, name, text) DROP_##symbol,
    DROP_REASONS(X)
#undef X
        DROP_REASON_COUNT
};

/* "pool-dry", and what it means: at most 45 characters, without a full stop. */
const char *drop_reason_name(enum drop_reason reason);
const char *drop_reason_text(enum drop_reason reason);

/* The longest packet that a queue carries as a whole (nfnetlink_queue: NFQNL_MAX_COPY_RANGE). */
#define PACKET_CARRIED_MAX 65531

/*
 * What the kernel is to do with a packet that carries `tuple`: it gets `endpoint` as its
 * destination at the inbound hook, as its source at the outbound hook.
 */
struct rewriting {
    struct tuple tuple;
    struct endpoint endpoint;
};

struct packet {
    /* in: */
    uint8_t *data; /* an IP packet, from its first header byte */
    size_t length;
    enum packet_hook hook;
    uint32_t in_interface; /* ifindex; 0 where the hook has none */
    uint32_t out_interface;
    bool checksum_missing; /* the L4 checksum is not computed yet (NFQA_SKB_CSUMNOTREADY) */
    bool gso;              /* will be segmented later; segmentation computes the L4 checksum */
    bool truncated;        /* the packet is longer than `length` */
    /* out: */
    enum verdict verdict;
    struct rewriting rewriting; /* of VERDICT_REPEAT */
    enum drop_reason reason;    /* of VERDICT_DROP */
    /* of VERDICT_REWRITTEN and _AGAIN: it, or what answers it, must pass the outbound hook */
    bool transit;
    bool send_refusal; /* of VERDICT_DROP: its sender gets ICMP 3/13 (icmp_write_refusal) */
};

/* What parsing finds out. Offsets are from the start of the packet. */
struct packet_view {
    uint8_t *ip;
    uint8_t *l4;
    uint16_t ip_header_length;
    uint16_t total_length; /* IP total length; of a GSO packet: the length of the whole packet */
    uint16_t l4_length;
    uint16_t covered; /* by the L4 checksum: l4_length, or what UDP's own length says */
    uint8_t protocol;
    uint8_t tcp_flags; /* of TCP: the flag byte */
    uint8_t icmp_type; /* of ICMP */
    uint8_t icmp_code;
    bool is_icmp_error; /* Destination Unreachable, Time Exceeded, Parameter Problem */
    struct tuple tuple; /* not of ICMP errors */
};

enum tcp_flag {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
};

enum icmp_type {
    ICMP_ECHO_REPLY = 0,
    ICMP_DESTINATION_UNREACHABLE = 3,
    ICMP_SOURCE_QUENCH = 4,
    ICMP_REDIRECT = 5,
    ICMP_ECHO_REQUEST = 8,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_PARAMETER_PROBLEM = 12,
    ICMP_TIMESTAMP_REQUEST = 13,
    ICMP_TIMESTAMP_REPLY = 14,
};

/*
 * Parses the packet. On failure returns the reason to drop it for (DROP_MALFORMED, DROP_FRAGMENT,
 * DROP_SOURCE_ROUTE, DROP_UNSUPPORTED_PROTOCOL, DROP_UNSUPPORTED_ICMP); on success DROP_NONE.
 * `view->ip`, `view->protocol` and, if the header itself is sound, `view->tuple`'s addresses are
 * set even for the last three. A truncated packet is DROP_TRUNCATED, unless it is longer than a
 * queue carries and the kernel can rewrite it by itself: UDP with a checksum and without IP
 * options.
 */
enum drop_reason packet_parse(const struct packet *packet, struct packet_view *view);

/*
 * RFC 6864 section 4: a packet that may be fragmented (DF is 0) needs an IP id that its source does
 * not use for another one soon. packet_set_id gives it one.
 */
bool packet_needs_id(const struct packet_view *view);
void packet_set_id(const struct packet_view *view, uint16_t id);

/* What a parsed TCP packet's header says; the window scale is left 0. */
struct tcp_segment packet_tcp_segment(const struct packet_view *view);

/*
 * Gives the packet (TCP, UDP or an ICMP query) this source or this destination and updates all
 * checksums: by RFC 1624 where the old checksum is complete, otherwise computed anew.
 */
void packet_set_source(const struct packet *packet, const struct packet_view *view,
                       const struct endpoint *source);
void packet_set_destination(const struct packet *packet, const struct packet_view *view,
                            const struct endpoint *destination);

/*
 * Call once, after all rewriting: fills a checksum that was not ready. The kernel assumes that the
 * L4 checksum of a rewritten packet is complete. At the inbound hook it must be, because connection
 * tracking checks it next (nf_ip_checksum), also over the up to 64 KiB of a GSO packet. At the
 * outbound hook segmentation comes next, which wants the sum of the pseudo header and computes the
 * rest (net/ipv4/tcp_offload.c). UDP is queued segment by segment (queue.h), because no checksum of
 * a UDP GSO packet is right at both hooks.
 */
void packet_finish(const struct packet *packet, const struct packet_view *view);

#endif
