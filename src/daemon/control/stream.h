/*
 * stream.h - sessions and events as lines
 */
#ifndef PORTREEVE_CONTROL_STREAM_H
#define PORTREEVE_CONTROL_STREAM_H

#include "output.h"
#include "portreeve/event.h"

void stream_session(struct output *output, const struct session_view *session);

/*
 * The core's clock does not go back but knows no dates: both clocks are read now, and the event's
 * age leads back.
 */
void stream_event(struct output *output, const struct event *event, uint64_t now,
                  int64_t now_epoch_ms);

#endif
