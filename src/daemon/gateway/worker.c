/*
 * worker.c - one thread per queue: receive a batch, translate it, send the verdicts
 */
#include "worker.h"

#include "lock.h"

#include "portreeve/confine.h"
#include "portreeve/handover.h"
#include "portreeve/icmp.h"
#include "portreeve/log.h"
#include "portreeve/oversize.h"
#include "portreeve/thread.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct worker {
    struct gateway *gateway;
    struct queue *queue;
    uint16_t number;
    int icmp; /* raw socket for refusals; -1: none, without CAP_NET_RAW */
    int stop; /* eventfd: readable when the thread must end */
    bool running;
    bool in_batch; /* atomic: it may hold packets */
    struct pulse *pulse;
    pthread_t thread;
};

/* ICMP is sent if possible; the drop has been counted in any case. */
static void send_refusal(const struct worker *worker, const struct packet *packet)
{
    uint8_t message[ICMP_REFUSAL_MAX];
    struct sockaddr_in source = {.sin_family = AF_INET};

    /* the translator has parsed this header */
    memcpy(&source.sin_addr, packet->data + offsetof(struct iphdr, saddr), sizeof(source.sin_addr));
    (void)sendto(worker->icmp, message, icmp_write_refusal(packet, message), MSG_DONTWAIT,
                 (const struct sockaddr *)&source, sizeof(source));
}

/*
 * Datagrams that are longer than a queue carries are rewritten by the kernel. If the table is in
 * use just now, they pass the rules again without a change, and come back.
 */
static void prepare_repeats(struct worker *worker, struct packet *packets, size_t count)
{
    int result = oversize_add(worker->gateway->ruleset, packets, count);
    struct nat *nat;

    if (result == 0 || result == -EAGAIN)
        return;
    nat = gateway_lock(worker->gateway);
    for (size_t i = 0; i < count; i++) {
        if (packets[i].verdict == VERDICT_REPEAT)
            nat_give_up(nat, &packets[i]);
    }
    gateway_unlock(worker->gateway);
}

/*
 * Handles one batch. The lock is held only for the translation: receiving and replying are system
 * calls.
 */
static int serve_batch(struct worker *worker)
{
    struct packet *packets;
    int count = queue_receive(worker->queue, &packets);
    struct nat *nat;
    uint64_t now;
    int result;

    if (count <= 0)
        return count;
    now = gateway_now();
    nat = gateway_lock_for_packets(worker->gateway);
    nat_translate_batch(nat, packets, (size_t)count, now);
    gateway_unlock_and_order(worker->gateway);
    for (int i = 0; i < count; i++) {
        if (packets[i].send_refusal)
            send_refusal(worker, &packets[i]);
    }
    prepare_repeats(worker, packets, (size_t)count);
    result = queue_reply(worker->queue);
    (void)oversize_remove(worker->gateway->ruleset, packets, (size_t)count);
    return result;
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    struct pollfd wait[2] = {{.fd = queue_descriptor(worker->queue), .events = POLLIN},
                             {.fd = worker->stop, .events = POLLIN}};
    int last_error = 0;

    confine_thread(CONFINE_WORKER);
    while (poll(wait, 2, PULSE_EVERY_MS) >= 0 || errno == EINTR) {
        int result;

        pulse_beat(worker->pulse);
        if (wait[1].revents != 0)
            break;
        if (wait[0].revents == 0)
            continue; /* the time is over */
        __atomic_store_n(&worker->in_batch, true, __ATOMIC_SEQ_CST);
        result = serve_batch(worker);
        __atomic_store_n(&worker->in_batch, false, __ATOMIC_SEQ_CST);
        /* Only a new error is logged: repeating the same one would only fill the log. */
        if (result < 0 && result != last_error)
            log_error("queue %u: cannot receive packets or send verdicts: %s", worker->number,
                      strerror(-result));
        last_error = result < 0 ? result : 0;
    }
    return NULL;
}

/*
 * The queue is looked at first: what is not there any more has been taken by the worker, who says
 * so before it takes anything.
 */
bool worker_is_idle(const struct worker *worker)
{
    struct pollfd queue = {.fd = queue_descriptor(worker->queue), .events = POLLIN};

    return poll(&queue, 1, 0) == 0 && !__atomic_load_n(&worker->in_batch, __ATOMIC_SEQ_CST);
}

/* Without the capability for it, refused packets are dropped without an ICMP message. */
static int open_icmp(struct worker *worker, struct error *error)
{
    int result;

    worker->icmp = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (worker->icmp >= 0) {
        (void)shutdown(worker->icmp, SHUT_RD); /* it is only for sending */
        return 0;
    }
    if (errno == EPERM || errno == EACCES)
        return 0;
    result = -errno;
    error_set(error, "queue %u: cannot open a raw socket for ICMP: %s", worker->number,
              strerror(-result));
    return result;
}

/*
 * Another queue of the earlier run may have had one of our numbers, or its lock may have.
 */
static bool forget_others(uint16_t number)
{
    bool any = handover_forget(HANDOVER_QUEUE);

    return (number == QUEUE_LOCK && handover_forget(HANDOVER_LOCK)) || any;
}

/* With the socket and the waiting packets of an earlier run, if it has left them to us. */
static int open_queue(struct worker *worker, const struct queue_options *wanted,
                      struct error *error)
{
    const struct handover_name name = handover_queue_name(wanted->number);
    struct queue_options options = *wanted;
    int result;

    options.descriptor = handover_take(name.text);
    if (options.descriptor >= 0 && !queue_is_bound_to(options.number, options.descriptor)) {
        log_warning("queue %u: the descriptor of the earlier run is not its socket",
                    options.number);
        close(options.descriptor);
        options.descriptor = -1;
    }
    result = queue_open(&worker->queue, &options, error);
    if (result == -EBUSY && forget_others(options.number)) {
        options.descriptor = -1;
        result = queue_open(&worker->queue, &options, error);
    }
    if (result == 0)
        handover_keep(name.text, queue_descriptor(worker->queue));
    return result;
}

int worker_open(struct worker **out, struct gateway *gateway, const struct queue_options *options,
                struct error *error)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    int result;

    if (worker == NULL) {
        error_set(error, "queue %u: not enough memory for its worker", options->number);
        return -ENOMEM;
    }
    worker->gateway = gateway;
    worker->number = options->number;
    worker->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->stop < 0) {
        result = -errno;
        error_set(error, "queue %u: cannot create an eventfd: %s", options->number,
                  strerror(-result));
        free(worker);
        return result;
    }
    result = open_icmp(worker, error);
    if (result == 0)
        result = open_queue(worker, options, error);
    if (result < 0) {
        if (worker->icmp >= 0)
            close(worker->icmp);
        close(worker->stop);
        free(worker);
        return result;
    }
    *out = worker;
    return 0;
}

int worker_start(struct worker *worker)
{
    char name[sizeof(worker->pulse->name)];
    int result;

    snprintf(name, sizeof(name), "the worker of queue %u", worker->number);
    worker->pulse = pulses_add(&worker->gateway->pulses, name);
    result = thread_start(&worker->thread, run, worker);
    worker->running = result == 0;
    return result;
}

void worker_close(struct worker *worker)
{
    const uint64_t one = 1;

    if (worker == NULL)
        return;
    if (worker->running && write(worker->stop, &one, sizeof(one)) == (ssize_t)sizeof(one))
        pthread_join(worker->thread, NULL);
    queue_close(worker->queue);
    if (worker->icmp >= 0)
        close(worker->icmp);
    close(worker->stop);
    free(worker);
}
