/*
 * event.c - the ring of events, and the words for them
 */
#include "nat_internal.h"

const char *event_type_name(enum event_type type)
{
    static const char *const names[] = {"opened", "established", "ended", "closed"};

    return names[type];
}

const char *close_reason_name(enum close_reason reason)
{
    static const char *const names[CLOSE_REASON_COUNT] = {
        [CLOSE_NONE] = "none",       [CLOSE_EXPIRED] = "expired",     [CLOSE_KILLED] = "killed",
        [CLOSE_EVICTED] = "evicted", [CLOSE_RECLAIMED] = "reclaimed", [CLOSE_POLICY] = "policy",
        [CLOSE_ADDRESS] = "address", [CLOSE_REROUTED] = "rerouted",   [CLOSE_REPLACED] = "replaced",
    };

    return names[reason];
}

const char *event_outcome_name(const struct event *event)
{
    enum session_state state = event->session.state;
    bool unanswered = state == STATE_UNANSWERED || state == STATE_OPENING;

    if (event->session.outcome != OUTCOME_NONE)
        return outcome_name(event->session.outcome);
    if (event->type != EVENT_CLOSED)
        return NULL;
    return event->reason == CLOSE_EXPIRED && unanswered ? "unanswered"
                                                        : close_reason_name(event->reason);
}

/* The next event of the ring, about the session in this slot as it is now. */
static struct event *add(struct nat *nat, enum event_type type, uint32_t slot, uint64_t now)
{
    struct event *event = &nat->events.event[nat->events.next % EVENT_RING];

    event->sequence = nat->events.next++;
    event->time = now;
    event->type = type;
    event->reason = CLOSE_NONE;
    event->icmp = (struct icmp_report){.type = 0};
    event->waited_ms = 0;
    nat_view(nat, slot, now, &event->session);
    return event;
}

void event_publish(struct nat *nat, enum event_type type, uint32_t slot, uint64_t now)
{
    add(nat, type, slot, now);
}

void event_publish_end(struct nat *nat, uint32_t slot, const struct icmp_report *icmp,
                       uint64_t waited_ms, uint64_t now)
{
    struct event *event = add(nat, EVENT_ENDED, slot, now);

    event->waited_ms = waited_ms < UINT32_MAX ? (uint32_t)waited_ms : UINT32_MAX;
    if (icmp != NULL)
        event->icmp = *icmp;
}

void event_publish_close(struct nat *nat, uint32_t slot, enum close_reason reason, uint64_t now)
{
    add(nat, EVENT_CLOSED, slot, now)->reason = reason;
}

size_t nat_read_events(const struct nat *nat, uint64_t *from, struct event *out, size_t max,
                       uint64_t *lost, bool *behind)
{
    const struct event_ring *ring = &nat->events;
    uint64_t oldest = ring->next > EVENT_RING ? ring->next - EVENT_RING : 1;
    size_t count = 0;

    *lost = 0;
    if (*from < oldest) {
        *lost = oldest - *from;
        *from = oldest;
    }
    while (count < max && *from < ring->next)
        out[count++] = ring->event[(*from)++ % EVENT_RING];
    *behind = *from < ring->next;
    return count;
}

uint64_t nat_next_event(const struct nat *nat)
{
    return nat->events.next;
}
