/*
 * lock.h - a gateway's parts, and the lock around its translation table
 *
 * gateway.c    its life: start in order, undo in the opposite order
 * policy.c     which policy applies, and making the kernel and the translator agree on it
 * addresses.c  which external addresses are in use
 * rules.c      the kernel's rules, as policy and addresses want them
 * review.c     after a change of either: which sessions may go on
 * offload.c    carries orders about offloaded sessions to the kernel
 * worker.c     a thread per queue
 * status.c     how it goes
 * lock.c       the lock, and waking who carries orders; below all of these
 * state.c, runtime_forwards.c, reserved_ports.c   what outlives the process
 * large_pages.c   pages of 2 MiB for the table
 */
#ifndef PORTREEVE_GATEWAY_LOCK_H
#define PORTREEVE_GATEWAY_LOCK_H

#include "portreeve/gateway.h"
#include "portreeve/ruleset.h"

#include <pthread.h>

#define RATE_SECONDS 10

/* Sessions looked at under one hold of the lock by what walks them all. */
#define GATEWAY_BUDGET 128

struct rate_sample {
    uint64_t time; /* gateway_now; 0: none yet */
    uint64_t packets[2], bytes[2];
};

struct addresses;
struct gateway_offload;
struct state;
struct worker;

struct gateway {
    pthread_mutex_t lock; /* covers *nat */
    pthread_mutex_t turn; /* to take the lock next */
    struct nat *nat;
    struct config config;  /* as the file says; config.policy is not sealed */
    struct policy *active; /* sealed: the configuration, less what has expired, plus what was added
                              at run time */
    char config_path[PATH_MAX];
    struct state *state;    /* where the sessions lie */
    bool has_left_sessions; /* by an earlier run, to be adopted */
    int namespace_lock;     /* only one daemon in a network namespace can bind it; -1: none */
    struct ruleset *ruleset;
    uint32_t offload_sessions; /* room for so many in the kernel's maps */
    bool rules_installed;
    int orders;            /* eventfd: there are orders about offloaded sessions; -1: none come */
    bool carrier_is_awake; /* atomic: whoever carries them will look for orders */
    struct gateway_offload *offload; /* NULL: every packet takes the queue */
    struct ruleset_hits hits;        /* of offloaded sessions, when last read */
    struct ruleset_hits former_hits; /* of rules that were installed before these */
    uint32_t rules_restored;         /* times that another program had removed them */
    struct addresses *addresses;
    struct worker *worker[CONFIG_WORKERS_MAX];
    uint16_t worker_count;
    struct address external[EXTERNAL_ADDRESSES_MAX]; /* in use */
    size_t external_count;
    uint32_t external_interface;
    int64_t started;
    uint64_t started_ms;
    struct rate_sample sample[RATE_SECONDS + 1];
    size_t sample_next;
    bool has_address_problem;
    struct error address_problem; /* while there is one: shown as a warning */
};

/*
 * Ends a step of a walk over the table: as gateway_unlock_and_order, and whoever waits for this
 * processor goes first.
 */
void gateway_end_step(struct gateway *gateway);

/*
 * Wakes the thread that carries orders to the kernel, from any thread and without the lock. At most
 * one system call for each time that it wakes.
 */
void gateway_wake_carrier(struct gateway *gateway);

/*
 * That thread waits here. 0: there may be orders; what is ordered from now on wakes it again. Or
 * -errno.
 */
int gateway_wait_for_orders(struct gateway *gateway);

#endif
