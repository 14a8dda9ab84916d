/*
 * gateway.h - the running gateway: the translator with its lock, the kernel's edge, and what an
 * operator may do to it
 *
 * One main thread (signals, control socket, timers, addresses) and some workers (packets). The
 * policy is exchanged by the main thread only, so the main thread may read it without the lock; the
 * translation table needs the lock.
 */
#ifndef PORTREEVE_GATEWAY_H
#define PORTREEVE_GATEWAY_H

#include "portreeve/config.h"
#include "portreeve/nat.h"
#include "portreeve/queue.h"

struct gateway;

/*
 * Binds the queues, installs the rules, starts the workers. Takes over what `config` owns, also on
 * failure; on failure everything is undone and *error says why. `config_path` is read again by
 * gateway_reload.
 */
int gateway_open(struct gateway **gateway, const char *config_path, struct config *config,
                 struct error *error);

/* Removes the rules, stops the workers, gives reserved ports back. NULL is fine. */
void gateway_close(struct gateway *gateway);

/*
 * To poll for reading; then call gateway_addresses_ready, which follows a change of the external
 * addresses.
 */
int gateway_addresses_descriptor(const struct gateway *gateway);
void gateway_addresses_ready(struct gateway *gateway);

/* Once a second: ends what has expired, sessions and forwards alike; measures rates. */
void gateway_tick(struct gateway *gateway);

/* Milliseconds since boot, suspended time included; the `now` of the translator. */
uint64_t gateway_now(void);

/*
 * The lock around every use of the table. Held for microseconds: never across a system call, never
 * while formatting; a walk over the table takes it anew for each few hundred slots.
 */
struct nat *gateway_lock(struct gateway *gateway);
/* The same for the workers, who need not queue for it while it is free. */
struct nat *gateway_lock_for_packets(struct gateway *gateway);
void gateway_unlock(struct gateway *gateway);
/*
 * The same after changes of sessions: wakes who carries orders about offloaded ones to the kernel.
 */
void gateway_unlock_and_order(struct gateway *gateway);

/*
 * Main thread. Fold: sessions that the kernel rewrites by itself get the counters and times that it
 * has for them, as for all who want to see or end sessions. Flush: when it returns, the kernel
 * rewrites nothing for sessions that have ended.
 */
void gateway_fold_offloaded(struct gateway *gateway);
void gateway_flush_offloaded(struct gateway *gateway);

/* Main thread only, no lock needed. */
const struct config *gateway_config(const struct gateway *gateway);
const struct policy *gateway_policy(const struct gateway *gateway);

struct gateway_status {
    int64_t started; /* seconds since the epoch */
    uint64_t uptime_ms;
    struct address external[EXTERNAL_ADDRESSES_MAX];
    size_t external_count;
    struct nat_summary nat;  /* its counters include what the kernel has rewritten */
    size_t memory;           /* bytes of the translator, all in (nat_memory) */
    uint64_t packet_rate[2]; /* a second, over the last ten seconds, by enum packet_hook */
    uint64_t byte_rate[2];
    uint16_t workers;
    struct queue_statistics queue[CONFIG_WORKERS_MAX];
    int queue_error[CONFIG_WORKERS_MAX]; /* 0, or -errno of reading its statistics */
    const char *queue_expression, *defrag_expression;
    bool offload;                /* the kernel rewrites established sessions by itself */
    uint64_t offload_packets[2]; /* what the kernel has rewritten, by enum packet_hook */
    uint64_t offload_bytes[2];
    uint32_t warnings; /* conditions that an admin should look at, as text in `warning` */
    char warning[8][256];
};

void gateway_read_status(struct gateway *gateway, struct gateway_status *status);

/*
 * Reads the configuration file again. True: applied; `sessions_ended` of them are no longer
 * allowed. False: every error was reported and nothing has changed.
 */
bool gateway_reload(struct gateway *gateway, config_report *report, void *context,
                    uint32_t *sessions_ended);

/*
 * Adds or removes a forward at run time (main thread). Errors are reported, and nothing has
 * changed. Forwards of the configuration cannot be removed here: the next start would bring them
 * back.
 */
bool gateway_add_forward(struct gateway *gateway, const struct forward_text *text,
                         config_report *report, void *context);
bool gateway_remove_forward(struct gateway *gateway, const char *name, config_report *report,
                            void *context, uint32_t *sessions_ended);

#endif
