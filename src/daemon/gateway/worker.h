/*
 * worker.h - one thread per queue: receive a batch, translate it, send the verdicts
 */
#ifndef PORTREEVE_WORKER_H
#define PORTREEVE_WORKER_H

#include "portreeve/gateway.h"

struct worker;

/*
 * Binds the queue, in the calling thread so that errors can be returned; no thread runs yet.
 * Returns 0, or -errno and a sentence.
 */
int worker_open(struct worker **worker, struct gateway *gateway,
                const struct queue_options *options, struct error *error);

/* Starts the thread. Returns 0 or -errno. */
int worker_start(struct worker *worker);

/* True when no packet waits in the queue, or in the hands of the worker. Any thread. */
bool worker_is_idle(const struct worker *worker);

/* Stops the thread, if it runs, and unbinds the queue. NULL is fine. */
void worker_close(struct worker *worker);

#endif
