/*
 * client.h - one connection: it reads lines, sends bytes, and ends if the client does not read
 */
#ifndef PORTREEVE_CONTROL_CLIENT_H
#define PORTREEVE_CONTROL_CLIENT_H

#include "server.h"

/* Accepts one connection. 0, or -errno: -EAGAIN if none is waiting. */
int client_accept(struct control *control);
/* Takes over a connected socket; closes it if there are too many connections. */
void client_add(struct control *control, int socket);
/* Closes the connection and frees everything, with a job that is not finished. */
void client_close(struct client *client);
/* One bounded step: sends, and continues a job, serves a line or reads. It may free the client. */
void client_turn(struct client *client, struct gateway *gateway, uint32_t ready, uint64_t now);
/* Closes the connection if the client has not read for CONTROL_STALL_MS. */
void client_close_if_stalled(struct client *client, uint64_t now);
/* Sends as much as possible, and tells epoll what to wait for next. It may free the client. */
void client_settle(struct client *client, uint64_t now);

#endif
