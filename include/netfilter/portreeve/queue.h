/*
 * queue.h - one netfilter queue: receives batches of packets, returns batches of verdicts
 *
 * One recvmmsg takes the waiting packets, one sendmsg returns all verdicts, with rewritten packets
 * sent from where they were received. A queue belongs to one thread. queue_open allocates all
 * memory.
 *
 * A queue has two of the kernel's queue numbers, both on one socket: packets arrive from both in
 * one batch. One number is for everything but UDP. It takes bulk packets (GSO) as a whole. The
 * other one is for UDP: the kernel segments these packets first (nfqnl_enqueue_packet). A packet
 * that comes back with a payload has CHECKSUM_NONE. Linux 6.1 passes such a UDP packet as a whole
 * to a device that segments UDP by itself, with the checksum of its first segment, and the receiver
 * drops it (skb_gso_ok() in udp4_ufo_fragment). For TCP every kernel repairs the checksum
 * (tcp4_gso_segment).
 *
 * The two queues of newcomers have one number each: first packets of TCP connections wait there,
 * those from outside in one, those of shares in the other, so that a flood of them keeps nothing
 * else waiting.
 */
#ifndef PORTREEVE_QUEUE_H
#define PORTREEVE_QUEUE_H

#include "portreeve/error.h"
#include "portreeve/packet.h"

#define QUEUE_BATCH 64

/* How far the queue numbers for UDP are from the others. There are 65536 numbers. */
#define QUEUE_UDP_DISTANCE 16384u

/*
 * The first number for UDP of `first`, `first` + 1, and so on: far away, because other programs
 * tend to use small numbers, and so that there is room for QUEUE_UDP_DISTANCE of them.
 */
static inline uint16_t queue_first_udp(uint16_t first)
{
    return (uint16_t)(first < QUEUE_UDP_DISTANCE ? first + QUEUE_UDP_DISTANCE
                                                 : first - QUEUE_UDP_DISTANCE);
}

enum newcomers { NEWCOMERS_OUTSIDE, NEWCOMERS_INSIDE, NEWCOMERS_KINDS };

/* The numbers of newcomers: as far from those for UDP. */
static inline uint16_t queue_of_newcomers(uint16_t first, enum newcomers kind)
{
    return (uint16_t)(first + 2 * QUEUE_UDP_DISTANCE + (unsigned)kind);
}

struct queue_options {
    uint16_t number;       /* for everything but UDP: bulk packets arrive as a whole */
    uint16_t udp_number;   /* for UDP, segmented by the kernel; `number` again: there is only one */
    uint32_t hairpin_mark; /* the bit that tells the rules about packet.transit */
    uint32_t length;       /* packets that may wait in the kernel */
    int descriptor;        /* the socket of an earlier run that has bound this queue; -1: none */
};

struct queue;

/*
 * True if this descriptor is a netlink socket that has bound the queue in the caller's network
 * namespace. It reads /proc/net/netfilter/nfnetlink_queue.
 */
bool queue_is_bound_to(uint16_t number, int descriptor);

/*
 * Binds its numbers in the caller's network namespace, or takes over a socket that has bound them,
 * with the packets that wait there (queue_is_bound_to must hold for the first number; the
 * descriptor is closed on failure). What an earlier run has read and not answered goes through the
 * hook again, so that it comes once more. The settings: copy whole packets, GSO for the first
 * number only, no fail-open, no ENOBUFS. Returns 0, or -errno and a sentence. -EBUSY if another
 * program uses one of them; the sentence then names the queue and the owner (the netlink port id
 * from /proc/net/netfilter/nfnetlink_queue, which usually is a process id).
 */
int queue_open(struct queue **queue, const struct queue_options *options, struct error *error);
void queue_close(struct queue *queue); /* NULL is fine */

/* Poll it for reading. */
int queue_descriptor(const struct queue *queue);

/*
 * Takes up to QUEUE_BATCH packets without waiting. *packets points at them until the next call; set
 * verdict, reason and transit of each. Returns how many, 0 if none wait, or -errno. A packet that
 * is not IPv4, or that did not arrive as a whole, is in the batch as well, because every packet
 * needs its verdict. A packet that a rule of another program queued in another hook is not in the
 * batch: it passes. A rewritten packet that is `truncated` would be cut, so it is dropped.
 */
int queue_receive(struct queue *queue, struct packet **packets);

/*
 * Sends the verdicts of the last batch with one system call, or with more if the kernel has too
 * little memory for all of them at once. Returns 0, or -errno if a packet had to be dropped
 * although its verdict was another; the queue stays usable.
 */
int queue_reply(struct queue *queue);

/*
 * The queue that is a lock: whoever has bound it is the only portreeved of the network namespace.
 * No rule sends packets to it. A queue is per network namespace, needs CAP_NET_ADMIN, and ends with
 * the last descriptor of its socket, so it stays locked over an exec that keeps the descriptor.
 */
#define QUEUE_LOCK 65535

/*
 * Locks the caller's network namespace. *descriptor is the socket that holds the lock; close it to
 * release the lock. Returns 0, or -errno and a sentence: -EBUSY if another program has it.
 */
int queue_lock_namespace(int *descriptor, struct error *error);

struct queue_statistics {
    uint32_t waiting;      /* packets in the kernel's queue now */
    uint64_t dropped_full; /* dropped by the kernel: queue full (sum since the queue was bound) */
    uint64_t dropped_user; /* dropped by the kernel: socket buffer full */
};

/*
 * Reads /proc/net/netfilter/nfnetlink_queue for `number`; only user or group root may (-EACCES).
 * Returns 0, -ENOENT if no program has bound the queue, or another -errno.
 */
int queue_read_statistics(uint16_t number, struct queue_statistics *statistics);

#endif
