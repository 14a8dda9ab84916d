/*
 * health.c - whether every thread of the gateway goes on, for the log and for status
 */
#include "health.h"

#define NAME "thread-stalled"

_Static_assert(sizeof(((struct gateway_status *)0)->thread) ==
                   PULSES_MAX * sizeof(struct gateway_thread),
               "the status has room for every thread");

void gateway_check_health(struct gateway *gateway)
{
    notices_begin(&gateway->notices, NAME);
    pulses_look(&gateway->pulses, gateway_now());
    for (size_t i = 0; i < gateway->pulses.count; i++) {
        const struct pulse *pulse = &gateway->pulses.list[i];

        if (pulse_is_still(pulse))
            notices_add(&gateway->notices, NAME,
                        "%s has stood still for %u seconds: the daemon is started anew",
                        pulse->name, PULSE_LIMIT_MS / 1000);
    }
    notices_end(&gateway->notices, NAME);
}

const char *gateway_still_thread(const struct gateway *gateway)
{
    const struct pulse *pulse = pulses_first_still(&gateway->pulses);

    return pulse != NULL ? pulse->name : NULL;
}

void gateway_read_health(const struct gateway *gateway, struct gateway_status *status)
{
    for (size_t i = 0; i < gateway->pulses.count; i++) {
        status->thread[i].name = gateway->pulses.list[i].name;
        status->thread[i].still_ms = gateway->pulses.list[i].still_ms;
        status->thread[i].is_still = pulse_is_still(&gateway->pulses.list[i]);
    }
    status->threads = gateway->pulses.count;
}
