/*
 * client.h - one connection: lines in, bytes out, when it is cut off
 */
#ifndef PORTREEVE_CONTROL_CLIENT_H
#define PORTREEVE_CONTROL_CLIENT_H

#include "server.h"

/* Accepts one connection. 0, or -errno: -EAGAIN when none waits. */
int client_accept(struct control *control);
/* Takes over a connected socket; closes it when there is no room. */
void client_add(struct control *control, int socket);
/* Frees everything; a job in work ends here. */
void client_close(struct client *client);
/*
 * One bounded step: send, go on with the job, serve a line, or read. The client may be closed by
 * it.
 */
void client_turn(struct client *client, struct gateway *gateway, uint32_t ready, uint64_t now);
/* Closes it when it has not read for too long. */
void client_cut_if_stalled(struct client *client, uint64_t now);
/* Sends what waits, as far as it goes, and watches for what comes next. */
void client_settle(struct client *client, uint64_t now);

#endif
