/*
 * ruleset_internal.h - how a ruleset becomes one batch of nf_tables messages
 *
 * ruleset_batch.c collects messages, sends them as one transaction and says which ones failed.
 * ruleset_sets.c and ruleset_rules.c add the contents of the table to a batch. ruleset.c decides
 * what to install and what to try next. Internal to src/netfilter/ruleset*.c and the kernel tests.
 */
#ifndef PORTREEVE_RULESET_INTERNAL_H
#define PORTREEVE_RULESET_INTERNAL_H

#include "portreeve/ruleset.h"

#include <libmnl/libmnl.h>

#define RULESET_TABLE        "portreeve"
#define RULESET_CHAIN_DEFRAG "defrag"

/* No message becomes larger than this (bytes). */
#define BATCH_MESSAGE_MAX 65536

/* Features that the kernel may lack, the preferred one first. */
enum queue_method { QUEUE_NATIVE, QUEUE_TARGET };
enum defrag_method { DEFRAG_TPROXY, DEFRAG_CT, DEFRAG_NONE };

struct ruleset_plan {
    enum queue_method queue;
    enum defrag_method defrag;
    bool sockets; /* connected sockets of the gateway first */
    bool sources; /* forged sources are told from those of a one-armed gateway's inside */
    bool rates;   /* of newcomers are limited before the queue */
    bool offload;
    uint32_t table_flags; /* TABLE_OWNER, TABLE_PERSIST; 0: every program may change the table */
};

/* enum nft_table_flags. Linux has the first since 5.12, the second since 6.9; headers may not. */
#define TABLE_OWNER   0x2u
#define TABLE_PERSIST 0x4u

/*
 * A transaction: one message after the other. If memory runs out, `failed` is set and the batch is
 * not sent, so the functions that add messages return no error.
 */
struct batch {
    char *data;
    size_t length; /* of the finished messages */
    size_t capacity;
    struct nlmsghdr *open; /* the message being built, after the finished ones; NULL: none */
    uint32_t first_sequence, last_sequence;
    bool failed;
    mnl_cb_t echo; /* gets the messages that the kernel echoes (NLM_F_ECHO), of any batch */
    void *echo_context;
};

struct table_socket;

/* The socket of a ruleset, for offload_maps.c: both change the same table. */
struct table_socket *ruleset_socket(const struct ruleset *ruleset);

struct batch_failure {
    uint32_t sequence;
    int result; /* -errno */
};

/* The kernel's errors about a batch, in its order; only the first ones if there are many. */
struct batch_outcome {
    struct batch_failure failures[32];
    size_t count;
};

/*
 * Opens a socket for transactions, with room for the answers to a large one. Returns as
 * netlink_open.
 */
int batch_socket_open(struct mnl_socket **socket, const char *purpose, struct error *error);

/*
 * Starts a batch with this sequence number. Returns 0 or -ENOMEM. Call batch_free in any case, also
 * after a failure.
 */
int batch_begin(struct batch *batch, uint32_t sequence);
void batch_free(struct batch *batch);

/* Starts a message. The pointer is valid until the next batch_ call. Never NULL. */
struct nlmsghdr *batch_message(struct batch *batch, uint16_t type, uint16_t flags);

/* Completes the batch. batch_commit calls it, too, if the batch is not complete. */
void batch_end(struct batch *batch);

/*
 * Sends the batch and reads the kernel's answers. Returns 0 if all of it was done, otherwise -errno
 * of the first failure.
 */
int batch_commit(struct batch *batch, struct mnl_socket *socket, struct batch_outcome *outcome);

/* The message with this sequence number, or NULL. */
const struct nlmsghdr *batch_find(const struct batch *batch, uint32_t sequence);

/* The chain of an NFT_MSG_NEWRULE message, and whether the rule has an expression of this name. */
const char *batch_rule_chain(const struct nlmsghdr *message);
bool batch_rule_has(const struct nlmsghdr *message, const char *expression);

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
    NFT_IFINDEX = 20,
    NFT_IFNAME = 41,
};

enum set_id {
    SET_EXTERNAL,
    SET_INTERFACES, /* the external ones */
    SET_NAMES,      /* of external interfaces */
    SET_SOURCES,
    SET_TARGETS,
    SET_OTHER_UPLINKS, /* interfaces that lead outside and are not external */
    SET_CLOSED,        /* hosts that packets of no session do not reach from outside */
    SET_EXEMPT,        /* hosts outside whose packets reach them */
    SET_PUBLISHED,     /* + enum protocol_index */
    SET_BOUND = SET_PUBLISHED + PROTOCOL_PORTS_COUNT, /* + enum protocol_index */
    SET_PROTOCOLS = SET_BOUND + PROTOCOL_PORTS_COUNT, /* what is translated */
    SET_ICMP_INBOUND, /* types from outside that may need translation */
    SET_ICMP_ERRORS,
    SET_UPLINK, /* + the number of an uplink: its interface. Only where there are several */
    SET_COUNT = SET_UPLINK + RULESET_UPLINKS_MAX
};

/* Ids of what has no enum set_id, in a batch: the maps of offloaded sessions, and other sets. */
enum {
    ID_OFFLOAD_MAPS = SET_COUNT + 1, /* + enum packet_hook */
    ID_TRANSIT = ID_OFFLOAD_MAPS + 2,
    ID_ANSWERS,
    ID_DIRECT,
    ID_OVERSIZE_MAPS, /* + enum packet_hook */
    ID_SYN_RATES = ID_OVERSIZE_MAPS + 2,
};

const char *set_name(enum set_id id);

/*
 * A set or map of our table, by its name, to build a message about it; nftnl_set_free frees it.
 * NULL without memory.
 */
struct nftnl_set *set_begin(const char *name);

/* Removes a set or map of our table by its name, or all its elements. */
void set_put_removal(struct batch *batch, const char *name);
void set_put_clearing(struct batch *batch, const char *name);

/* Creates the sets for so many uplinks, and fills those that never change. */
void sets_create(struct batch *batch, size_t uplinks);

/*
 * Makes the sets of ruleset_contents contain this; what is in them already stays untouched
 * (ruleset_elements.h). `socket` reads what the kernel has; NULL: the sets are new. Returns 0, or
 * -errno and a sentence: -EINVAL if something is not IPv4, -ENOMEM.
 */
int sets_fill(struct batch *batch, struct table_socket *socket,
              const struct ruleset_contents *contents, struct error *error);

/* Removes the table. */
void rules_remove_table(struct batch *batch);

/*
 * First removes the old table and creates the table, with these flags (struct ruleset_plan), and
 * its chains; then, when the sets exist, their rules.
 */
void rules_create_chains(struct batch *batch, uint32_t table_flags);
/*
 * Instead of rules_create_chains: keeps the chains of an earlier run, creates those that are
 * missing, and removes all rules. The kernel refuses it if the table has other flags, but for two
 * cases: a table that persists without an owner gets one, and one that sleeps is woken
 * (nf_tables_updtable).
 */
void rules_empty_chains(struct batch *batch, uint32_t table_flags);
void rules_create(struct batch *batch, const struct ruleset_options *options,
                  const struct ruleset_contents *contents, struct ruleset_plan plan);

/* Creates the chain that keeps others' nat chains off the sources of shares, with its rule or not.
 */
void rules_guard_sources(struct batch *batch, bool on);

#endif
