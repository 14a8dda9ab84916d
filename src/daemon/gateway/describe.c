/*
 * describe.c - the configuration in effect, for the log at level debug
 */
#include "describe.h"

#include "portreeve/log.h"
#include "portreeve/text.h"

#include <stdio.h>
#include <string.h>

/* The log must not grow with the configuration, which may have 65535 forwards. */
#define FORWARDS_SHOWN 64
#define SOURCES_SHOWN  4

/* A few prefixes and how many more there are, or "any". */
#define PREFIXES_TEXT_MAX (SOURCES_SHOWN * (PREFIX_TEXT_MAX + 2) + 32)

static const char *format_prefixes(const struct prefix *prefixes, size_t count,
                                   char text[PREFIXES_TEXT_MAX])
{
    char prefix[PREFIX_TEXT_MAX], *end = text;

    strcpy(text, "any");
    for (size_t i = 0; i < count && i < SOURCES_SHOWN; i++)
        end += sprintf(end, "%s%s", i > 0 ? ", " : "", text_format_prefix(&prefixes[i], prefix));
    if (count > SOURCES_SHOWN)
        sprintf(end, " and %zu more", count - SOURCES_SHOWN);
    return text;
}

static void describe_settings(const struct gateway *gateway)
{
    static const char *const offload[] = {
        [OFFLOAD_AUTO] = "auto", [OFFLOAD_ON] = "on", [OFFLOAD_OFF] = "off"};
    const struct config *config = &gateway->config;
    const struct limits *limits = policy_limits_const(gateway->active);

    for (size_t i = 0; i < config->external_count; i++)
        log_debug("uplink %zu: external interface %s", i, config->external[i]);
    log_debug("hairpin mark 0x%x, queues %u to %u, offload %s after %u packets",
              config->hairpin_mark, config->queue, config->queue + gateway->worker_count - 1u,
              offload[config->offload], config->offload_after);
    log_debug("limits: sessions %u, sessions-per-host %u, mappings-per-host %u%s, "
              "new-sessions-per-host %u, sessions-from-outside %u, sessions-per-remote %u, "
              "new-sessions-per-remote %u (0: off)",
              limits->sessions, limits->sessions_per_host, limits->mappings_per_host,
              limits->mappings_auto ? " (auto)" : "", limits->new_sessions_per_host,
              limits->sessions_from_outside, limits->sessions_per_remote,
              limits->new_sessions_per_remote);
}

static void describe_timeouts(const struct policy *policy)
{
    const struct timeouts *timeouts = policy_timeouts_const(policy);

    log_debug("timeouts in seconds: udp %u, tcp-established %u, tcp-transitory %u, tcp-opening %u, "
              "tcp-closing %u (0: as tcp-transitory), icmp %u, port-hold %u, "
              "address-hold %u, stop-hold %u",
              timeouts->udp, timeouts->tcp_established, timeouts->tcp_transitory,
              timeouts->tcp_opening, timeouts->tcp_closing, timeouts->icmp, timeouts->port_hold,
              timeouts->address_hold, timeouts->stop_hold);
    for (uint32_t i = 0; i < timeouts->port_count; i++)
        log_debug("timeout of %s port %u: %u seconds",
                  protocol_table[protocol_index(timeouts->port[i].protocol)].name,
                  timeouts->port[i].port, timeouts->port[i].seconds);
}

static void describe_share(const struct policy *policy, uint16_t index)
{
    const struct share *share = policy_share(policy, index);
    char sources[PREFIXES_TEXT_MAX];

    log_debug("share '%s': source %s, free ports in the pool: tcp %u, udp %u, icmp %u; filtering "
              "tcp %s, udp %s; closed %s",
              share->name, format_prefixes(share->source, share->source_count, sources),
              policy_pool(policy, index, PROTOCOL_TCP)->size,
              policy_pool(policy, index, PROTOCOL_UDP)->size,
              policy_pool(policy, index, PROTOCOL_ICMP)->size,
              filtering_name(share_filtering(share, PROTOCOL_TCP)),
              filtering_name(share_filtering(share, PROTOCOL_UDP)), share->open ? "off" : "on");
}

static void describe_forward(const struct forward *forward)
{
    char protocols[PROTOCOLS_TEXT_MAX], target[ENDPOINT_TEXT_MAX], allow[PREFIXES_TEXT_MAX];

    log_debug("forward '%s' (%s): listen %u-%u/%s, to %s, allow %s", forward->name,
              forward->runtime ? "run-time" : "configuration", forward->listen.first,
              forward->listen.last, text_format_protocols(forward->protocols, protocols),
              text_format_endpoint(&forward->target[0], target),
              format_prefixes(forward->allow, forward->allow_count, allow));
}

void gateway_describe(const struct gateway *gateway)
{
    const struct policy *policy = gateway->active;
    size_t forwards = policy_forward_count(policy);

    describe_settings(gateway);
    describe_timeouts(policy);
    for (size_t i = 0; i < policy_share_count(policy); i++)
        describe_share(policy, (uint16_t)i);
    for (size_t i = 0; i < forwards && i < FORWARDS_SHOWN; i++)
        describe_forward(policy_forward(policy, i));
    if (forwards > FORWARDS_SHOWN)
        log_debug("and %zu more forwards", forwards - FORWARDS_SHOWN);
}
