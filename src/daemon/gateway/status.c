/*
 * status.c - the state of the gateway: numbers, rates, and warnings for the administrator
 */
#include "status.h"

#include "health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* If the listing fails, the last numbers stay. */
static void read_hits(struct gateway *gateway)
{
    struct ruleset_hits hits;

    if (ruleset_read_hits(gateway->ruleset, &hits) == 0)
        gateway->hits = hits;
}

static uint64_t offloaded_packets(const struct gateway *gateway, int hook)
{
    return gateway->former_hits.packets[hook] + gateway->hits.packets[hook];
}

static uint64_t offloaded_bytes(const struct gateway *gateway, int hook)
{
    return gateway->former_hits.bytes[hook] + gateway->hits.bytes[hook];
}

void gateway_begin_hits(struct gateway *gateway)
{
    for (int hook = 0; hook < 2; hook++) {
        gateway->former_hits.packets[hook] += gateway->hits.packets[hook];
        gateway->former_hits.bytes[hook] += gateway->hits.bytes[hook];
    }
    gateway->former_hits.dropped += gateway->hits.dropped;
    gateway->former_hits.forged += gateway->hits.forged;
    gateway->former_hits.closed += gateway->hits.closed;
    gateway->former_hits.refused += gateway->hits.refused;
    gateway->former_hits.limited += gateway->hits.limited;
    gateway->hits = (struct ruleset_hits){0};
}

void gateway_measure_rates(struct gateway *gateway)
{
    struct rate_sample *sample = &gateway->sample[gateway->sample_next];
    struct nat_summary nat;

    if (gateway->offload != NULL)
        read_hits(gateway);
    nat_summarize(gateway_lock(gateway), &nat);
    gateway_unlock(gateway);
    for (int hook = 0; hook < 2; hook++) {
        sample->packets[hook] = nat.counters.packets[hook] + offloaded_packets(gateway, hook);
        sample->bytes[hook] = nat.counters.bytes[hook] + offloaded_bytes(gateway, hook);
    }
    sample->time = gateway_now();
    gateway->sample_next = (gateway->sample_next + 1) % (RATE_SECONDS + 1);
}

static void read_rates(const struct gateway *gateway, struct gateway_status *status)
{
    const struct rate_sample *newest =
        &gateway->sample[(gateway->sample_next + RATE_SECONDS) % (RATE_SECONDS + 1)];
    const struct rate_sample *oldest = &gateway->sample[gateway->sample_next];
    uint64_t elapsed;

    if (oldest->time == 0) /* the ring is not full yet */
        oldest = &gateway->sample[0];
    elapsed = newest->time - oldest->time;
    for (int hook = 0; hook < 2 && elapsed > 0; hook++) {
        status->packet_rate[hook] =
            (newest->packets[hook] - oldest->packets[hook]) * 1000 / elapsed;
        status->byte_rate[hook] = (newest->bytes[hook] - oldest->bytes[hook]) * 1000 / elapsed;
    }
}

static void add_warning(struct gateway_status *status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_warning(struct gateway_status *status, const char *format, ...)
{
    const size_t max = sizeof(status->warning) / sizeof(status->warning[0]);
    va_list arguments;

    if (status->warnings >= max)
        return;
    va_start(arguments, format);
    vsnprintf(status->warning[status->warnings++], sizeof(status->warning[0]), format, arguments);
    va_end(arguments);
}

static void find_queue_warnings(struct gateway_status *status)
{
    for (uint16_t i = 0; i < status->queue_count; i++) {
        const struct gateway_queue *queue = &status->queue[i];
        uint64_t dropped = queue->statistics.dropped_full + queue->statistics.dropped_user;

        if (queue->error != 0)
            add_warning(status, "queue %u: cannot read its statistics: %s", queue->number,
                        strerror(-queue->error));
        else if (dropped > 0)
            add_warning(
                status,
                "the kernel has dropped %llu packets because queue %u or its socket was full",
                (unsigned long long)dropped, queue->number);
    }
}

static void find_warnings(const struct gateway *gateway, struct gateway_status *status)
{
    if (status->nat.offload.refused > 0)
        add_warning(status,
                    "the kernel could not take %llu sessions for offload: their packets go through "
                    "the queue",
                    (unsigned long long)status->nat.offload.refused);
    if (gateway->rules_restored > 0)
        add_warning(status,
                    "another program has changed our nf_tables rules %u times; they were restored",
                    gateway->rules_restored);
    find_queue_warnings(status);
}

/* Adds what the kernel alone has rewritten or dropped. */
static void add_hits(struct gateway *gateway, struct gateway_status *status)
{
    read_hits(gateway);
    status->nat.counters.dropped[DROP_NO_EXTERNAL_ADDRESS] +=
        gateway->former_hits.dropped + gateway->hits.dropped;
    status->nat.counters.dropped[DROP_SPOOFED_SOURCE] +=
        gateway->former_hits.forged + gateway->hits.forged;
    status->nat.counters.dropped[DROP_FLOWTABLE] +=
        gateway->former_hits.closed + gateway->hits.closed;
    status->nat.counters.dropped[DROP_CLOSED_SHARE] +=
        gateway->former_hits.refused + gateway->hits.refused;
    status->nat.counters.dropped[DROP_REMOTE_RATE] +=
        gateway->former_hits.limited + gateway->hits.limited;
    for (int hook = 0; hook < 2; hook++) {
        status->offload_packets[hook] = offloaded_packets(gateway, hook);
        status->offload_bytes[hook] = offloaded_bytes(gateway, hook);
        status->nat.counters.packets[hook] += status->offload_packets[hook];
        status->nat.counters.bytes[hook] += status->offload_bytes[hook];
    }
}

static void read_queue(uint16_t number, struct gateway_status *status)
{
    struct gateway_queue *queue = &status->queue[status->queue_count++];

    queue->number = number;
    queue->error = queue_read_statistics(number, &queue->statistics);
}

/* Each worker has two queue numbers, those of newcomers have one (queue.h). */
static void read_queues(const struct gateway *gateway, struct gateway_status *status)
{
    const uint16_t first = gateway->config.queue;

    for (uint16_t i = 0; i < gateway->worker_count; i++)
        read_queue((uint16_t)(first + i), status);
    for (uint16_t i = 0; i < gateway->worker_count; i++)
        read_queue((uint16_t)(queue_first_udp(first) + i), status);
    for (int kind = 0; kind < NEWCOMERS_KINDS; kind++)
        read_queue(queue_of_newcomers(first, (enum newcomers)kind), status);
}

/* What rests is not the gateway's now. */
static void add_external(const struct gateway *gateway, struct gateway_status *status)
{
    for (uint8_t n = 0; n < gateway->config.external_count; n++) {
        const struct uplink_usage *usage = &gateway->uplink[n];

        for (size_t i = 0; i < usage->count - usage->resting; i++) {
            status->external[status->external_count] = usage->address[i];
            status->external_uplink[status->external_count++] = n;
        }
    }
}

void gateway_read_status(struct gateway *gateway, struct gateway_status *status)
{
    const struct nat *nat;

    memset(status, 0, sizeof(*status));
    status->started = gateway->started;
    status->uptime_ms = gateway_now() - gateway->started_ms;
    add_external(gateway, status);
    nat = gateway_lock(gateway);
    nat_summarize(nat, &status->nat);
    status->memory = nat_memory(nat);
    status->offload = gateway->offload != NULL;
    gateway_unlock(gateway);
    add_hits(gateway, status);
    read_rates(gateway, status);
    status->workers = gateway->worker_count;
    read_queues(gateway, status);
    status->queue_expression = ruleset_queue_expression(gateway->ruleset);
    status->defrag_expression = ruleset_defrag_expression(gateway->ruleset);
    status->asks_sockets = ruleset_asks_sockets(gateway->ruleset);
    find_warnings(gateway, status);
    memcpy(status->notice, gateway->notices.list, sizeof(status->notice));
    status->notices = gateway->notices.count;
    gateway_read_health(gateway, status);
}
