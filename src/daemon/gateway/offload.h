/*
 * offload.h - carries the core's orders about offloaded sessions to the kernel and its
 * answers back
 *
 * A thread of its own does it as orders come; whoever needs them done at once does it in between.
 * One at a time: a lock of this module, which is taken before the gateway's, is held over the
 * system calls, and the gateway's never is.
 */
#ifndef PORTREEVE_GATEWAY_OFFLOAD_H
#define PORTREEVE_GATEWAY_OFFLOAD_H

#include "portreeve/error.h"
#include "portreeve/gateway.h"

struct gateway_offload;

/*
 * Begins to offload, for rules that have room for `sessions` of them, each after so many packets
 * (gateway.config). 0 or -errno.
 */
int gateway_offload_open(struct gateway_offload **offload, struct gateway *gateway,
                         uint32_t sessions, struct error *error);

/* Ends the thread; no worker may run any more. NULL is fine. */
void gateway_offload_close(struct gateway_offload *offload);

/* Folds all that the kernel has counted into the sessions. NULL is fine, as for the next ones. */
void gateway_offload_fold(struct gateway_offload *offload);

/* When it returns, no session that has ended is in the kernel's maps. */
void gateway_offload_flush(struct gateway_offload *offload);

/*
 * Around the new installation of rules, which empties the maps: pause, install, resume. `emptied`:
 * it was done, and everything takes the queue until it has earned its place anew.
 */
void gateway_offload_pause(struct gateway_offload *offload);
void gateway_offload_resume(struct gateway_offload *offload, bool emptied);

/*
 * At the start, before the rules of an earlier run are replaced: their maps tell which of the
 * adopted sessions have gone on without a daemon.
 */
void gateway_offload_recall(struct gateway *gateway);

#endif
