/*
 * offload.h - takes the translator's orders about offloaded sessions to the kernel, and the answers
 * back
 *
 * A thread of its own does this when orders arrive. A caller that needs them to be done at once
 * does it itself. Only one of them at a time: a lock of this module is held during the system
 * calls. It is taken before the gateway's lock, which is never held during a system call.
 */
#ifndef PORTREEVE_GATEWAY_OFFLOAD_H
#define PORTREEVE_GATEWAY_OFFLOAD_H

#include "portreeve/error.h"
#include "portreeve/gateway.h"

struct gateway_offload;

/*
 * Starts to offload. The rules have room for `sessions` sessions; gateway.config says after how
 * many packets a session is offloaded. Returns 0, or -errno and a sentence.
 */
int gateway_offload_open(struct gateway_offload **offload, struct gateway *gateway,
                         uint32_t sessions, struct error *error);

/* Ends the thread; no worker may run any more. NULL is fine. */
void gateway_offload_close(struct gateway_offload *offload);

/* Adds what the kernel has counted to the sessions. NULL is fine, as for the next functions. */
void gateway_offload_fold(struct gateway_offload *offload);

/*
 * Gives a complete check of the translator (check.h) what the kernel's maps have. 0, or -errno:
 * -ENOENT where nothing is offloaded.
 */
int gateway_offload_check(struct gateway_offload *offload);

/* When it returns, the kernel's maps contain no session that has ended. */
void gateway_offload_flush(struct gateway_offload *offload);

/*
 * Installing the rules again empties the maps. Call pause before and resume after it. `emptied`:
 * the maps are empty, so every session goes through the queue until it is offloaded again.
 */
void gateway_offload_pause(struct gateway_offload *offload);
void gateway_offload_resume(struct gateway_offload *offload, bool emptied);

/*
 * At the start, before the rules of an earlier run are replaced: the counters of their maps say
 * which adopted sessions had packets while no daemon was running.
 */
void gateway_offload_recall(struct gateway *gateway);

#endif
