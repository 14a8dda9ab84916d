/*
 * support.h - what the unit tests of the core share: packets, naive checksums, a gateway with
 * scripted time, chance
 *
 * Nothing here uses the code under test to judge it: checksums are added up word by word, headers
 * are read byte by byte. Tests write addresses and endpoints as text ("10.0.0.5:4000").
 */
#ifndef PORTREEVE_TEST_SUPPORT_H
#define PORTREEVE_TEST_SUPPORT_H

#include "nat_internal.h"
#include "portreeve/check.h"
#include "support_run.h"

/* Interfaces of the test gateway. */
enum {
    LAN = 2,
    WAN = 3,
    TUNNEL = 4,
};

#define EXTERNAL "203.0.113.5"
#define REMOTE   "198.51.100.9"

/*
 * A repeatable stream of numbers. The seed is PORTREEVE_SEED, or fixed; seeded() says it when
 * something is wrong.
 */
struct chance {
    uint64_t seed, state;
};

struct chance chance_new(void);
uint64_t chance_next(struct chance *chance);
uint32_t chance_below(struct chance *chance, uint32_t bound); /* bound > 0 */
bool chance_one_in(struct chance *chance, uint32_t many);
void chance_fill(struct chance *chance, void *at, size_t length);

#define seeded(chance, condition)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("with PORTREEVE_SEED=%llu: %s", (unsigned long long)(chance)->seed,       \
                         #condition);                                                              \
    } while (0)

/* Text to addresses; the test ends when the text is wrong. */
struct address address_of(const char *text);
struct endpoint endpoint_of(const char *text);
struct prefix prefix_of(const char *text); /* 10.0.0.0/24 */
/* And back, in one of a few static buffers. */
const char *address_text(const struct address *address);
const char *endpoint_text(const struct endpoint *endpoint);

/* Big-endian numbers in packets. */
uint16_t get16(const uint8_t *at);
void put16(uint8_t *at, uint32_t value);
uint32_t get32(const uint8_t *at);
void put32(uint8_t *at, uint32_t value);

/* The sum of big-endian 16-bit words, folded; an odd last byte is the high half of a word. */
uint16_t naive_sum(const uint8_t *data, size_t length);
/*
 * The checksum that belongs into this IPv4 header, or into its TCP, UDP or ICMP header. The packet
 * is well-formed.
 */
uint16_t naive_ip_checksum(const uint8_t *ip);
uint16_t naive_l4_checksum(const uint8_t *ip);
uint16_t naive_pseudo_sum(const uint8_t *ip);
/* Where that is; NULL for other protocols. */
uint8_t *l4_checksum_at(uint8_t *ip);
void fix_checksums(uint8_t *ip);
/* A UDP checksum of 0 is right. */
bool ip_checksum_is_right(const uint8_t *ip);
bool l4_checksum_is_right(const uint8_t *ip);
bool icmp_checksum_is_right(const uint8_t *l4, size_t length);

/*
 * Writes an IPv4 header with its checksum; returns its length. `options` may be NULL; their length
 * is a multiple of 4.
 */
size_t put_ipv4(uint8_t *at, uint8_t protocol, const struct address *from, const struct address *to,
                const uint8_t *options, size_t options_length, size_t l4_length);

/* A packet on its way, with its bytes. Not to be copied: packet.data points into itself. */
struct sample {
    struct packet packet;
    uint8_t bytes[2048];
};

void make_udp(struct sample *sample, const char *from, const char *to, size_t payload);
void make_tcp(struct sample *sample, const char *from, const char *to, uint8_t flags);
void make_icmp_query(struct sample *sample, const char *from, const char *to, uint8_t type,
                     uint16_t id);
/* An ICMP error that quotes the packet's IP header and at most `l4_bytes` after it. */
void make_icmp_error(struct sample *sample, const char *from, const char *to, uint8_t type,
                     uint8_t code, const struct sample *quoted, size_t l4_bytes);
/* Protocol without ports. */
void make_raw(struct sample *sample, const char *from, const char *to, uint8_t protocol,
              size_t l4_length);
void copy_sample(struct sample *to, const struct sample *from);

/* What the packet carries now. ICMP: addresses only, the id apart. */
const char *source_of(const struct sample *sample);
const char *destination_of(const struct sample *sample);
uint16_t icmp_id_of(const struct sample *sample);
const char *quoted_source_of(const struct sample *sample);
const char *quoted_destination_of(const struct sample *sample);
uint16_t port_of(const char *endpoint);

/* A gateway: 203.0.113.5 on WAN, time as the test says. */
struct gateway {
    struct policy *policy;
    struct nat *nat;
    uint64_t now; /* milliseconds */
};

/* An unsealed policy with share "lab": 10.0.0.0/24, ports 50000-50999; 256 sessions. */
struct policy *lab_policy(enum filtering filtering);
void add_share(struct policy *policy, const char *name, const char *source, uint16_t first,
               uint16_t last, enum filtering filtering);
/* `allow` is one prefix, or NULL. */
void add_forward(struct policy *policy, const char *name, uint8_t protocols, uint16_t first,
                 uint16_t last, const char *to, const char *allow);

/* Seals the policy and takes it over. */
void gateway_start(struct gateway *gateway, struct policy *policy);
void gateway_stop(struct gateway *gateway);
/* Exchanges the policy; returns how many sessions ended. */
uint32_t gateway_change_policy(struct gateway *gateway, struct policy *policy);
/* The same for the external addresses. */
uint32_t gateway_set_addresses(struct gateway *gateway, const struct address *addresses,
                               size_t count);
/* Ends the live session in this slot, as an operator does. */
void gateway_kill(struct gateway *gateway, uint32_t slot);
/* Lets time pass, second by second if it is short. */
void gateway_wait(struct gateway *gateway, uint64_t milliseconds);

/*
 * Each returns the reason of a drop, DROP_NONE otherwise, and checks what must hold for every
 * packet.
 */
enum drop_reason gateway_translate(struct gateway *gateway, struct sample *sample);
enum drop_reason leave(struct gateway *gateway, struct sample *sample);     /* outbound, by WAN */
enum drop_reason arrive(struct gateway *gateway, struct sample *sample);    /* inbound, from WAN */
enum drop_reason turn_back(struct gateway *gateway, struct sample *sample); /* inbound, from LAN */
enum drop_reason pass_again(struct gateway *gateway,
                            struct sample *sample); /* outbound, to LAN, marked */

/* Short forms. The endpoint that the packet shows to the world, or NULL when it was not let out. */
const char *udp_out(struct gateway *gateway, const char *from, const char *to);
const char *tcp_out(struct gateway *gateway, const char *from, const char *to, uint8_t flags);
enum drop_reason udp_in(struct gateway *gateway, const char *from, const char *to);
enum drop_reason tcp_in(struct gateway *gateway, const char *from, const char *to, uint8_t flags);
/* A TCP connection that host `from` opens; returns its external endpoint. */
const char *tcp_connect(struct gateway *gateway, const char *from, const char *to);
/* Both passes. On success *sample is what the target sees. */
enum drop_reason hairpin(struct gateway *gateway, struct sample *sample);

/*
 * The session with this internal (or hairpin peer) and remote endpoint; false when there is none.
 */
bool find_view(const struct gateway *gateway, const char *internal, const char *remote,
               struct session_view *view);

/* A whole check (portreeve/check.h), in steps of `budget` looks. */
void run_check(struct nat *nat, uint32_t budget, struct nat_check_report *report);

/* What must hold between any two packets. Nothing is checked while a check runs. */
void check_invariants(struct nat *nat);

#endif
