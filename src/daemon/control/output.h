/*
 * output.h - bytes that wait for a client
 */
#ifndef PORTREEVE_CONTROL_OUTPUT_H
#define PORTREEVE_CONTROL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define OUTPUT_MARK (256 * 1024) /* bytes that wait for a client before it gets no more */

/* Bytes from `start` to `used` wait to be sent. */
struct output {
    char *data;
    size_t start, used, capacity;
    bool broken; /* nothing reaches the client any more: its connection is to be closed */
};

/* Whether more may be made for it now. */
bool output_has_room(const struct output *output);
bool output_is_empty(const struct output *output);

/* Queue bytes, JSON without newline, a JSON line (`line` is released; NULL: out of memory). */
void output_write(struct output *output, const char *bytes, size_t length);
void output_write_json(struct output *output, const json_t *json);
void output_write_line(struct output *output, json_t *line);

/* Sends what waits, as far as it goes. True when anything went. */
bool output_send(struct output *output, int socket);

void output_free(struct output *output);

#endif
