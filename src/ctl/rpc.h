/*
 * rpc.h - one connection to the daemon
 */
#ifndef PORTREEVE_CTL_RPC_H
#define PORTREEVE_CTL_RPC_H

#include "exit_code.h"
#include "options.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

struct rpc {
    FILE *stream;
    const char *socket;
    char *line;
    size_t line_size;
};

/* Gets each line of a streamed answer. */
typedef void rpc_line(void *context, const char *method, const json_t *params);

/*
 * EXIT_DONE, or another code after a message. After a failure, rpc_close is not needed, but
 * allowed.
 */
int rpc_open(struct rpc *rpc, const char *socket);
void rpc_close(struct rpc *rpc);

/*
 * Sends a request and waits for the answer: EXIT_DONE and *result (a new reference), or another
 * code after a message. `params` is released; `line` may be NULL for methods that do not stream.
 */
int rpc_call(struct rpc *rpc, const char *method, json_t *params, rpc_line *line, void *context,
             json_t **result);

/*
 * Waits for the next line of a subscription, without a time limit. EXIT_DONE, or another code after
 * a message.
 */
int rpc_follow(struct rpc *rpc, rpc_line *line, void *context);

/* Waits until the daemon has closed the connection. */
void rpc_wait_for_end(struct rpc *rpc);

/* rpc_open, rpc_call, rpc_close. */
int rpc_ask(const struct options *options, const char *method, json_t *params, rpc_line *line,
            void *context, json_t **result);

/* {"filter": [words]} */
json_t *rpc_filter(const struct options *options);

#endif
