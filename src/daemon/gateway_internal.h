/*
 * gateway_internal.h - shared by gateway.c (life), gateway_policy.c (what applies) and
 * gateway_status.c (how it goes)
 */
#ifndef PORTREEVE_GATEWAY_INTERNAL_H
#define PORTREEVE_GATEWAY_INTERNAL_H

#include "gateway_offload.h"
#include "portreeve/addresses.h"
#include "portreeve/gateway.h"
#include "portreeve/host_ports.h"
#include "portreeve/ruleset.h"
#include "state.h"
#include "worker.h"

#include <pthread.h>

#define RATE_SECONDS 10

/* Sessions looked at under one hold of the lock by what walks them all. */
#define GATEWAY_BUDGET 128

struct rate_sample {
    uint64_t time; /* gateway_now; 0: none yet */
    uint64_t packets[2], bytes[2];
};

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
    struct error address_problem; /* shown as a warning while it lasts */
};

/*
 * Ends a step of a walk over the table: as gateway_unlock_and_order, and whoever waits for this
 * processor goes first.
 */
void gateway_end_step(struct gateway *gateway);

/*
 * A sealed policy from the configured one, less what has expired, plus the active one's run-time
 * forwards and, if not NULL, `addition`; less the run-time forward `removal`. NULL after reporting
 * why not.
 */
struct policy *gateway_build_policy(struct gateway *gateway, const struct policy *configured,
                                    const struct forward_text *addition, const char *removal,
                                    config_report *report, void *context);

/*
 * Makes `next` the active policy, in the kernel's rules and in the translator. False: reported,
 * nothing changed, `next` freed.
 */
bool gateway_apply_policy(struct gateway *gateway, struct policy *next, config_report *report,
                          void *context, uint32_t *sessions_ended);

/* Reads the external addresses anew and applies them; logs what changed. 0 or -errno. */
int gateway_refresh_addresses(struct gateway *gateway, struct error *error);

/*
 * Installs the rules (`install`) or exchanges the sets' contents, for this policy and the external
 * addresses in use.
 */
int gateway_write_rules(struct gateway *gateway, const struct policy *policy, bool install,
                        struct error *error);

/* Drops run-time and configured forwards whose time has come. */
void gateway_expire_forwards(struct gateway *gateway);

void gateway_measure_rates(struct gateway *gateway);

/* The rules have been installed anew: their counters begin again. */
void gateway_begin_hits(struct gateway *gateway);

#endif
