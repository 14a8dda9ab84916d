/*
 * ruleset_internal.h - how a ruleset becomes one batch of nf_tables messages
 *
 * ruleset_batch.c collects messages, sends them as one transaction and says which failed;
 * ruleset_sets.c and ruleset_rules.c put the table's contents into a batch; ruleset.c decides what
 * goes in and what to try next. Internal to src/netfilter/ruleset*.c and the kernel tests.
 */
#ifndef PORTREEVE_RULESET_INTERNAL_H
#define PORTREEVE_RULESET_INTERNAL_H

#include "portreeve/ruleset.h"

#include <libmnl/libmnl.h>

#define RULESET_TABLE        "portreeve"
#define RULESET_CHAIN_DEFRAG "defrag"

/* No single message grows beyond this. */
#define BATCH_MESSAGE_MAX 65536

/* What the kernel may lack, in the order of preference. */
enum queue_method { QUEUE_NATIVE, QUEUE_TARGET };
enum defrag_method { DEFRAG_TPROXY, DEFRAG_CT, DEFRAG_NONE };

struct ruleset_plan {
    enum queue_method queue;
    enum defrag_method defrag;
    bool offload;
};

/*
 * A transaction: messages one behind the other. Memory that runs out is remembered in `failed`, and
 * sending refuses, so that nobody who adds a message has to ask.
 */
struct batch {
    char *data;
    size_t length; /* of the finished messages */
    size_t capacity;
    struct nlmsghdr *open; /* the message being built, behind the finished ones; NULL: none */
    uint32_t first_sequence, last_sequence;
    bool failed;
    mnl_cb_t echo; /* gets messages that the kernel sends back (NLM_F_ECHO), whichever batch they
                      are of */
    void *echo_context;
};

struct batch_failure {
    uint32_t sequence;
    int result; /* -errno */
};

/* What the kernel said about a batch: in the batch's order, the first ones if there are many. */
struct batch_outcome {
    struct batch_failure failures[32];
    size_t count;
};

/* A socket for transactions, with room for the answers to a large one. As netlink_open. */
int batch_socket_open(struct mnl_socket **socket, const char *purpose, struct error *error);

/*
 * Starts a batch with this sequence number; -ENOMEM. batch_free in any case, also after a failure.
 */
int batch_begin(struct batch *batch, uint32_t sequence);
void batch_free(struct batch *batch);

/* Starts a message. What it points at is valid until the next batch_ call. Never NULL. */
struct nlmsghdr *batch_message(struct batch *batch, uint16_t type, uint16_t flags);

/* Completes the batch. batch_commit does it, too, if nobody has. */
void batch_end(struct batch *batch);

/*
 * Sends the batch and reads what the kernel says. 0 when all of it was done, else -errno of the
 * first failure.
 */
int batch_commit(struct batch *batch, struct mnl_socket *socket, struct batch_outcome *outcome);

/* The message of this number, or NULL. */
const struct nlmsghdr *batch_find(const struct batch *batch, uint32_t sequence);

/* The chain that an NFT_MSG_NEWRULE message is about. */
const char *batch_rule_chain(const struct nlmsghdr *message);

/* Writes a sentence about the first failure: "<doing>: set tcp_ports: ...". */
void batch_explain(const struct batch *batch, const struct batch_outcome *outcome, int result,
                   const char *doing, struct error *error);

/*
 * nft's numbers for types. The kernel only stores them, for `nft list`, which then shows 192.0.2.1
 * for an NFT_ADDRESS.
 */
enum nft_type {
    NFT_ADDRESS = 7,
    NFT_PROTOCOL = 12,
    NFT_PORT = 13,
    NFT_ICMP_TYPE = 14,
};

enum set_id {
    SET_EXTERNAL,
    SET_SOURCES,
    SET_TARGETS,
    SET_PUBLISHED,                                        /* + enum protocol_index */
    SET_PROTOCOLS = SET_PUBLISHED + PROTOCOL_PORTS_COUNT, /* what is translated */
    SET_ICMP_INBOUND, /* types that are ours to translate when they come from outside */
    SET_ICMP_ERRORS,
    SET_COUNT
};

const char *set_name(enum set_id id);

/*
 * A set or map of our table by its name, for a message about it; nftnl_set_free. NULL without
 * memory.
 */
struct nftnl_set *set_begin(const char *name);

/* Creates the sets and fills those that never change. */
void sets_create(struct batch *batch);

/*
 * Empties the sets of ruleset_contents; fills them. -EINVAL with a sentence when something is not
 * IPv4, -ENOMEM.
 */
void sets_flush(struct batch *batch);
int sets_fill(struct batch *batch, const struct ruleset_contents *contents, struct error *error);

/* Removes the table. */
void rules_remove_table(struct batch *batch);

/*
 * Removes what there is and creates the table and its chains; then their rules, once the sets
 * exist.
 */
void rules_create_chains(struct batch *batch);
void rules_create(struct batch *batch, const struct ruleset_options *options,
                  struct ruleset_plan plan);

#endif
