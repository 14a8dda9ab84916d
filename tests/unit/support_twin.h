/*
 * support_twin.h - a NAT that is too simple to be wrong: lists that are searched from the front,
 * headers that are read byte by byte, checksums that are added up anew
 *
 * It knows addresses as numbers, and nothing of tuples, keys or roles. What it cannot know, the
 * random choice of an external port, it learns from what the real one did, and complains when that
 * choice was not allowed. Nothing in it ends by time: the test stays within the timeouts and calls
 * twin_forget when all has expired.
 */
#ifndef PORTREEVE_TEST_SUPPORT_TWIN_H
#define PORTREEVE_TEST_SUPPORT_TWIN_H

#include "support.h"

/* An IPv4 address as a number. */
#define IP(a, b, c, d)                                                                             \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

struct spot {
    uint32_t ip;
    uint16_t port;
};

struct twin_share {
    const char *name, *source;
    uint32_t network, mask;
    uint16_t first, last;
    enum filtering filtering;
};

struct twin_forward {
    const char *name, *to_text, *allow_text; /* allow: NULL, anyone */
    uint8_t protocols;
    uint16_t first, last;
    struct spot to;
    uint32_t allow, allow_mask;
};

extern const struct twin_share twin_shares[3];
extern const struct twin_forward twin_forwards[5];
extern const uint32_t twin_externals[2];

/* An internal endpoint's external endpoint. */
struct door {
    uint8_t protocol;
    struct spot inside, outside;
};

/*
 * Who speaks to whom. In a hairpin `far` is the other internal endpoint, and far_outside what the
 * caller calls it. Where `far` is one of our own external endpoints without being a hairpin,
 * somebody has knocked there and was not let in. `seen` is `far` as the host inside sees it: with
 * another port, where it would have met somebody twice. (In a hairpin it is not used.)
 */
struct talk {
    uint8_t protocol;
    bool hairpin, opened_inside;
    struct spot inside, outside, far, far_outside, seen;
};

#define TWIN_MAX 16384

struct twin {
    struct talk talk[TWIN_MAX];
    size_t talks;
    struct door door[TWIN_MAX];
    size_t doors;
    struct door resting[TWIN_MAX];
    size_t rest;
    struct {
        uint32_t host, external;
    } pair[256]; /* paired pooling: each host's external address */
    size_t pairs;
    uint64_t dropped[DROP_REASON_COUNT], unchanged, packets[2], bytes[2];
    bool counted;          /* the second pass has counted what it has changed */
    const char *complaint; /* what the real one must not have chosen; NULL */
    /*
     * The external endpoint that the real one has chosen for this internal one, where no packet
     * shows it; 0 for none.
     */
    struct spot (*peek)(void *context, uint8_t protocol, struct spot inside);
    /* Whether this port rests: it depends on how TCP was closed, which only the real one follows.
     */
    bool (*rests)(void *context, uint8_t protocol, struct spot outside);
    void *context;
};

/* True when a forward or a door has this external endpoint, or its port rests. */
bool twin_is_ours(const struct twin *twin, uint8_t protocol, struct spot outside);

/*
 * Decides about the packet and rewrites its bytes; `real` is the same packet after the real
 * translation.
 */
void twin_translate(struct twin *twin, struct packet *packet, const struct packet *real);

/* Every session has expired. */
void twin_forget(struct twin *twin);

bool twin_is_external(uint32_t ip);

#endif
