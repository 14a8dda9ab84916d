/*
 * event_internal.h - publishing events, for the core alone
 */
#ifndef NAT_EVENT_INTERNAL_H
#define NAT_EVENT_INTERNAL_H

#include "portreeve/nat.h"

/* Of the session in this slot, as it is now. */
void event_publish(struct nat *nat, enum event_type type, enum close_reason reason, uint32_t slot,
                   uint64_t now);

#endif
