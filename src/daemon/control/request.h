/*
 * request.h - one line of a client
 */
#ifndef PORTREEVE_CONTROL_REQUEST_H
#define PORTREEVE_CONTROL_REQUEST_H

#include "server.h"

/* Serves one line, which has no newline and no final NUL. */
void request_serve(struct client *client, struct gateway *gateway, const char *line, size_t length);

#endif
