/*
 * event.c - the ring of events, and the words for them
 */
#include "nat_internal.h"

const char *event_type_name(enum event_type type)
{
    static const char *const names[] = {"opened", "established", "closed"};

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

void event_publish(struct nat *nat, enum event_type type, enum close_reason reason, uint32_t slot,
                   uint64_t now)
{
    struct event *event = &nat->events.event[nat->events.next % EVENT_RING];

    event->sequence = nat->events.next++;
    event->time = now;
    event->type = type;
    event->reason = reason;
    nat_view(nat, slot, now, &event->session);
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
