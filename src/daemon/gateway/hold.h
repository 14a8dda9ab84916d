/*
 * hold.h - after the end of the daemon the rules stay for a while, for a start that follows
 */
#ifndef PORTREEVE_HOLD_H
#define PORTREEVE_HOLD_H

#include <stdint.h>

/*
 * Leaves a process behind that waits so many seconds, or until it gets SIGTERM. Then it removes the
 * rules and the reserved ports (reserved_ports.h). It leaves them to another daemon that has
 * started in this network namespace. Call it when no other thread and no descriptor of the gateway
 * is left; if no process can be created, both are removed at once.
 */
void hold_begin(const char *state_directory, uint32_t seconds);

#endif
