/*
 * control.h - the control socket: newline-delimited JSON-RPC 2.0 over a Unix stream socket
 * (doc/control-protocol.md)
 *
 * It runs in the loop of the main thread and never waits: it closes the connection of a client that
 * does not read, and it does not delay packets. The user of a client decides: root may change
 * everything, members of the configured group may look, and other users may do nothing.
 */
#ifndef PORTREEVE_CONTROL_H
#define PORTREEVE_CONTROL_H

#include "portreeve/error.h"
#include "portreeve/gateway.h"

struct control;

/*
 * Creates the socket (mode 0660, root:group) and missing directories of its path, or takes over
 * that of an earlier run, with the clients that wait (handover.h). A socket that no program listens
 * on is replaced. An empty group means that only root may connect (mode 0600). Returns 0, or -errno
 * with a message: -EADDRINUSE if another program listens there, -ENOENT if the group does not
 * exist.
 */
int control_open(struct control **control, const char *path, const char *group,
                 struct error *error);

/* Closes all connections and removes the socket. NULL is allowed. */
void control_close(struct control *control);

/*
 * Closes all connections. The socket stays for the next run: as long as a copy of its descriptor is
 * open, clients wait there. NULL is allowed.
 */
void control_leave(struct control *control);

/* The socket that clients connect to, to be kept for the next run. */
int control_listener(const struct control *control);

/* The descriptor to poll for reading (an epoll instance). */
int control_descriptor(const struct control *control);

/*
 * Serves the clients that are ready, for a limited time. Call it when the descriptor is readable,
 * and at least once a second.
 */
void control_serve(struct control *control, struct gateway *gateway);

/*
 * True while a client follows events. Then call control_serve often, because only control_serve
 * sends events.
 */
bool control_has_subscribers(const struct control *control);

#endif
