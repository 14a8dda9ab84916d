/*
 * offload.c - takes the translator's orders about offloaded sessions to the kernel, and the answers
 * back
 */
#include "offload.h"

#include "lock.h"
#include "portreeve/check.h"
#include "portreeve/confine.h"
#include "portreeve/log.h"
#include "portreeve/offload_maps.h"
#include "portreeve/thread.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Elements of a listing that are folded before the gateway's lock is released. */
#define FOLD_SLICE 256
/* While sessions wait for a pause of their packets. */
#define LOOK_AGAIN_MS 1

struct gateway_offload {
    struct gateway *gateway;
    pthread_mutex_t lock; /* covers maps, orders, outcomes */
    struct offload_maps *maps;
    uint16_t first_queue; /* a reload, which cannot change it, writes the settings meanwhile */
    struct offload_order order[OFFLOAD_BATCH];
    struct offload_outcome outcome[OFFLOAD_BATCH];
    int last_error;
    bool stop; /* atomic */
    struct pulse *pulse;
    pthread_t thread;
};

/* Needs both locks. */
static void report_outcomes(struct gateway_offload *offload, struct nat *nat, size_t count,
                            uint64_t now)
{
    for (size_t i = 0; i < count; i++) {
        const struct offload_outcome *outcome = &offload->outcome[i];
        const struct offload_traffic *traffic = outcome->has_traffic ? &outcome->traffic : NULL;
        uint32_t entry = offload->order[i].entry;

        switch (offload->order[i].task) {
        case OFFLOAD_ADD:
            nat_offload_added(nat, entry, outcome->done);
            break;
        case OFFLOAD_ASK:
            nat_offload_answered(nat, entry, traffic, now);
            break;
        default:
            nat_offload_removed(nat, entry, traffic, now);
            break;
        }
    }
}

/* No packet is on its way through a queue: what the table has seen is all that has come. */
static bool is_calm(const struct gateway *gateway)
{
    for (uint16_t i = 0; i < gateway->worker_count; i++) {
        if (!worker_is_idle(gateway->worker[i]))
            return false;
    }
    return true;
}

static bool is_overfull(uint16_t number)
{
    struct queue_statistics statistics;

    return queue_read_statistics(number, &statistics) == 0 &&
           statistics.waiting >= GATEWAY_QUEUE_LENGTH / 4 * 3;
}

/* The kernel is asked for its counters only while packets wait. */
static enum offload_moment moment_now(const struct gateway *gateway, uint16_t first)
{
    if (is_calm(gateway))
        return OFFLOAD_CALM;
    for (uint16_t i = 0; i < gateway->worker_count; i++) {
        if (is_overfull((uint16_t)(first + i)) ||
            is_overfull((uint16_t)(queue_first_udp(first) + i)))
            return OFFLOAD_OVERFULL;
    }
    return OFFLOAD_BUSY;
}

/* Carries out one batch of orders; returns how many. Needs this module's lock. */
static size_t carry_out(struct gateway_offload *offload)
{
    enum offload_moment moment = moment_now(offload->gateway, offload->first_queue);
    uint64_t now = gateway_now();
    struct nat *nat = gateway_lock(offload->gateway);
    size_t count;
    int result;

    nat_offload_let_enter(nat, now, moment);
    count = nat_offload_take(nat, offload->order, OFFLOAD_BATCH);
    gateway_unlock(offload->gateway);
    if (count == 0)
        return 0;
    result = offload_maps_execute(offload->maps, offload->order, offload->outcome, count);
    if (result < 0 && result != offload->last_error) /* do not repeat an error */
        log_error("offload: cannot change or read the kernel's maps: %s", strerror(-result));
    if (result < 0)
        log_debug("offload: a batch of %zu orders failed in part: %s", count, strerror(-result));
    offload->last_error = result;
    report_outcomes(offload, gateway_lock(offload->gateway), count, gateway_now());
    gateway_unlock(offload->gateway);
    return count;
}

/* Carries out orders; sleeps while sessions only wait. False when there is nothing to do. */
static bool serve(struct gateway_offload *offload)
{
    size_t count;
    bool waiting;

    pthread_mutex_lock(&offload->lock);
    count = carry_out(offload);
    pthread_mutex_unlock(&offload->lock);
    if (count > 0)
        return true;
    waiting = nat_offload_is_waiting(gateway_lock(offload->gateway));
    gateway_unlock(offload->gateway);
    if (!waiting || __atomic_load_n(&offload->stop, __ATOMIC_ACQUIRE))
        return false;
    poll(NULL, 0, LOOK_AGAIN_MS);
    return true;
}

static void *run(void *argument)
{
    struct gateway_offload *offload = argument;

    confine_thread(CONFINE_OFFLOAD);
    while (!__atomic_load_n(&offload->stop, __ATOMIC_ACQUIRE)) {
        if (gateway_wait_for_orders(offload->gateway, PULSE_EVERY_MS) < 0)
            break;
        do {
            pulse_beat(offload->pulse);
        } while (serve(offload));
    }
    return NULL;
}

static bool begin(struct gateway *gateway, uint32_t sessions)
{
    bool fine = nat_offload_init(gateway_lock(gateway), sessions, gateway->config.offload_after);

    gateway_unlock(gateway);
    return fine;
}

static int open_orders(struct gateway *gateway, struct error *error)
{
    gateway->orders = eventfd(0, EFD_CLOEXEC);
    if (gateway->orders >= 0)
        return 0;
    error_set(error, "offload: cannot create an eventfd: %s", strerror(errno));
    return -errno;
}

static int start_thread(struct gateway_offload *offload, struct error *error)
{
    int result;

    offload->pulse = pulses_add(&offload->gateway->pulses, "the thread of the offload");
    result = thread_start(&offload->thread, run, offload);
    if (result < 0)
        error_set(error, "offload: cannot start its thread: %s", strerror(-result));
    return result;
}

/* Frees everything. The thread has ended, or was never started. */
static void free_all(struct gateway_offload *offload)
{
    struct gateway *gateway = offload->gateway;

    offload_maps_close(offload->maps);
    if (gateway->orders >= 0)
        close(gateway->orders);
    gateway->orders = -1;
    pthread_mutex_destroy(&offload->lock);
    free(offload);
}

int gateway_offload_open(struct gateway_offload **out, struct gateway *gateway, uint32_t sessions,
                         struct error *error)
{
    struct gateway_offload *offload = calloc(1, sizeof(*offload));
    int result;

    if (offload == NULL) {
        error_set(error, "offload: not enough memory");
        return -ENOMEM;
    }
    offload->gateway = gateway;
    offload->first_queue = gateway->config.queue;
    pthread_mutex_init(&offload->lock, NULL);
    result = open_orders(gateway, error);
    if (result == 0)
        result = offload_maps_open(&offload->maps, gateway->ruleset, error);
    if (result == 0)
        result = start_thread(offload, error);
    if (result < 0) {
        free_all(offload);
        return result;
    }
    *out = offload;
    if (begin(gateway, sessions)) /* from here on there may be orders */
        return 0;
    error_set(error, "offload: not enough memory for %u sessions", sessions);
    return -ENOMEM; /* gateway_close ends the thread */
}

void gateway_offload_close(struct gateway_offload *offload)
{
    if (offload == NULL)
        return;
    __atomic_store_n(&offload->stop, true, __ATOMIC_RELEASE);
    __atomic_store_n(&offload->gateway->offload_is_awake, false, __ATOMIC_SEQ_CST);
    gateway_wake_offload(offload->gateway);
    pthread_join(offload->thread, NULL);
    free_all(offload);
}

/* Listings. */

struct listed {
    enum packet_hook hook;
    struct tuple tuple;
    uint64_t packets, bytes;
};

struct folding {
    struct gateway *gateway;
    bool recall; /* the counters are of an earlier run */
    size_t count;
    struct listed listed[FOLD_SLICE];
};

static void fold_slice(struct folding *folding)
{
    uint64_t now = gateway_now();
    struct nat *nat = gateway_lock(folding->gateway);

    for (size_t i = 0; i < folding->count; i++) {
        const struct listed *one = &folding->listed[i];

        if (folding->recall && one->packets > 0)
            nat_offload_recall(nat, &one->tuple, now);
        else if (!folding->recall)
            nat_offload_fold(nat, one->hook, &one->tuple, one->packets, one->bytes, now);
    }
    gateway_unlock(folding->gateway);
    folding->count = 0;
}

static void take_listed(void *context, enum packet_hook hook, const struct tuple *tuple,
                        uint64_t packets, uint64_t bytes)
{
    struct folding *folding = context;

    folding->listed[folding->count++] = (struct listed){hook, *tuple, packets, bytes};
    if (folding->count == FOLD_SLICE)
        fold_slice(folding);
}

void gateway_offload_fold(struct gateway_offload *offload)
{
    struct folding folding = {.recall = false};
    int result;

    if (offload == NULL)
        return;
    folding.gateway = offload->gateway;
    pthread_mutex_lock(&offload->lock);
    result = offload_maps_list(offload->maps, take_listed, &folding);
    fold_slice(&folding);
    pthread_mutex_unlock(&offload->lock);
    if (result < 0 && result != -ENOENT)
        log_error("offload: cannot list the kernel's maps: %s", strerror(-result));
}

/* Nothing enters or leaves the maps meanwhile. Needs this module's lock. */
static uint32_t count_entries(struct gateway *gateway)
{
    uint32_t at = 0, count = 0;

    while (at != UINT32_MAX) {
        count += nat_offload_in_kernel(gateway_lock(gateway), &at, GATEWAY_BUDGET * 8);
        gateway_unlock(gateway);
    }
    return count;
}

int gateway_offload_check(struct gateway_offload *offload)
{
    uint32_t elements[2], entries;
    int result;

    if (offload == NULL)
        return -ENOENT;
    pthread_mutex_lock(&offload->lock);
    result = offload_maps_count(offload->maps, elements);
    if (result == 0) {
        entries = count_entries(offload->gateway);
        nat_check_kernel(gateway_lock(offload->gateway), entries, elements);
        gateway_unlock(offload->gateway);
    }
    pthread_mutex_unlock(&offload->lock);
    return result;
}

void gateway_offload_recall(struct gateway *gateway)
{
    struct folding folding = {.gateway = gateway, .recall = true};
    struct offload_maps *maps;
    struct error error = {0};

    if (offload_maps_open(&maps, gateway->ruleset, &error) < 0) {
        log_error("%s", error.text);
        return;
    }
    (void)offload_maps_list(maps, take_listed, &folding); /* in most cases there are no maps */
    fold_slice(&folding);
    offload_maps_close(maps);
}

void gateway_offload_flush(struct gateway_offload *offload)
{
    bool more = offload != NULL;

    while (more) {
        pthread_mutex_lock(&offload->lock);
        (void)carry_out(offload);
        more = nat_offload_has_removals(gateway_lock(offload->gateway));
        gateway_unlock(offload->gateway);
        pthread_mutex_unlock(&offload->lock);
    }
}

void gateway_offload_pause(struct gateway_offload *offload)
{
    if (offload != NULL)
        pthread_mutex_lock(&offload->lock);
}

void gateway_offload_resume(struct gateway_offload *offload, bool emptied)
{
    if (offload == NULL)
        return;
    if (emptied) {
        nat_offload_forget(gateway_lock(offload->gateway));
        gateway_unlock(offload->gateway);
    }
    pthread_mutex_unlock(&offload->lock);
}
