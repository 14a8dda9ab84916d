/*
 * answer.h - lines of JSON-RPC 2.0 for a client
 */
#ifndef PORTREEVE_CONTROL_ANSWER_H
#define PORTREEVE_CONTROL_ANSWER_H

#include "output.h"
#include "portreeve/control_protocol.h"

/*
 * `id` may be NULL (null). `result` and `errors` are released; `errors` may be NULL. If `result` is
 * NULL, there was not enough memory for it, and this is the answer.
 */
void answer_result(struct output *output, json_t *id, json_t *result);
void answer_refusal(struct output *output, json_t *id, enum control_error code, json_t *errors,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A line of a stream: {"jsonrpc":"2.0","method":METHOD,"params":PARAMS}. `params` is released. */
void answer_notice(struct output *output, const char *method, json_t *params);

#endif
