/*
 * explain_target.c - what became of connections to a port of late, and of an attempt from this host
 */
#include "explain_target.h"

#include "portreeve/text.h"

#include <string.h>

static void count_lately(struct explaining *explaining, uint16_t external_port,
                         struct explain_seen *seen)
{
    struct gateway *gateway = explaining->gateway;
    uint32_t slots = policy_limits_const(gateway->active)->sessions;

    memset(seen, 0, sizeof(*seen));
    for (uint32_t from = 0; from < slots; from += GATEWAY_BUDGET) {
        nat_explain_seen(gateway_lock(gateway), explaining->request->protocol, external_port, from,
                         GATEWAY_BUDGET, gateway_now(), seen);
        gateway_end_step(gateway);
    }
}

static void add_seen(struct explaining *explaining, const struct explain_seen *seen)
{
    if (seen->tries > 0)
        explain_add(explaining, "seen", EXPLAIN_OK, EXPLAIN_HEALTHY,
                    "of the last 10 minutes the table has %u tries: %u established, %u refused, "
                    "%u unreachable, %u unanswered",
                    seen->tries, seen->established, seen->refused, seen->unreachable,
                    seen->unanswered);
    else
        explain_add(explaining, "seen", EXPLAIN_OK, EXPLAIN_HEALTHY,
                    "of the last 10 minutes the table has no try");
}

/* ---- what a probe from this host has found ---- */

static void judge_answer(struct explaining *explaining, const struct explain_seen *seen,
                         const char *target)
{
    if (seen->unanswered > 0 && seen->established == 0)
        explain_add(explaining, "target", EXPLAIN_FAIL, EXPLAIN_TARGET_ELSEWHERE,
                    "%s answers this host, but not the outside", target);
    else
        explain_add(explaining, "target", EXPLAIN_OK, EXPLAIN_HEALTHY, "%s answers this host",
                    target);
}

static void judge_silence(struct explaining *explaining, const struct explain_seen *seen,
                          const char *target)
{
    bool is_udp = explaining->request->protocol == PROTOCOL_UDP;

    if (seen->last_is_established)
        explain_add(explaining, "target", EXPLAIN_WARN, EXPLAIN_HEALTHY,
                    "%s does not answer this host, but the outside", target);
    else
        explain_add(explaining, "target", is_udp ? EXPLAIN_UNKNOWN : EXPLAIN_FAIL,
                    EXPLAIN_TARGET_SILENT, "%s does not answer this host%s", target,
                    is_udp ? "; a UDP service need not answer an empty datagram" : "");
}

static void judge_probe(struct explaining *explaining, const struct explain_seen *seen,
                        const char *target)
{
    switch (explaining->request->probe) {
    case EXPLAIN_PROBE_ANSWERED:
        judge_answer(explaining, seen, target);
        break;
    case EXPLAIN_PROBE_REFUSED:
        explain_add(explaining, "target", EXPLAIN_FAIL, EXPLAIN_TARGET_REFUSES,
                    "%s refuses this host", target);
        break;
    case EXPLAIN_PROBE_SILENT:
        judge_silence(explaining, seen, target);
        break;
    default: /* the host does answer ARP, or the step before would have failed */
        explain_add(explaining, "target", EXPLAIN_FAIL, EXPLAIN_TARGET_SILENT,
                    "%s, or a router before it, answers 'unreachable' to this host", target);
    }
}

/* ---- what the last callers have met ---- */

static void judge_seen(struct explaining *explaining, const struct explain_seen *seen,
                       const char *target)
{
    if (seen->last_is_established) {
        explain_add(explaining, "target", EXPLAIN_OK, EXPLAIN_HEALTHY,
                    "%s has answered the last caller", target);
    } else if (seen->last_is_refused) {
        explain_add(explaining, "target", EXPLAIN_FAIL, EXPLAIN_TARGET_REFUSES,
                    "%s has refused the last caller", target);
    } else if (seen->last_is_unreachable) {
        explain_add(explaining, "target", EXPLAIN_UNKNOWN, EXPLAIN_NEIGHBOUR_FAILS,
                    "%s could not be reached for the last caller", target);
    } else if (seen->unanswered > 0) {
        explain_add(explaining, "target", EXPLAIN_UNKNOWN, EXPLAIN_TARGET_SILENT,
                    "%s has not answered the last callers: ask it with --probe", target);
        explain_add(explaining, "target", EXPLAIN_UNKNOWN, EXPLAIN_TARGET_ELSEWHERE,
                    "or its answers do not come back to this host");
    } else {
        explain_add(explaining, "target", EXPLAIN_UNKNOWN, EXPLAIN_HEALTHY,
                    "whether %s answers is not known: ask it with --probe", target);
    }
}

void explain_target(struct explaining *explaining, uint16_t external_port)
{
    char target[ENDPOINT_TEXT_MAX];
    struct explain_seen seen;

    text_format_endpoint(&explaining->to, target);
    count_lately(explaining, external_port, &seen);
    add_seen(explaining, &seen);
    if (explain_has_failed(explaining))
        return;
    if (explaining->request->probe != EXPLAIN_PROBE_NONE)
        judge_probe(explaining, &seen, target);
    else
        judge_seen(explaining, &seen, target);
}
