/*
 * output.h - bytes that wait for a client
 */
#ifndef PORTREEVE_CONTROL_OUTPUT_H
#define PORTREEVE_CONTROL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define OUTPUT_MARK (256 * 1024) /* bytes: while this many wait, nothing is added */

/* Bytes from `start` to `used` wait to be sent. */
struct output {
    char *data;
    size_t start, used, capacity;
    bool broken; /* sending failed, or not enough memory: the connection must be closed */
};

/* False while OUTPUT_MARK or more bytes wait. */
bool output_has_room(const struct output *output);
bool output_is_empty(const struct output *output);

/*
 * Queue bytes, JSON without a newline, a JSON line (`line` is released). JSON that is NULL means
 * that there was not enough memory: it sets `broken`.
 */
void output_write(struct output *output, const char *bytes, size_t length);
void output_write_json(struct output *output, const json_t *json);
void output_write_line(struct output *output, json_t *line);

/* Sends as much as possible without waiting. True if it has sent something. */
bool output_send(struct output *output, int socket);

void output_free(struct output *output);

#endif
