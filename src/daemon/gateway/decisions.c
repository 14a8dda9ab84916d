/*
 * decisions.c - for the log at level debug: what the translator has decided
 *
 * The main thread reads what the translator has noted anyway, so packets do not wait for the log.
 */
#include "decisions.h"

#include "portreeve/log.h"
#include "portreeve/refusals.h"
#include "portreeve/text.h"

#include <stdlib.h>

/* Events that are copied while the lock is held. */
#define SLICE 32
/* Of the events of a second; the others are counted. */
#define MOST 1024

static void log_event(const struct event *event)
{
    const struct session_view *session = &event->session;
    char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX], external[ENDPOINT_TEXT_MAX];
    const char *outcome = event_outcome_name(event);

    log_debug("session %llu %s%s%s: %s %s %s -> %s, external %s%s%s%s%s",
              (unsigned long long)session->id, event_type_name(event->type),
              outcome != NULL ? " as " : "", outcome != NULL ? outcome : "",
              direction_name(session->direction), protocol_name(session->protocol),
              text_format_endpoint(session_initiator(session), from),
              text_format_endpoint(session_responder(session), to),
              text_format_endpoint(&session->external, external),
              session->share[0] != '\0' ? ", share " : "", session->share,
              session->forward[0] != '\0' ? ", forward " : "", session->forward);
}

static void log_events(struct gateway *gateway)
{
    struct event event[SLICE];
    uint64_t lost, all_lost = 0;
    size_t count, logged = 0;
    bool behind = true;

    while (behind && logged < MOST) {
        count = nat_read_events(gateway_lock(gateway), &gateway->logged_event, event, SLICE, &lost,
                                &behind);
        gateway_unlock(gateway);
        all_lost += lost;
        for (size_t i = 0; i < count; i++)
            log_event(&event[i]);
        logged += count;
    }
    if (all_lost > 0)
        log_debug("%llu events of sessions are not in the log: they came too fast",
                  (unsigned long long)all_lost);
}

static void log_refusal(const struct refusal *refusal)
{
    char from[ADDRESS_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

    log_debug("dropped as %s: %s %s -> %s, %u packets so far",
              drop_reason_name((enum drop_reason)refusal->reason), protocol_name(refusal->protocol),
              text_format_address(&refusal->from, from), text_format_endpoint(&refusal->to, to),
              (unsigned)refusal->count);
}

static void log_refusals(struct gateway *gateway, uint64_t now)
{
    struct refusal *refusals = malloc(REFUSALS_MAX * sizeof(*refusals));
    uint64_t others;
    size_t count = 0;

    if (refusals != NULL) {
        count = nat_refusals(gateway_lock(gateway), refusals, &others);
        gateway_unlock(gateway);
    }
    for (size_t i = 0; i < count; i++) {
        if (refusals[i].last >= gateway->logged_until)
            log_refusal(&refusals[i]);
    }
    free(refusals);
    gateway->logged_until = now;
}

void gateway_log_decisions(struct gateway *gateway)
{
    uint64_t now = gateway_now();

    if (gateway->config.log.level != LOG_LEVEL_DEBUG) {
        gateway->logged_event = nat_next_event(gateway_lock(gateway));
        gateway_unlock(gateway);
        gateway->logged_until = now;
        return;
    }
    log_events(gateway);
    log_refusals(gateway, now);
}
