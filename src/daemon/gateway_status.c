/*
 * gateway_status.c - how it goes: numbers, rates, and what an admin should look at
 */
#include "gateway_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void gateway_measure_rates(struct gateway *gateway)
{
    struct rate_sample *sample = &gateway->sample[gateway->sample_next];
    const struct nat *nat = gateway_lock(gateway);

    memcpy(sample->packets, nat->counters.packets, sizeof(sample->packets));
    memcpy(sample->bytes, nat->counters.bytes, sizeof(sample->bytes));
    gateway_unlock(gateway);
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
        status->packet_rate[hook] = (newest->packets[hook] - oldest->packets[hook]) * 1000 / elapsed;
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

/* True when the host forwards IPv4, or when nobody can tell. */
static bool host_forwards(void)
{
    char value = '1';
    int file = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY | O_CLOEXEC);

    if (file >= 0) {
        if (read(file, &value, 1) != 1)
            value = '1';
        close(file);
    }
    return value != '0';
}

static void find_warnings(const struct gateway *gateway, struct gateway_status *status)
{
    if (gateway->address_problem.text[0] != '\0')
        add_warning(status, "%.250s", gateway->address_problem.text);
    if (!host_forwards())
        add_warning(status, "the host does not forward IPv4: sysctl net.ipv4.ip_forward=1");
    if (status->sessions >= status->sessions_max / 5 * 4)
        add_warning(status, "the table is %u %% full: [limits] sessions",
                    (unsigned)((uint64_t)status->sessions * 100 / status->sessions_max));
    if (gateway->rules_restored > 0)
        add_warning(status, "another program has removed our nf_tables rules %u times; they were restored",
                    gateway->rules_restored);
    for (uint16_t i = 0; i < status->workers; i++) {
        unsigned number = (unsigned)gateway->config.queue + i;

        if (status->queue_error[i] != 0)
            add_warning(status, "queue %u: %s", number, strerror(-status->queue_error[i]));
        else if (status->queue[i].dropped_full + status->queue[i].dropped_user > 0)
            add_warning(status, "the kernel has dropped %llu packets before queue %u could take them",
                        (unsigned long long)(status->queue[i].dropped_full + status->queue[i].dropped_user),
                        number);
    }
}

void gateway_read_status(struct gateway *gateway, struct gateway_status *status)
{
    const struct nat *nat;

    memset(status, 0, sizeof(*status));
    status->started = gateway->started;
    status->uptime_ms = gateway_now() - gateway->started_ms;
    memcpy(status->external, gateway->external, sizeof(status->external));
    status->external_count = gateway->external_count;
    nat = gateway_lock(gateway);
    status->sessions = nat->table.live;
    status->sessions_max = nat->table.capacity;
    status->mappings = nat->table.mappings_live;
    status->hosts = nat->table.hosts_live;
    status->memory = nat_memory(nat);
    status->counters = nat->counters;
    gateway_unlock(gateway);
    read_rates(gateway, status);
    status->workers = gateway->worker_count;
    for (uint16_t i = 0; i < gateway->worker_count; i++)
        status->queue_error[i] =
            queue_read_statistics((uint16_t)(gateway->config.queue + i), &status->queue[i]);
    status->queue_expression = ruleset_queue_expression(gateway->ruleset);
    status->defrag_expression = ruleset_defrag_expression(gateway->ruleset);
    find_warnings(gateway, status);
}
