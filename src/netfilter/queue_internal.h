/*
 * queue_internal.h - the memory of a queue: where a batch is stored until its verdicts are sent
 *
 * Internal to src/netfilter/queue*.c and the kernel tests.
 */
#ifndef PORTREEVE_QUEUE_INTERNAL_H
#define PORTREEVE_QUEUE_INTERNAL_H

#include "portreeve/queue.h"

#include <libmnl/libmnl.h>
#include <sys/socket.h>
#include <sys/uio.h>

/*
 * Holds a packet of 65531 bytes (the most that fits into an attribute) and everything that the
 * kernel sends with it. The other attributes have less than 400 bytes.
 */
#define QUEUE_BUFFER (65536 + 4096)

/* Netlink header, nfgenmsg, verdict, mark, and the header of the payload attribute. */
#define QUEUE_VERDICT_HEAD 64

/* A verdict message has three pieces: head, payload (not copied), padding. */
#define QUEUE_VERDICT_PIECES 3

/* What the kernel needs back with the verdict. */
struct queue_handle {
    uint32_t id;
    uint32_t mark;
    uint16_t number; /* of the queue that it waits in */
};

struct queue {
    struct mnl_socket *socket;
    uint16_t number, udp_number;
    uint32_t hairpin_mark;
    bool is_taken_over;    /* from an earlier run */
    bool may_have_read[2]; /* that run, packets of `number` and `udp_number`, without a verdict */
    size_t count;          /* packets of the batch that wait for queue_reply */
    struct packet packets[QUEUE_BATCH];
    struct queue_handle handles[QUEUE_BATCH];

    struct mmsghdr messages[QUEUE_BATCH];
    struct iovec buffers[QUEUE_BATCH]; /* QUEUE_BUFFER bytes each, one allocation */

    struct iovec pieces[QUEUE_BATCH * QUEUE_VERDICT_PIECES];
    _Alignas(8) char heads[QUEUE_BATCH][QUEUE_VERDICT_HEAD];
};

/*
 * As queue_read_statistics; *owner is the netlink port id of the socket that the queue is bound to.
 */
int queue_find_owner(uint16_t number, uint32_t *owner, struct queue_statistics *statistics);

/*
 * Opens a socket and binds the queue to it. It gets no packets yet. Returns 0, or -errno and a
 * sentence, as queue_open; queue->socket may be open in both cases.
 */
int queue_bind(struct queue *queue, struct error *error);

/*
 * Every packet up to this id that has no verdict yet passes the hook again, and so comes back with
 * a new id.
 */
void queue_repeat_to(struct queue *queue, struct queue_handle last);

/* Accepts a packet that none of our rules has queued. */
void queue_pass(struct queue *queue, struct queue_handle handle);

#endif
