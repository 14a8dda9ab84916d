/*
 * pulse.c - whether every thread of the gateway goes on
 */
#include "pulse.h"

#include <assert.h>
#include <stdio.h>

struct pulse *pulses_add(struct pulses *pulses, const char *name)
{
    struct pulse *pulse = &pulses->list[pulses->count++];

    assert(pulses->count <= PULSES_MAX);
    *pulse = (struct pulse){0};
    snprintf(pulse->name, sizeof(pulse->name), "%s", name);
    return pulse;
}

void pulse_beat(struct pulse *pulse)
{
    /* there is one writer, so this needs no atomic addition */
    __atomic_store_n(&pulse->beats, __atomic_load_n(&pulse->beats, __ATOMIC_RELAXED) + 1,
                     __ATOMIC_RELAXED);
}

static void look(struct pulse *pulse, uint64_t passed)
{
    uint32_t beats = __atomic_load_n(&pulse->beats, __ATOMIC_RELAXED);

    pulse->still_ms = beats == pulse->seen ? pulse->still_ms + passed : 0;
    pulse->seen = beats;
}

void pulses_look(struct pulses *pulses, uint64_t now)
{
    uint64_t passed = pulses->looked == 0 || now < pulses->looked ? 0 : now - pulses->looked;

    for (size_t i = 0; i < pulses->count; i++)
        look(&pulses->list[i], passed < PULSE_LOOK_MS ? passed : PULSE_LOOK_MS);
    pulses->looked = now;
}

bool pulse_is_still(const struct pulse *pulse)
{
    return pulse->still_ms >= PULSE_LIMIT_MS;
}

const struct pulse *pulses_first_still(const struct pulses *pulses)
{
    for (size_t i = 0; i < pulses->count; i++) {
        if (pulse_is_still(&pulses->list[i]))
            return &pulses->list[i];
    }
    return NULL;
}
