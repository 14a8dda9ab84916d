/*
 * offload.h - which sessions the kernel rewrites by itself, and what it says of them
 *
 * Theory of operation
 *
 * A session that needs no more decisions is written into the kernel's maps, and its packets no
 * longer come here. The queue is the reference and the kernel a cache: a session ends, changes its
 * state and is counted as if every packet had come by the queue.
 *
 *   - Who: TCP that is established and UDP that is answered, after some packets; never hairpins,
 *     which pass twice, and never the gateway's own connections, which pass other hooks.
 *   - What the kernel leaves to the queue: SYN, FIN, RST; ICMP; IP options; UDP without a checksum;
 *     what goes outside and may be fragmented (its IP id has to be renewed). These packets meet the
 *     session in the table as ever.
 *   - The kernel counts. It is asked every OFFLOAD_LOOK_SECONDS, when a session's timer runs out,
 *     when somebody looks, and when the session leaves the kernel: what is new is folded into the
 *     session, and means that it is alive. So a session never ends early, and at most so many
 *     seconds late.
 *   - A session whose state is no longer established leaves the kernel, and its packets come by the
 *     queue again.
 *   - An RST waits until the session has left the kernel: how far the sequence numbers may have got
 *     is known only then.
 *
 * The core decides and keeps an entry for each such session; the kernel's edge carries orders out.
 * In between is a system call, so an entry has a state of its own:
 *
 *   WANTED -> ADDING -> LIVE <-> DUE -> ASKING           (DUE: the timer has run out)
 *                        |
 *                        +-> LEAVING -> REMOVING -> free
 *
 * -ING: the order has been taken, and its outcome is awaited. An entry may outlive its session,
 * never the other way round.
 */
#ifndef PORTREEVE_OFFLOAD_H
#define PORTREEVE_OFFLOAD_H

#include "portreeve/packet.h"

struct nat;

#define OFFLOAD_LOOK_SECONDS 10

/*
 * A session as the kernel's maps see it: each direction's packets and what becomes of them follow
 * from this.
 */
struct offload_flow {
    struct endpoint internal, external, remote;
    uint8_t protocol; /* TCP or UDP */
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

/* True when there are orders to take. */
bool nat_offload_has_orders(const struct nat *nat);

/*
 * True when sessions that have ended, or that the queue is to have back, are still in the kernel.
 */
bool nat_offload_has_removals(const struct nat *nat);

/*
 * Takes up to `max` orders: removals first, so that what follows may use their addresses and ports.
 * For each one its outcome must be told by one of the calls below, in any order, before the next
 * orders are taken.
 */
size_t nat_offload_take(struct nat *nat, struct offload_order *orders, size_t max);
void nat_offload_added(struct nat *nat, uint32_t entry, bool done);
/* The kernel's last word, or NULL when it has none. */
void nat_offload_removed(struct nat *nat, uint32_t entry, const struct offload_traffic *traffic,
                         uint64_t now);
void nat_offload_answered(struct nat *nat, uint32_t entry, const struct offload_traffic *traffic,
                          uint64_t now);

/*
 * Folds what a listing of the kernel's maps says about one direction of a flow: what packets of
 * `hook` that carry `tuple` did.
 */
void nat_offload_fold(struct nat *nat, enum packet_hook hook, const struct tuple *tuple,
                      uint64_t packets, uint64_t bytes, uint64_t now);

/*
 * At the start, after nat_adopt and before the first packet: by the maps that an earlier run left,
 * packets with this tuple have passed, so the session's time begins anew. An adopted session of
 * which they do not tell ends at the next nat_tick if its time has come.
 */
void nat_offload_recall(struct nat *nat, const struct tuple *tuple, uint64_t now);

/*
 * The kernel's maps have been emptied: everything takes the queue until it has earned its place
 * again. No order may be out.
 */
void nat_offload_forget(struct nat *nat);

#endif
