/*
 * notify.h - telling the service manager what state the daemon is in (sd_notify(3)'s protocol)
 */
#ifndef PORTREEVE_NOTIFY_H
#define PORTREEVE_NOTIFY_H

/*
 * Sends `state` ("READY=1", "RELOADING=1\nMONOTONIC_USEC=...", "STOPPING=1") to $NOTIFY_SOCKET.
 * Does nothing without one; an error does not matter to the daemon's work, and is logged.
 */
void notify_send(const char *state);

#endif
