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
    VERDICT_DROP,
};

/*
 * Why a packet was dropped. Every drop has exactly one; drop_reason_name gives the word that status
 * shows.
 */
#define DROP_REASONS(X)                                                                            \
    X(NONE, "none")                                                                                \
    X(MALFORMED, "malformed")       /* lengths that contradict each other or the packet */         \
    X(TRUNCATED, "truncated")       /* longer than what a queue can carry */                       \
    X(FRAGMENT, "fragment")         /* a fragment that was not put together again */               \
    X(SOURCE_ROUTE, "source-route") /* IP options LSRR, SSRR */                                    \
    X(UNSUPPORTED_PROTOCOL,                                                                        \
      "unsupported-protocol")               /* from a shared source, and not TCP, UDP, ICMP */     \
    X(UNSUPPORTED_ICMP, "unsupported-icmp") /* an ICMP type that has no translation */             \
    X(BAD_CHECKSUM, "bad-checksum")         /* ICMP errors, theirs and their embedded packet's */  \
    X(SPOOFED_SOURCE, "spoofed-source")   /* from outside, with an inside or an external source */ \
    X(NO_SESSION, "no-session")           /* to a published port that nothing is behind */         \
    X(ICMP_NO_SESSION, "icmp-no-session") /* an ICMP error about no session */                     \
    X(FILTERED, "filtered")               /* the mapping's filtering refuses this remote */        \
    X(NOT_ALLOWED, "not-allowed")         /* the forward's allow list refuses this remote */       \
    X(NOT_SYN, "tcp-not-syn")             /* TCP without session that does not open one */         \
    X(POOL_DRY, "pool-dry")               /* no external port left */                              \
    X(TABLE_FULL, "table-full")           /* no session left, and none that may go */              \
    X(HOST_LIMIT, "host-limit")           /* sessions-per-host */                                  \
    X(HOST_RATE, "host-rate")             /* new-sessions-per-host */                              \
    X(TUPLE_COLLISION, "tuple-collision") /* a session with the same answers exists */             \
    X(NO_EXTERNAL_ADDRESS,                                                                         \
      "no-external-address") /* the external interface has none, or not this one */

enum drop_reason {
#define X(symbol, name) DROP_##symbol,
    DROP_REASONS(X)
#undef X
        DROP_REASON_COUNT
};

const char *drop_reason_name(enum drop_reason reason);

struct packet {
    /* in: */
    uint8_t *data; /* an IP packet, from its first header byte */
    size_t length;
    enum packet_hook hook;
    uint32_t in_interface; /* ifindex; 0 where the hook has none */
    uint32_t out_interface;
    bool transit;          /* in: it carries the hairpin mark; out: it gets the mark */
    bool checksum_missing; /* the L4 checksum is not computed yet (NFQA_SKB_CSUMNOTREADY) */
    bool gso;              /* will be segmented later; segmentation computes the L4 checksum */
    bool truncated;        /* the packet is longer than `length` */
    /* out: */
    enum verdict verdict;
    enum drop_reason reason; /* of VERDICT_DROP */
    bool send_refusal;       /* of VERDICT_DROP: its sender gets ICMP 3/13 (icmp_write_refusal) */
};

/* What parsing finds out. Offsets are from the start of the packet. */
struct packet_view {
    uint8_t *ip;
    uint8_t *l4;
    uint16_t ip_header_length;
    uint16_t total_length; /* IP total length; of a GSO packet: the length of the whole packet */
    uint16_t l4_length;
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
 * set even for the last three.
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
 * outbound hook segmentation comes next. It computes TCP's checksum anyway
 * (net/ipv4/tcp_offload.c), and UDP's must be the sum of the pseudo header, to which it adds each
 * segment's bytes (net/ipv4/udp_offload.c, __udp_gso_segment).
 *
 * For a UDP GSO packet no value is right at both hooks: connection tracking would reject the sum of
 * the pseudo header, and a complete checksum that it has verified is in the place where
 * segmentation looks for csum_start (skb->csum). So such a packet leaves the inbound hook with a
 * checksum of 0, which no one verifies, and gets its sum at the outbound hook: packet_passes_twice.
 */
void packet_finish(const struct packet *packet, const struct packet_view *view);

/*
 * True for a packet whose checksum cannot be right at both hooks: it needs the transit mark, and
 * packet_finish at the outbound hook.
 */
bool packet_passes_twice(const struct packet *packet, const struct packet_view *view);

#endif
