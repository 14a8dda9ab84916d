/*
 * support_twin_traffic.h - random packets between the hosts that the naive NAT knows of
 */
#ifndef PORTREEVE_TEST_SUPPORT_TWIN_TRAFFIC_H
#define PORTREEVE_TEST_SUPPORT_TWIN_TRAFFIC_H

#include "support_twin.h"

#define TRAFFIC_ROOM (65536 + 64)

/* Everything of one run. */
struct run {
    struct chance chance;
    struct policy *policy;
    struct nat *nat;
    struct twin *twin;
    uint64_t now, sent, rewritten, errors, hairpins;
    uint8_t before[TRAFFIC_ROOM], real[TRAFFIC_ROOM], naive[TRAFFIC_ROOM];
    struct packet packet; /* as it is sent; data is `before` */
};

/* Chance. */
uint32_t traffic_below(struct run *run, uint32_t bound);
bool traffic_one_in(struct run *run, uint32_t many);

/*
 * Who there is: internal endpoints, remote ones, and external ones that mostly have somebody behind
 * them.
 */
struct spot traffic_inside(struct run *run);
struct spot traffic_remote(struct run *run);
struct spot traffic_outside(struct run *run, uint8_t *protocol);
uint8_t traffic_protocol(struct run *run);

/* Starts run->packet, without bytes. */
void traffic_begin(struct run *run, enum packet_hook hook, uint32_t in, uint32_t out);

/*
 * A whole packet at `at`, with right checksums, of at most `room` bytes; returns its length. Of an
 * ICMP query, from_asks says whether it is the request.
 */
size_t traffic_compose(struct run *run, uint8_t *at, size_t room, uint8_t protocol,
                       struct spot from, struct spot to, bool from_asks);

#endif
