/*
 * lock.h - the parts of a gateway, and the lock around its translation table
 *
 * gateway.c    its life: start in order, stop in the opposite order
 * policy.c     the policy in use, and how the kernel and the translator get it
 * addresses.c  the external addresses in use
 * forwarding.c whether the host forwards what is to be translated
 * grace.c      those that have gone and may come back
 * uplinks.c    interfaces that lead outside and are not external
 * rules.c      the contents of the kernel's rules, from the policy and the addresses
 * review.c     after a change of policy or addresses: which sessions are still allowed
 * offload.c    takes orders about offloaded sessions to the kernel
 * worker.c     one thread per queue
 * status.c     numbers, rates and warnings
 * notices.c    what is wrong around the gateway now
 * neighbours.c   other programs' rules, and bridges, that are in our way
 * flowtables.c keeps what is translated out of other programs' flowtables
 * hosts.c      whose packets are translated
 * shortage.c   what is nearly used up
 * health.c     whether every thread goes on (pulse.c)
 * describe.c   the configuration in effect, for the log at level debug
 * lock.c       the lock, and the wake-up of the offload thread; used by all of these
 * decisions.c  what the translator has decided, for the log at level debug
 * explain.c    what becomes of a connection, and why
 * state.c, runtime_forwards.c, reserved_ports.c   what survives the process
 * large_pages.c   pages of 2 MiB for the table
 */
#ifndef PORTREEVE_GATEWAY_LOCK_H
#define PORTREEVE_GATEWAY_LOCK_H

#include "grace.h"
#include "notices.h"
#include "own_sockets.h"
#include "portreeve/gateway.h"
#include "portreeve/ruleset.h"
#include "pulse.h"
#include "shortage.h"

#include <pthread.h>

#define RATE_SECONDS 10

/* Packets that may wait in one queue; the socket's buffer has room for them. */
#define GATEWAY_QUEUE_LENGTH 4096

/*
 * Of newcomers, fewer: when more come than the worker can take, the queue is full all the time, and
 * its length is only how long each of them waits.
 */
#define GATEWAY_NEWCOMERS_LENGTH 512

/* Sessions that a walk through the table visits before it releases the lock. */
#define GATEWAY_BUDGET 128

/*
 * What is done because of another program's rules is done for so long after they have gone: a
 * reload takes them away and brings them back, and in between we would not be told soon enough.
 */
#define GATEWAY_HOLD_MS 30000

struct rate_sample {
    uint64_t time; /* gateway_now; 0: none yet */
    uint64_t packets[2], bytes[2];
};

struct addresses;
struct routes;
struct gateway_offload;
struct neighbours;
struct state;
struct worker;

/* An external interface, and its addresses in use. */
struct uplink_usage {
    struct interface interface; /* index 0: there is none now */
    struct address address[EXTERNAL_ADDRESSES_MAX];
    size_t count;
    size_t resting;    /* of these, the last ones: they have gone, and may come back */
    bool is_one_armed; /* the interface has an address of the inside, too */
};

struct gateway {
    pthread_mutex_t lock; /* covers *nat */
    pthread_mutex_t turn; /* held by the thread that gets the lock next */
    struct nat *nat;
    struct config config; /* as the file says; config.policy is not sealed */
    /* sealed: the configuration and the run-time forwards, without what has expired */
    struct policy *active;
    struct forward_register *ports; /* of the active policy */
    uint64_t register_due;          /* gateway_now; then it is written */
    char config_path[PATH_MAX];
    struct state *state;    /* where the sessions are stored */
    bool has_left_sessions; /* by an earlier run, to be adopted */
    int namespace_lock;     /* the socket of queue_lock_namespace; -1: none */
    struct ruleset *ruleset;
    uint32_t offload_sessions; /* sessions that fit into the kernel's maps */
    bool rules_installed;
    bool rules_missing; /* another program has changed them, and they could not be restored */
    int orders; /* eventfd: there are orders about offloaded sessions; -1: there are never any */
    bool offload_is_awake;           /* atomic: the offload thread will look for orders */
    struct gateway_offload *offload; /* NULL: every packet goes through the queue */
    struct ruleset_hits hits;        /* of offloaded sessions, when last read */
    struct ruleset_hits former_hits; /* of rules that were installed before the present ones */
    uint32_t rules_restored;         /* how often another program has changed the rules */
    struct own_sockets own_sockets;  /* of the host, as last looked at */
    uint64_t look_due;               /* when the next look is due; gateway_now */
    struct own_ports bound_ports[PROTOCOL_PORTS_COUNT]; /* in the sets tcp_bound and udp_bound */
    struct addresses *addresses;
    struct routes *routes;
    bool routes_are_stale;                        /* they have changed since they were read */
    uint64_t routes_due;                          /* gateway_now; they are not read again before */
    uint32_t other_uplink[NAT_OTHER_UPLINKS_MAX]; /* ifindexes, ascending */
    size_t other_uplink_count;
    struct worker *worker[CONFIG_WORKERS_MAX];
    uint16_t worker_count;
    struct worker *newcomers[NEWCOMERS_KINDS];
    struct address external[EXTERNAL_ADDRESSES_MAX]; /* in use, of all uplinks */
    size_t external_count;
    struct uplink_usage uplink[CONFIG_UPLINKS_MAX]; /* whose they are */
    struct grace grace[CONFIG_UPLINKS_MAX];
    bool addresses_are_stale; /* the rules or the translator do not have them yet */
    int64_t started;
    uint64_t started_ms;
    struct rate_sample sample[RATE_SECONDS + 1];
    size_t sample_next;
    uint64_t forwarding_due;  /* gateway_now; then the interfaces are looked at again */
    uint64_t saved_rules_due; /* gateway_now() of the next look at saved rules */
    struct notices notices;
    struct neighbours *neighbours; /* NULL: not open (yet) */
    bool neighbours_failed;
    bool guards_sources;           /* ruleset_guard_sources */
    bool has_legacy_nat;           /* of iptables-legacy, in this namespace */
    uint64_t guard_until;          /* gateway_now; UINT64_MAX while there is such a rule */
    uint64_t neighbours_due;       /* gateway_now; then others' rules are looked at */
    bool neighbours_policy;        /* they were looked at for the active policy ... */
    uint32_t neighbours_interface; /* ... and for this interface */
    struct {
        uint64_t due, gone_since; /* gateway_now; 0: there are flowtables, or none was looked for */
        uint32_t hosts;           /* a sum of our hosts when connections were last deleted */
        uint32_t walks;           /* over all connections, that are still to be done */
        uint32_t tries;           /* to remove what is no longer needed, that are left */
        bool failed;              /* the log has said that they cannot be kept out */
    } flowtables;                 /* flowtables.c */
    uint64_t logged_event;        /* the next event for the log at level debug */
    uint64_t logged_until;        /* gateway_now; dropped packets are in the log until then */
    struct shortages shortages;
    struct pulses pulses; /* of the threads */
};

/*
 * Ends one step of a walk through the table: unlocks as gateway_unlock_and_order, and lets a thread
 * run that waits for this processor.
 */
void gateway_end_step(struct gateway *gateway);

/*
 * Wakes the thread that takes orders to the kernel; any thread may call it, without the lock. At
 * most one system call for each time that the thread wakes up.
 */
void gateway_wake_offload(struct gateway *gateway);

/*
 * The offload thread waits here. Returns 0 when there may be orders, and after `most_ms`
 * milliseconds at the latest; later orders wake it again. Otherwise -errno.
 */
int gateway_wait_for_orders(struct gateway *gateway, int most_ms);

#endif
