/*
 * notify.h - tells the service manager the state of the daemon (the protocol of sd_notify(3))
 */
#ifndef PORTREEVE_NOTIFY_H
#define PORTREEVE_NOTIFY_H

/*
 * Sends `state` ("READY=1", "RELOADING=1\nMONOTONIC_USEC=...", "STOPPING=1") to $NOTIFY_SOCKET.
 * Does nothing if it is not set. An error does not affect the daemon's work, so it is only logged;
 * a manager that does not read is waited for, but not for long.
 */
void notify_send(const char *state);

/* The same, but it does not wait: if the manager does not read its socket, nothing is sent. */
void notify_send_if_read(const char *state);

/* As notify_send, with a copy of a descriptor ("FDSTORE=1\n..."). */
void notify_send_descriptor(const char *state, int descriptor);

#endif
