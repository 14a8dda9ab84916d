/*
 * output.c - bytes that wait for a client
 *
 * They are kept in one block that grows. Callers ask output_has_room before they write an answer or
 * a slice, so the block exceeds OUTPUT_MARK by at most one of them.
 */
#include "output.h"

#include "portreeve/control_protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CAPACITY_MIN 4096

bool output_has_room(const struct output *output)
{
    return output->used - output->start < OUTPUT_MARK;
}

bool output_is_empty(const struct output *output)
{
    return output->start == output->used;
}

/* Makes room for `length` more bytes; bytes that were sent are removed first. */
static bool reserve(struct output *output, size_t length)
{
    size_t wanted = output->capacity > 0 ? output->capacity : CAPACITY_MIN;
    char *grown;

    if (output->start > 0 && output->capacity - output->used < length) {
        memmove(output->data, output->data + output->start, output->used - output->start);
        output->used -= output->start;
        output->start = 0;
    }
    while (wanted - output->used < length)
        wanted *= 2;
    if (wanted == output->capacity)
        return true;
    grown = realloc(output->data, wanted);
    if (grown == NULL)
        return false;
    output->data = grown;
    output->capacity = wanted;
    return true;
}

void output_write(struct output *output, const char *bytes, size_t length)
{
    if (output->broken)
        return;
    if (!reserve(output, length)) {
        output->broken = true;
        return;
    }
    memcpy(output->data + output->used, bytes, length);
    output->used += length;
}

static int write_piece(const char *bytes, size_t length, void *output)
{
    output_write(output, bytes, length);
    return 0;
}

void output_write_json(struct output *output, const json_t *json)
{
    /* JSON_ENCODE_ANY: an id is a string or a number. */
    if (json == NULL || json_dump_callback(json, write_piece, output,
                                           JSON_COMPACT | JSON_ENCODE_ANY |
                                               JSON_REAL_PRECISION(CONTROL_DIGITS)) < 0)
        output->broken = true;
}

void output_write_line(struct output *output, json_t *line)
{
    output_write_json(output, line);
    output_write(output, "\n", 1);
    json_decref(line);
}

bool output_send(struct output *output, int socket)
{
    ssize_t sent;

    if (output_is_empty(output) || output->broken)
        return false;
    sent = send(socket, output->data + output->start, output->used - output->start,
                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        output->broken = errno != EAGAIN && errno != EINTR;
        return false;
    }
    output->start += (size_t)sent;
    if (!output_is_empty(output))
        return true;
    output->start = output->used = 0;
    if (output->capacity > 2 * OUTPUT_MARK) /* such a long answer is rare */
        output_free(output);
    return true;
}

void output_free(struct output *output)
{
    free(output->data);
    *output = (struct output){.broken = output->broken};
}
