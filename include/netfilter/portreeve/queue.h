/*
 * queue.h - one netfilter queue: batches of packets in, batches of verdicts out
 *
 * One recvmmsg takes what waits, one sendmsg returns all verdicts, the packets rewritten where they
 * lie. A queue belongs to one thread. All memory is allocated by queue_open.
 */
#ifndef PORTREEVE_QUEUE_H
#define PORTREEVE_QUEUE_H

#include "portreeve/error.h"
#include "portreeve/packet.h"

#define QUEUE_BATCH 64

struct queue_options {
    uint16_t number;
    uint32_t hairpin_mark; /* the bit that becomes packet.transit, and back */
    uint32_t length;       /* packets that may wait in the kernel */
};

struct queue;

/*
 * Binds the queue in the caller's network namespace: copy whole packets, GSO, never fail open, no
 * ENOBUFS. A queue that another program holds is -EBUSY, and the sentence says which queue and who
 * (the netlink port id from /proc/net/netfilter/nfnetlink_queue, which usually is a process id).
 */
int queue_open(struct queue **queue, const struct queue_options *options, struct error *error);
void queue_close(struct queue *queue); /* NULL is fine */

/* To poll for reading. */
int queue_descriptor(const struct queue *queue);

/*
 * Takes up to QUEUE_BATCH packets without waiting. *packets points at them until the next call;
 * fill in verdict, reason and transit of each. Returns how many, 0 when none wait, or -errno. A
 * packet that is not IPv4, or of which not enough arrived, is in the batch as well: every packet
 * needs its verdict. One that somebody else's rule queued in another hook is not: it passes. A
 * rewritten packet that is `truncated` would be cut, and is dropped.
 */
int queue_receive(struct queue *queue, struct packet **packets);

/*
 * Sends the verdicts of the last batch with one system call, or more where the kernel has not the
 * memory for all at once. Returns 0, or -errno when a packet had to be dropped instead of what was
 * decided; the queue goes on.
 */
int queue_reply(struct queue *queue);

struct queue_statistics {
    uint32_t waiting;      /* packets in the kernel's queue now */
    uint64_t dropped_full; /* the kernel dropped: queue full (sum since the queue was bound) */
    uint64_t dropped_user; /* the kernel dropped: socket buffer full */
};

/*
 * Reads /proc/net/netfilter/nfnetlink_queue for `number`; only user or group root may (-EACCES).
 * Returns 0, -ENOENT when nobody is bound, or -errno.
 */
int queue_read_statistics(uint16_t number, struct queue_statistics *statistics);

#endif
