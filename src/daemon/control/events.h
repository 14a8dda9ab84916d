/*
 * events.h - who follows events, and what they have missed
 */
#ifndef PORTREEVE_CONTROL_EVENTS_H
#define PORTREEVE_CONTROL_EVENTS_H

#include "method.h"

void events_subscribe(struct request *request, const struct filter *filter);
/* Queues events that the client has not had, as far as there is room. */
void events_pump(struct client *client, struct gateway *gateway);

#endif
