/*
 * event_internal.h - the ring of events, and publishing them
 */
#ifndef NAT_EVENT_INTERNAL_H
#define NAT_EVENT_INTERNAL_H

#include "portreeve/event.h"

struct nat;

#define EVENT_RING 4096

struct event_ring {
    struct event *event; /* EVENT_RING of them */
    uint64_t next;       /* sequence of the next event */
};

/* Of the session in this slot, as it is now. */
void event_publish(struct nat *nat, enum event_type type, uint32_t slot, uint64_t now);

/* EVENT_ENDED: with the ICMP error that has told it (NULL: none), and how long that took. */
void event_publish_end(struct nat *nat, uint32_t slot, const struct icmp_report *icmp,
                       uint64_t waited_ms, uint64_t now);

/* EVENT_CLOSED */
void event_publish_close(struct nat *nat, uint32_t slot, enum close_reason reason, uint64_t now);

#endif
