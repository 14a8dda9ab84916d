/*
 * watchdog.h - the service manager's watchdog (sd_watchdog_enabled(3))
 *
 * A manager that wants a sign of life says in $WATCHDOG_USEC how often, and in $WATCHDOG_PID from
 * which process. When there is none for so long, it kills the process and starts it again.
 *
 * The state of this module is that of the process. Main thread only.
 */
#ifndef PORTREEVE_WATCHDOG_H
#define PORTREEVE_WATCHDOG_H

#include <stdint.h>

/* Reads what the manager wants, and gives the first sign of life. */
void watchdog_begin(void);

/* How long the manager waits for a sign of life, in milliseconds. 0: it does not watch. */
uint64_t watchdog_period_ms(void);

/* A sign of life. Call it once per second. */
void watchdog_feed(void);

/* Asks the manager to act at once, as if there had been no sign of life (systemd 243). */
void watchdog_trigger(void);

#endif
