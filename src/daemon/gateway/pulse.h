/*
 * pulse.h - whether every thread of the gateway goes on
 *
 * Each thread counts its rounds; one that has nothing to do makes a round each PULSE_EVERY_MS. The
 * main thread looks at the counters once per second. A counter that does not move for
 * PULSE_LIMIT_MS belongs to a thread that stands still: it has ended, or waits for something that
 * does not come.
 *
 * The time between two looks counts for PULSE_LOOK_MS at most. So when all of the process stood
 * still (SIGSTOP, a suspended or overloaded machine), no thread is blamed for it.
 *
 * Rejected: a time that each thread stores. It would have to be read for each round.
 */
#ifndef PORTREEVE_PULSE_H
#define PORTREEVE_PULSE_H

#include "portreeve/config.h"
#include "portreeve/queue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PULSE_EVERY_MS 1000
#define PULSE_LOOK_MS  2000
#define PULSE_LIMIT_MS 10000

/* The workers, those of newcomers, and the offload thread. */
#define PULSES_MAX (CONFIG_WORKERS_MAX + NEWCOMERS_KINDS + 1)

/* Of one thread. `beats` is written for each batch of packets: those of two threads share no cache
   line. */
struct pulse {
    uint32_t beats;    /* atomic; only its thread writes it */
    uint32_t seen;     /* at the last look */
    uint64_t still_ms; /* how long it has not moved, up to the last look */
    char name[48];     /* "the worker of queue 0" */
};

_Static_assert(sizeof(struct pulse) >= 64, "the counters are a cache line apart");

struct pulses {
    struct pulse list[PULSES_MAX];
    size_t count;
    uint64_t looked; /* milliseconds; 0: never */
};

/* A new pulse, for a thread with this name; the main thread, before the thread runs. */
struct pulse *pulses_add(struct pulses *pulses, const char *name);

/* One more round; only the thread that it belongs to. */
void pulse_beat(struct pulse *pulse);

/* Looks at all of them; main thread. `now` in milliseconds. */
void pulses_look(struct pulses *pulses, uint64_t now);

/* True when the thread stood still for PULSE_LIMIT_MS at the last look. */
bool pulse_is_still(const struct pulse *pulse);

/* The first one that stands still; NULL: all threads go on. */
const struct pulse *pulses_first_still(const struct pulses *pulses);

#endif
