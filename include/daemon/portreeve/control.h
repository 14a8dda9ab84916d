/*
 * control.h - the control socket: newline-delimited JSON-RPC 2.0 over a Unix stream socket
 * (doc/control-protocol.md)
 *
 * Runs in the main thread's loop and never waits: a client that does not read is cut off, and
 * nothing here delays a packet. Peer credentials decide: root may change, the configured group may
 * look, nobody else may do anything.
 */
#ifndef PORTREEVE_CONTROL_H
#define PORTREEVE_CONTROL_H

#include "portreeve/error.h"
#include "portreeve/gateway.h"

struct control;

/*
 * Binds the socket (mode 0660, root:group; the directory is made if it is missing). When a daemon
 * answers on it already: -EADDRINUSE and a sentence; a socket nobody listens on is replaced. An
 * empty group: root alone. A group that does not exist is -ENOENT with a sentence.
 */
int control_open(struct control **control, const char *path, const char *group,
                 struct error *error);

/* Closes the clients and removes the socket. NULL is fine. */
void control_close(struct control *control);

/* One descriptor to poll for reading (an epoll of its own). */
int control_descriptor(const struct control *control);

/*
 * Serves whatever is ready, for a bounded time. Call when the descriptor is readable and at least
 * once a second.
 */
void control_serve(struct control *control, struct gateway *gateway);

/*
 * True while a client follows events: they reach it when control_serve is called, so call it often
 * then.
 */
bool control_has_subscribers(const struct control *control);

#endif
