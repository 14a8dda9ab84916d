/*
 * watchdog.c - the service manager's watchdog
 */
#include "portreeve/watchdog.h"

#include "notify.h"
#include "portreeve/log.h"
#include "portreeve/text.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* The main thread's loop makes a round each second; half of that is for its delays. */
#define SHORTEST_MS 2000

static uint64_t period_ms; /* 0: nobody watches */

static uint64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    uint64_t number = 0;

    return text != NULL && text_parse_number(text, 0, UINT64_MAX, &number) ? number : 0;
}

/* The process of an upgrade is the same, so both variables stay in the environment. */
void watchdog_begin(void)
{
    uint64_t usec = number_of("WATCHDOG_USEC"), pid = number_of("WATCHDOG_PID");

    period_ms = 0;
    if (getenv("NOTIFY_SOCKET") == NULL || usec == 0 || (pid != 0 && pid != (uint64_t)getpid()))
        return;
    period_ms = usec / 1000 > 0 ? usec / 1000 : 1;
    if (period_ms < SHORTEST_MS)
        log_warning("WatchdogSec= is %llu ms: expected at least %d s, because the daemon gives a "
                    "sign of life once per second",
                    (unsigned long long)period_ms, SHORTEST_MS / 1000);
    notify_send_if_read("WATCHDOG=1");
}

uint64_t watchdog_period_ms(void)
{
    return period_ms;
}

void watchdog_feed(void)
{
    if (period_ms > 0)
        notify_send_if_read("WATCHDOG=1");
}

void watchdog_trigger(void)
{
    if (period_ms > 0)
        notify_send_if_read("WATCHDOG=trigger");
}
