/*
 * offload.h - which sessions the kernel rewrites by itself, and what it reports about them
 *
 * Theory of operation
 *
 * A session that needs no more decisions is written into the kernel's maps, and its packets no
 * longer pass the queue. The queue is the reference and the kernel a cache: a session ends, changes
 * its state and is counted as if every packet had passed the queue.
 *
 *   - Who: TCP that is established and UDP that is answered, after some packets; UDP that is not
 *     answered, after more packets, and of what the outside has opened only so many at a time;
 *     never hairpins, which pass twice, and never the gateway's own connections, which pass other
 *     hooks.
 *   - When: while the session is quiet. Packets that wait in the queue are behind those that the
 *     kernel rewrites at once, so a session that enters in the middle of a burst would have its
 *     packets reordered. Traffic without a pause enters after a fifth of a second all the same:
 *     there is no moment at which none of its packets is on the way, and nothing that could hold
 *     them back. Rejected: holding back the later packets in another queue, because that queue has
 *     to be left again, with the same question.
 *   - What the kernel leaves to the queue: SYN, FIN, RST; ICMP; IP options; UDP without a checksum;
 *     what goes outside and may be fragmented (its IP id has to be renewed). These packets pass the
 *     queue and match the session in the table.
 *   - The kernel counts. It is asked every OFFLOAD_LOOK_SECONDS, when a session's timer runs out,
 *     when a user looks, and when the session leaves the kernel. What is new is added to the
 *     session and keeps it alive. So a session never ends early, and at most OFFLOAD_LOOK_SECONDS
 *     late.
 *   - A session whose state is no longer established leaves the kernel, and its packets pass the
 *     queue again.
 *   - An RST waits until the session has left the kernel: only then is it known how far the
 *     sequence numbers may have moved.
 *
 * The core decides and keeps an entry for each such session; src/netfilter carries out orders. A
 * system call lies in between, so an entry has a state of its own:
 *
 *   WAITING -> WANTED -> ADDING -> LIVE <-> DUE -> ASKING           (DUE: the timer has run out)
 *                                   |
 *                                   +-> LEAVING -> REMOVING -> free
 *
 * -ING: the order has been taken, and its result has not arrived yet. An entry may outlive its
 * session, never the other way round.
 */
#ifndef PORTREEVE_OFFLOAD_H
#define PORTREEVE_OFFLOAD_H

#include "portreeve/packet.h"

struct nat;

#define OFFLOAD_LOOK_SECONDS 10

/*
 * A session as the kernel's maps see it: the packets of both directions, and how they are
 * rewritten, follow from this.
 */
struct offload_flow {
    struct endpoint internal, external, remote;
    uint8_t protocol; /* TCP or UDP */
    uint8_t uplink;   /* what leaves by another one than this is none of the flow's packets */
};

/* What the kernel has counted since the flow was added, by enum packet_hook of the direction. */
struct offload_traffic {
    uint64_t packets[2], bytes[2]; /* IP lengths */
};

enum offload_task {
    OFFLOAD_ADD,
    OFFLOAD_ASK,
    OFFLOAD_REMOVE,
};

struct offload_order {
    uint32_t entry;
    enum offload_task task;
    struct offload_flow flow;
};

struct offload_counters {
    uint64_t added, removed;
    uint64_t refused; /* by the kernel */
    uint64_t full;    /* times that all entries were in use */
};

/*
 * Allocates room for `capacity` sessions in the kernel; call once, before any packet. False without
 * memory.
 */
bool nat_offload_init(struct nat *nat, uint32_t capacity, uint32_t after);

/* Once a second: it is time to ask about some of the sessions. */
void nat_offload_look(struct nat *nat);

/* True when there are orders to take, or will be soon. */
bool nat_offload_has_orders(const struct nat *nat);

/* How the queues are when sessions may enter the maps. */
enum offload_moment {
    OFFLOAD_BUSY,     /* packets are on their way through them */
    OFFLOAD_CALM,     /* none is: what the table has seen of a session is all that has come */
    OFFLOAD_OVERFULL, /* packets will be lost soon: worse than a wrong order */
};

/*
 * Makes orders for sessions that have been quiet for a moment, or have waited long enough; call it
 * every millisecond or two while sessions wait.
 */
void nat_offload_let_enter(struct nat *nat, uint64_t now, enum offload_moment moment);
bool nat_offload_is_waiting(const struct nat *nat);

/*
 * True when sessions that have ended, or that must return to the queue, are still in the kernel.
 */
bool nat_offload_has_removals(const struct nat *nat);

/*
 * Takes up to `max` orders: removals first, so that what follows may use their addresses and ports.
 * The result of each must be reported by one of the calls below, in any order, before the next
 * orders are taken.
 */
size_t nat_offload_take(struct nat *nat, struct offload_order *orders, size_t max);
void nat_offload_added(struct nat *nat, uint32_t entry, bool done);
/* `traffic`: the kernel's last counters, or NULL when it had no element. */
void nat_offload_removed(struct nat *nat, uint32_t entry, const struct offload_traffic *traffic,
                         uint64_t now);
void nat_offload_answered(struct nat *nat, uint32_t entry, const struct offload_traffic *traffic,
                          uint64_t now);

/*
 * Adds what a listing of the kernel's maps says about one direction of a flow: the packets of
 * `hook` that carry `tuple`.
 */
void nat_offload_fold(struct nat *nat, enum packet_hook hook, const struct tuple *tuple,
                      uint64_t packets, uint64_t bytes, uint64_t now);

/*
 * Of `budget` entries from *at on, how many sessions the kernel's maps have. *at moves on; it is
 * UINT32_MAX after the last entry. Exact over several calls while no orders are taken or reported.
 */
uint32_t nat_offload_in_kernel(const struct nat *nat, uint32_t *at, uint32_t budget);

/*
 * At the start, after nat_adopt and before the first packet: the maps that an earlier run left have
 * counted packets with this tuple, so the session's timer starts again. An adopted session that no
 * map has counted ends at the next nat_tick if it has expired.
 */
void nat_offload_recall(struct nat *nat, const struct tuple *tuple, uint64_t now);

/*
 * The kernel's maps have been emptied: all packets pass the queue until their sessions are
 * offloaded again. No order may be in progress.
 */
void nat_offload_forget(struct nat *nat);

#endif
