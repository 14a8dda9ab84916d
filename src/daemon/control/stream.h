/*
 * stream.h - sessions and events as lines
 */
#ifndef PORTREEVE_CONTROL_STREAM_H
#define PORTREEVE_CONTROL_STREAM_H

#include "output.h"
#include "portreeve/config.h"
#include "portreeve/event.h"

/* The configuration knows the names of the interfaces. */
void stream_session(struct output *output, const struct config *config,
                    const struct session_view *session);

/*
 * The time of an event is on the clock of the core, which has no date. So the caller reads both
 * clocks now, in milliseconds, and the date is computed from the age of the event.
 */
void stream_event(struct output *output, const struct config *config, const struct event *event,
                  uint64_t now, int64_t now_epoch_ms);

#endif
