/*
 * gateway.h - the running gateway: the translator with its lock, the kernel's edge, and the
 * operator's requests
 *
 * There is one main thread (signals, control socket, timers, addresses) and one worker per queue
 * (packets). Only the main thread changes the policy, so it may read the policy without the lock.
 * The translation table always needs the lock.
 */
#ifndef PORTREEVE_GATEWAY_H
#define PORTREEVE_GATEWAY_H

#include "portreeve/config.h"
#include "portreeve/nat.h"
#include "portreeve/queue.h"

struct gateway;

/*
 * Binds the queues, installs the rules, starts the workers. Takes over what `config` owns, also on
 * failure. On failure everything is undone and *error says why. gateway_reload reads `config_path`
 * again.
 */
int gateway_open(struct gateway **gateway, const char *config_path, struct config *config,
                 struct error *error);

/*
 * What a configuration (of the file `path`) does to the host that this runs on, checked without
 * changing anything. False after reporting each error; there may be warnings in either case.
 */
bool gateway_check_host(const struct config *config, const char *path, config_report *report,
                        config_report *warn, void *context);

/*
 * GATEWAY_STOP removes the rules, stops the workers, closes the queues, releases the reserved
 * ports. GATEWAY_RESTART leaves the rules: the kernel goes on with what they let it do, and packets
 * wait in the queues whose sockets were kept (handover.h). GATEWAY_UPGRADE leaves the reserved
 * ports as well. GATEWAY_HOLD leaves both for [timeouts] stop-hold, if that is set, and is a stop
 * otherwise (hold.h).
 */
enum gateway_end { GATEWAY_STOP, GATEWAY_RESTART, GATEWAY_UPGRADE, GATEWAY_HOLD };

/* NULL is fine. */
void gateway_close(struct gateway *gateway, enum gateway_end end);

/*
 * Poll it for reading, then call gateway_addresses_ready, which follows a change of the external
 * addresses.
 */
int gateway_addresses_descriptor(const struct gateway *gateway);
void gateway_addresses_ready(struct gateway *gateway);

/*
 * Poll it for reading, then call gateway_rules_ready, which restores the nf_tables rules if another
 * program has changed them; -1 where no other program can.
 */
int gateway_rules_descriptor(const struct gateway *gateway);
void gateway_rules_ready(struct gateway *gateway);

/* The same for the routes: which interfaces lead outside. */
int gateway_routes_descriptor(const struct gateway *gateway);
void gateway_routes_ready(struct gateway *gateway);

/* The same for other programs' rules, which must be acted upon at once if they have a flowtable. */
int gateway_neighbours_descriptor(const struct gateway *gateway);
void gateway_neighbours_ready(struct gateway *gateway);

/*
 * Call it once per second: ends expired sessions and forwards, measures rates, and looks whether
 * every thread goes on.
 */
void gateway_tick(struct gateway *gateway);

/*
 * Main thread: the name of a thread that stood still for ten seconds at the last tick; NULL: all go
 * on. Then only a new process helps, and nothing that waits for the thread may be called before:
 * gateway_close, for one.
 */
const char *gateway_still_thread(const struct gateway *gateway);

/* Milliseconds since boot, suspended time included; the `now` of the translator. */
uint64_t gateway_now(void);

/*
 * The lock around every use of the table. It is held for microseconds: never during a system call,
 * never while text is formatted. Code that walks through the table releases it after every few
 * hundred slots.
 */
struct nat *gateway_lock(struct gateway *gateway);
/* The same for the workers, which need not wait for their turn while the lock is free. */
struct nat *gateway_lock_for_packets(struct gateway *gateway);
void gateway_unlock(struct gateway *gateway);
/*
 * Unlocks after sessions have changed: wakes the thread that takes orders about offloaded sessions
 * to the kernel.
 */
void gateway_unlock_and_order(struct gateway *gateway);

/*
 * Main thread only. Fold: the counters and times that the kernel has for offloaded sessions are
 * added to the sessions; call it before sessions are shown or ended. Flush: when it returns, the
 * kernel rewrites no packets of sessions that have ended.
 */
void gateway_fold_offloaded(struct gateway *gateway);
void gateway_flush_offloaded(struct gateway *gateway);

/*
 * Main thread only: gives a complete check of the translator (nat_check_step has returned false)
 * what the kernel's maps of offloaded sessions have. 0, or -errno: -ENOENT where there are none.
 */
int gateway_check_kernel(struct gateway *gateway);

/*
 * Main thread only: the register of open ports (register.h), up to date with what has been counted
 * until now, also by the kernel.
 */
struct forward_register;
const struct forward_register *gateway_read_register(struct gateway *gateway);

/* Main thread only, no lock needed. */
const char *gateway_config_path(const struct gateway *gateway);
const struct config *gateway_config(const struct gateway *gateway);
const struct policy *gateway_policy(const struct gateway *gateway);

/*
 * Something around the gateway that is wrong now, and that this program cannot put right. `name`
 * says the kind and never changes; several may have one name. `since` is in seconds since the
 * epoch.
 */
#define NOTICES_MAX 32

struct notice {
    char name[32];
    char text[256];
    int64_t since;
};

struct gateway_status {
    int64_t started; /* seconds since the epoch */
    uint64_t uptime_ms;
    struct address external[EXTERNAL_ADDRESSES_MAX];
    uint8_t external_uplink[EXTERNAL_ADDRESSES_MAX]; /* whose they are */
    size_t external_count;
    struct nat_summary nat;  /* its counters include what the kernel has rewritten */
    size_t memory;           /* bytes of the translator in total (nat_memory) */
    uint64_t packet_rate[2]; /* per second, over the last ten seconds, by enum packet_hook */
    uint64_t byte_rate[2];
    uint16_t workers;
    /* Those for UDP are behind the others, those of newcomers last. */
    struct gateway_queue {
        uint16_t number;
        struct queue_statistics statistics;
        int error; /* 0, or -errno of reading its statistics */
    } queue[2 * CONFIG_WORKERS_MAX + NEWCOMERS_KINDS];
    uint16_t queue_count;
    const char *queue_expression, *defrag_expression;
    bool asks_sockets;           /* connections of the gateway come before mappings and forwards */
    bool offload;                /* the kernel rewrites established sessions */
    uint64_t offload_packets[2]; /* what the kernel has rewritten, by enum packet_hook */
    uint64_t offload_bytes[2];
    uint32_t warnings; /* what an administrator should look at, as text in `warning` */
    char warning[8][256];
    struct notice notice[NOTICES_MAX];
    size_t notices;
    struct gateway_thread {
        const char *name;  /* valid as long as the gateway */
        uint64_t still_ms; /* since when it has made no round, at the last tick */
        bool is_still;     /* for ten seconds: it will go on no more */
    } thread[CONFIG_WORKERS_MAX + NEWCOMERS_KINDS + 1];
    size_t threads;
};

void gateway_read_status(struct gateway *gateway, struct gateway_status *status);

/*
 * Reads the configuration file again. True: applied, and `sessions_ended` sessions are no longer
 * allowed. False: every error was reported and nothing has changed.
 */
bool gateway_reload(struct gateway *gateway, config_report *report, config_report *warn,
                    void *context, uint32_t *sessions_ended);

/*
 * What gateway_reload would do, without doing it: the policy that would be the active one, which
 * the caller frees, and how many sessions would end. NULL after reporting every error.
 */
struct policy *gateway_plan_reload(struct gateway *gateway, config_report *report,
                                   config_report *warn, void *context, uint32_t *sessions_ending);

/*
 * Adds or removes a run-time forward (main thread only). On failure every error was reported and
 * nothing has changed. A forward of the configuration cannot be removed here, because the next
 * start would add it again. A port that a mapping has is an error, or with `force` the mapping's
 * sessions end.
 */
bool gateway_add_forward(struct gateway *gateway, const struct forward_text *text, bool force,
                         config_report *report, void *context, uint32_t *sessions_ended);
/*
 * Reports what the administrator should know about an active forward: each listener of the gateway
 * that it hides.
 */
void gateway_report_forward(struct gateway *gateway, const char *name, config_report *report,
                            void *context);
/*
 * A socket of this host that takes packets of every sender at an external address, as last looked
 * at: every few seconds.
 */
struct gateway_listener {
    uint8_t protocol;
    uint16_t port;
    bool takes_any_address;
    struct address address; /* otherwise */
    char program[96];       /* "sshd (user 0)" */
};

/* Main thread only. Writes at most `max`, of each port one; returns how many there are. */
size_t gateway_listeners(struct gateway *gateway, struct gateway_listener *out, size_t max);

/*
 * Changes the run-time forward `text->name` (config_change_forward). Sessions that it does not
 * allow any more end.
 */
bool gateway_change_forward(struct gateway *gateway, const struct forward_text *text,
                            config_report *report, void *context, uint32_t *sessions_ended);
bool gateway_remove_forward(struct gateway *gateway, const char *name, config_report *report,
                            void *context, uint32_t *sessions_ended);

#endif
