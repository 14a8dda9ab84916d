/*
 * status.c - the answer to `status`
 */
#include "status.h"

#include "json.h"
#include "portreeve/log.h"
#include "portreeve/upgrade.h"
#include "portreeve/watchdog.h"

#include <string.h>
#include <unistd.h>

/* Those of one uplink; NAT_UPLINKS_MAX: of all. */
static json_t *json_addresses(const struct gateway_status *status, uint8_t uplink)
{
    json_t *addresses = json_array();

    for (size_t i = 0; i < status->external_count; i++) {
        if (uplink == NAT_UPLINKS_MAX || status->external_uplink[i] == uplink)
            json_array_append_new(addresses, json_address(&status->external[i]));
    }
    return addresses;
}

static json_t *json_external(const struct gateway *gateway, const struct gateway_status *status)
{
    const struct config *config = gateway_config(gateway);
    json_t *all = json_addresses(status, NAT_UPLINKS_MAX), *uplinks = json_array();

    for (uint8_t i = 0; i < config->external_count; i++)
        json_array_append_new(uplinks,
                              json_pack("{s:o,s:o}", "interface", json_text(config->external[i]),
                                        "addresses", json_addresses(status, i)));
    return json_pack("{s:o,s:o,s:o}", "interface", json_text(config->external[0]), "addresses", all,
                     "uplinks", uplinks);
}

static json_t *json_sessions(const struct gateway_status *status)
{
    json_t *closed = json_object();

    for (int reason = CLOSE_NONE + 1; reason < CLOSE_REASON_COUNT; reason++)
        json_object_set_new(closed, close_reason_name((enum close_reason)reason),
                            json_integer((json_int_t)status->nat.counters.closed[reason]));
    return json_pack(
        "{s:I,s:I,s:I,s:I,s:o,s:{s:I,s:I,s:I}}", "live", (json_int_t)status->nat.sessions, "limit",
        (json_int_t)status->nat.sessions_max, "opened", (json_int_t)status->nat.counters.opened,
        "adopted", (json_int_t)status->nat.counters.adopted, "closed", closed, "from_outside",
        "live", (json_int_t)status->nat.outside, "limit", (json_int_t)status->nat.outside_max,
        "limit_of_one", (json_int_t)status->nat.remote_max);
}

/* Counting the ports of a pool takes microseconds, so the lock is released between shares. */
static json_t *json_pool(struct gateway *gateway, uint16_t share)
{
    uint32_t used[PROTOCOL_COUNT], size[PROTOCOL_COUNT];
    struct nat *nat = gateway_lock(gateway);
    uint64_t now = gateway_now();
    json_t *pool;

    for (enum protocol_index i = 0; i < PROTOCOL_COUNT; i++)
        nat_pool_use(nat, share, protocol_table[i].number, now, &used[i], &size[i]);
    gateway_unlock(gateway);
    pool = json_object();
    for (enum protocol_index i = 0; i < PROTOCOL_COUNT; i++)
        json_object_set_new(
            pool, protocol_table[i].name,
            json_pack("{s:I,s:I}", "used", (json_int_t)used[i], "size", (json_int_t)size[i]));
    return pool;
}

static json_t *json_shares(struct gateway *gateway)
{
    const struct policy *policy = gateway_policy(gateway);
    json_t *shares = json_array();

    for (size_t i = 0; i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);
        json_t *ports = json_array();

        for (size_t n = 0; n < share->ports_count; n++)
            json_array_append_new(ports, json_port_range(&share->ports[n]));
        json_array_append_new(
            shares, json_pack("{s:o,s:o,s:o,s:s,s:o}", "name", json_text(share->name), "source",
                              json_prefixes(share->source, share->source_count), "ports", ports,
                              "filtering", filtering_name(share->filtering), "pool",
                              json_pool(gateway, (uint16_t)i)));
    }
    return shares;
}

static json_t *json_direction(const struct gateway_status *status, enum packet_hook hook)
{
    return json_pack("{s:I,s:I,s:I,s:I}", "packets", (json_int_t)status->nat.counters.packets[hook],
                     "bytes", (json_int_t)status->nat.counters.bytes[hook], "packets_per_second",
                     (json_int_t)status->packet_rate[hook], "bytes_per_second",
                     (json_int_t)status->byte_rate[hook]);
}

static json_t *json_traffic(const struct gateway_status *status)
{
    return json_pack("{s:o,s:o,s:I}", "in", json_direction(status, HOOK_INBOUND), "out",
                     json_direction(status, HOOK_OUTBOUND), "unchanged",
                     (json_int_t)status->nat.counters.unchanged);
}

/* Every reason is listed, so that scripts see zeros. */
static json_t *json_drops(const struct gateway_status *status)
{
    json_t *drops = json_object();

    for (int reason = DROP_NONE + 1; reason < DROP_REASON_COUNT; reason++)
        json_object_set_new(drops, drop_reason_name((enum drop_reason)reason),
                            json_integer((json_int_t)status->nat.counters.dropped[reason]));
    return drops;
}

static json_t *json_queues(const struct gateway_status *status)
{
    json_t *queues = json_array();

    for (uint16_t i = 0; i < status->queue_count; i++) {
        const struct queue_statistics *queue = &status->queue[i].statistics;
        int number = status->queue[i].number;

        if (status->queue[i].error != 0)
            json_array_append_new(queues, json_pack("{s:i,s:n,s:n,s:n,s:s}", "number", number,
                                                    "waiting", "dropped_full", "dropped_user",
                                                    "error", strerror(-status->queue[i].error)));
        else
            json_array_append_new(queues,
                                  json_pack("{s:i,s:I,s:I,s:I}", "number", number, "waiting",
                                            (json_int_t)queue->waiting, "dropped_full",
                                            (json_int_t)queue->dropped_full, "dropped_user",
                                            (json_int_t)queue->dropped_user));
    }
    return queues;
}

static json_t *json_kernel(const struct gateway_status *status)
{
    return json_pack("{s:s?,s:s?,s:b}", "queue_expression", status->queue_expression,
                     "defragmentation", status->defrag_expression, "own_connections_first",
                     status->asks_sockets);
}

static json_t *json_offload(const struct gateway_status *status)
{
    const struct offload_counters *counters = &status->nat.offload;

    return json_pack(
        "{s:s,s:I,s:I,s:I,s:o,s:o,s:I,s:I,s:I,s:I}", "mode", status->offload ? "on" : "off",
        "sessions", (json_int_t)status->nat.offloaded, "limit",
        (json_int_t)status->nat.offloaded_max, "memory", (json_int_t)status->nat.offload_memory,
        "packets",
        json_both_ways(status->offload_packets[HOOK_OUTBOUND],
                       status->offload_packets[HOOK_INBOUND]),
        "bytes",
        json_both_ways(status->offload_bytes[HOOK_OUTBOUND], status->offload_bytes[HOOK_INBOUND]),
        "added", (json_int_t)counters->added, "removed", (json_int_t)counters->removed, "refused",
        (json_int_t)counters->refused, "full", (json_int_t)counters->full);
}

static json_t *json_warnings(const struct gateway_status *status)
{
    json_t *warnings = json_array();

    if (upgrade_problem() != NULL)
        json_array_append_new(warnings, json_text(upgrade_problem()));
    for (uint32_t i = 0; i < status->warnings; i++)
        json_array_append_new(warnings, json_text(status->warning[i]));
    for (size_t i = 0; i < status->notices; i++)
        json_array_append_new(warnings, json_text(status->notice[i].text));
    return warnings;
}

static json_t *json_notices(const struct gateway_status *status)
{
    json_t *notices = json_array();

    for (size_t i = 0; i < status->notices; i++)
        json_array_append_new(notices, json_pack("{s:s,s:o,s:o}", "name", status->notice[i].name,
                                                 "text", json_text(status->notice[i].text), "since",
                                                 json_time(status->notice[i].since)));
    return notices;
}

static json_t *json_health(const struct gateway_status *status)
{
    json_t *threads = json_array();
    bool fine = true;

    for (size_t i = 0; i < status->threads; i++) {
        const struct gateway_thread *thread = &status->thread[i];

        fine = fine && !thread->is_still;
        json_array_append_new(threads, json_pack("{s:o,s:f}", "name", json_text(thread->name),
                                                 "still", (double)thread->still_ms / 1000));
    }
    return json_pack("{s:b,s:o,s:o,s:I}", "fine", fine, "threads", threads, "watchdog",
                     watchdog_period_ms() > 0 ? json_real((double)watchdog_period_ms() / 1000)
                                              : json_null(),
                     "log_lines_lost", (json_int_t)log_lost());
}

json_t *status_json(struct gateway *gateway)
{
    struct gateway_status status;

    gateway_read_status(gateway, &status);
    return json_pack(
        "{s:s,s:I,s:o,s:f,s:o,s:o,s:{s:I,s:I},s:I,s:I,s:o,s:o,s:o,s:I,s:o,s:o,s:o,s:I,s:o,s:o,s:o,"
        "s:o}",
        "version", PORTREEVE_VERSION, "pid", (json_int_t)getpid(), "started",
        json_time(status.started), "uptime", (double)status.uptime_ms / 1000, "external",
        json_external(gateway, &status), "sessions", json_sessions(&status), "mappings", "live",
        (json_int_t)status.nat.mappings, "overloaded", (json_int_t)status.nat.counters.overloaded,
        "hosts", (json_int_t)status.nat.hosts, "memory", (json_int_t)status.memory, "shares",
        json_shares(gateway), "traffic", json_traffic(&status), "drops", json_drops(&status),
        "refusals_sent", (json_int_t)status.nat.counters.refusals_sent, "queues",
        json_queues(&status), "kernel", json_kernel(&status), "offload", json_offload(&status),
        "workers", (json_int_t)status.workers, "warnings", json_warnings(&status), "notices",
        json_notices(&status), "health", json_health(&status), "upgrade_problem",
        upgrade_problem() != NULL ? json_text(upgrade_problem()) : json_null());
}
