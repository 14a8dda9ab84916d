/*
 * events.h - clients that follow events
 */
#ifndef PORTREEVE_CONTROL_EVENTS_H
#define PORTREEVE_CONTROL_EVENTS_H

#include "method.h"

/* Answers the request. A second request of the same client changes its filter. */
void events_subscribe(struct request *request, const struct filter *filter);
/* Queues the next events for the client, if there is room. */
void events_pump(struct client *client, struct gateway *gateway);

#endif
