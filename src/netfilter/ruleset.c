/*
 * ruleset.c - the rules as a whole: install, update, remove
 */
#include "ruleset_internal.h"

#include "conntrack_helper.h"
#include "netlink.h"
#include "offload_internal.h"
#include "ruleset_flowtables.h"
#include "ruleset_rule.h"
#include "ruleset_watch.h"
#include "table_socket.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libnftnl/common.h>

#define QUEUE_NUMBERS (UINT16_MAX + 1u)
#define LOOK_AGAIN_MS 10
#define HELPER_TRIES  50

struct ruleset {
    struct table_socket *socket;
    struct ruleset_watch *watch; /* NULL: nobody else can change the table */
    struct ruleset_plan plan;
    uint16_t first_queue;
    uint32_t new_per_remote;            /* of the rules that are installed */
    bool guards_sources;                /* ruleset_guard_sources */
    enum ruleset_flowtables flowtables; /* the installed table has these rules */
    bool has_helper;                    /* that they use */
    bool is_removed;                    /* ruleset_remove has succeeded */
};

int ruleset_open(struct ruleset **ruleset, int descriptor, struct error *error)
{
    struct ruleset *opened = calloc(1, sizeof(*opened));
    int result;

    if (opened == NULL) {
        error_set(error, "nf_tables rules: not enough memory");
        if (descriptor >= 0)
            close(descriptor);
        return -ENOMEM;
    }
    result = table_socket_open(&opened->socket, descriptor, error);
    if (result < 0) {
        free(opened);
        return result;
    }
    *ruleset = opened;
    return 0;
}

static int change_helper(struct ruleset *ruleset, bool on, struct error *error)
{
    static const char purpose[] = "a helper of connection tracking";
    struct mnl_socket *socket = NULL; /* only needed for a moment */
    int result = netlink_open(&socket, NETLINK_NETFILTER, 0, purpose, error);

    if (result < 0)
        return result;
    result = on ? conntrack_helper_register(socket) : conntrack_helper_remove(socket);
    mnl_socket_close(socket);
    if (result == 0)
        ruleset->has_helper = on;
    if (result == -EPERM)
        error_set(error, "%s: needs CAP_NET_ADMIN in the initial user namespace", purpose);
    else if (result < 0)
        error_set(error, "%s: the kernel lacks CONFIG_NF_CT_NETLINK_HELPER (%s)", purpose,
                  strerror(-result));
    return result;
}

/*
 * The end of a netlink socket makes the kernel finish what removed rules still use
 * (nft_rcv_nl_event: nf_tables_trans_destroy_flush_work), so the helper is free only now, or a
 * moment later: on a busy machine the kernel's own worker may have begun with it, and not be done.
 */
static void remove_helper(struct ruleset *ruleset)
{
    struct error ignored;

    for (int tries = 0; tries < HELPER_TRIES && ruleset->has_helper; tries++) {
        if (change_helper(ruleset, false, &ignored) == -EBUSY)
            poll(NULL, 0, LOOK_AGAIN_MS);
        else
            return;
    }
}

void ruleset_close(struct ruleset *ruleset)
{
    if (ruleset == NULL)
        return;
    ruleset_watch_close(ruleset->watch);
    table_socket_close(ruleset->socket);
    if (ruleset->is_removed)
        remove_helper(ruleset);
    free(ruleset);
}

int ruleset_descriptor(const struct ruleset *ruleset)
{
    return table_socket_descriptor(ruleset->socket);
}

struct table_socket *ruleset_socket(const struct ruleset *ruleset)
{
    return ruleset->socket;
}

static int begin(struct ruleset *ruleset, struct batch *batch, struct error *error)
{
    int result = table_socket_begin(ruleset->socket, batch);

    if (result < 0)
        error_set(error, "nf_tables rules: not enough memory");
    return result;
}

static int commit(struct ruleset *ruleset, struct batch *batch, struct batch_outcome *outcome)
{
    return table_socket_commit(ruleset->socket, batch, outcome);
}

/* Sends the batch, and frees it. `doing` is the beginning of the sentence about a failure. */
static int finish(struct ruleset *ruleset, struct batch *batch, const char *doing,
                  struct error *error)
{
    struct batch_outcome outcome;
    int result = commit(ruleset, batch, &outcome);

    if (result < 0)
        batch_explain(batch, &outcome, result, doing, error);
    batch_free(batch);
    return result;
}

/* The kernel does not know these flags of a table, or the table has others. */
static bool flags_failed(const struct nlmsghdr *message, int result)
{
    return message != NULL && result == -EOPNOTSUPP &&
           message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE);
}

/*
 * If chains and sets of an earlier run were to be kept, they may be the reason of a failure; then
 * they are replaced before anything else is given up. Not so if the kernel does not know an
 * expression (-ENOENT, nft_expr_type_get): new chains would not help. And they would cost packets:
 * when the kernel takes back a transaction that has created base chains, it drops what waits in the
 * queues (nf_unregister_net_hook, nf_queue_nf_hook_drop).
 */
static bool may_be_new_chains(const struct batch *batch, const struct batch_outcome *outcome)
{
    for (size_t i = 0; i < outcome->count; i++) {
        const struct nlmsghdr *message = batch_find(batch, outcome->failures[i].sequence);

        if (message == NULL || outcome->failures[i].result != -ENOENT ||
            message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
            return true;
    }
    return false;
}

/*
 * True if only the flags of the table, rules or the offload maps failed, and there is an
 * alternative for each; then *plan contains it.
 */
static bool next_plan(struct ruleset_plan *plan, const struct batch *batch,
                      const struct batch_outcome *outcome)
{
    bool queue = false, defrag = false, sockets = false, sources = false, rates = false;

    for (size_t i = 0; i < outcome->count; i++) {
        const struct nlmsghdr *message = batch_find(batch, outcome->failures[i].sequence);

        if (flags_failed(message, outcome->failures[i].result) && plan->table_flags != 0) {
            plan->table_flags = 0;
            return true;
        }
        if (message != NULL &&
            message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET) && plan->offload) {
            plan->offload = false; /* this kernel has no expressions in sets */
            return true;
        }
        if (message == NULL || message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
            return false;
        if (strcmp(batch_rule_chain(message), RULESET_CHAIN_DEFRAG) == 0)
            defrag = true;
        else if (batch_rule_has(message, "socket"))
            sockets = true;
        else if (batch_rule_has(message, "fib"))
            sources = true;
        else if (plan->rates && batch_rule_has(message, "dynset") &&
                 strcmp(batch_rule_chain(message), CHAIN_NEWCOMERS) == 0)
            rates = true;
        else
            queue = true;
    }
    if ((queue && plan->queue == QUEUE_TARGET) ||
        (!queue && !defrag && !sockets && !sources && !rates))
        return false;
    if (rates)
        plan->rates = false;
    if (sockets)
        plan->sockets = false;
    if (sources)
        plan->sources = false;
    if (queue)
        plan->queue = QUEUE_TARGET;
    if (defrag)
        plan->defrag = plan->defrag == DEFRAG_TPROXY ? DEFRAG_CT : DEFRAG_NONE;
    return true;
}

/* True if our table has something of this name; the request and its attributes say what. */
static bool has(struct ruleset *ruleset, uint16_t type, uint16_t name_attribute, const char *name)
{
    const uint16_t table = 1; /* NFTA_SET_TABLE, NFTA_CHAIN_TABLE */
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = nftnl_nlmsg_build_hdr(buffer, type, NFPROTO_IPV4, NLM_F_ACK, 0);

    mnl_attr_put_strz(request, table, RULESET_TABLE);
    mnl_attr_put_strz(request, name_attribute, name);
    return table_socket_ask(ruleset->socket, request, NULL, NULL) == 0;
}

static bool has_map(struct ruleset *ruleset, enum packet_hook hook)
{
    return has(ruleset, NFT_MSG_GETSET, NFTA_SET_NAME, offload_map_name(hook));
}

static bool has_chain(struct ruleset *ruleset, const char *chain)
{
    return has(ruleset, NFT_MSG_GETCHAIN, NFTA_CHAIN_NAME, chain);
}

static enum ruleset_flowtables left_by_earlier(struct ruleset *ruleset)
{
    if (!has_chain(ruleset, CHAIN_NO_FLOWTABLE))
        return FLOWTABLES_IGNORED;
    return has_chain(ruleset, CHAIN_NO_HELPER) ? FLOWTABLES_CLOSED : FLOWTABLES_AVOIDED;
}

/*
 * Chains, sets and maps. Kept sets change later in the same transaction. Maps begin
 * anew, because their size may be another.
 */
static void put_frame(struct ruleset *ruleset, struct batch *batch, const struct ruleset_plan *plan,
                      bool keep_chains, size_t uplinks, uint32_t offload_sessions)
{
    if (keep_chains) {
        rules_empty_chains(batch, plan->table_flags);
        for (int hook = 0; hook < 2; hook++) {
            if (has_map(ruleset, (enum packet_hook)hook))
                set_put_removal(batch, offload_map_name((enum packet_hook)hook));
        }
    } else {
        rules_create_chains(batch, plan->table_flags);
    }
    sets_create(batch, uplinks);
    if (plan->offload)
        offload_create_maps(batch, offload_sessions);
}

/*
 * Tries one plan, in the chains of an earlier run or in new ones. Returns 1 if it failed, but *plan
 * now contains another one.
 */
static int install(struct ruleset *ruleset, struct ruleset_plan *plan, bool keep_chains,
                   const struct ruleset_options *options, const struct ruleset_contents *contents,
                   struct error *error)
{
    const enum ruleset_flowtables left =
        keep_chains ? left_by_earlier(ruleset) : FLOWTABLES_IGNORED;
    struct batch_outcome outcome;
    struct batch batch;
    int result = begin(ruleset, &batch, error);

    if (result < 0)
        return result;
    put_frame(ruleset, &batch, plan, keep_chains, contents->uplink_count,
              options->offload_sessions);
    result = sets_fill(&batch, keep_chains ? ruleset->socket : NULL, contents, error);
    if (result == 0) {
        rules_create(&batch, options, contents, *plan);
        if (left != FLOWTABLES_IGNORED)
            flowtables_create_rules(&batch, left == FLOWTABLES_CLOSED);
        result = commit(ruleset, &batch, &outcome);
        if (result < 0 && !(keep_chains && may_be_new_chains(&batch, &outcome)) &&
            next_plan(plan, &batch, &outcome))
            result = 1;
        else if (result < 0)
            batch_explain(&batch, &outcome, result, "cannot install the nf_tables rules", error);
    }
    if (result == 0)
        ruleset->flowtables = left;
    ruleset->has_helper |= left == FLOWTABLES_AVOIDED;
    batch_free(&batch);
    return result;
}

/*
 * A table that others may change is watched. This begins before it is installed, so that no change
 * is missed.
 */
static int watch_if_shared(struct ruleset *ruleset, const struct ruleset_plan *plan,
                           struct error *error)
{
    if (plan->table_flags != 0 || ruleset->watch != NULL)
        return 0;
    return ruleset_watch_open(&ruleset->watch, table_socket_port(ruleset->socket), error);
}

/* Tries one plan. Returns 1 if it failed, but *plan now contains another one. */
static int try_plan(struct ruleset *ruleset, struct ruleset_plan *plan,
                    const struct ruleset_options *options, const struct ruleset_contents *contents,
                    struct error *error)
{
    int result = watch_if_shared(ruleset, plan, error);

    if (result < 0)
        return result;
    result = install(ruleset, plan, true, options, contents, error);
    if (result < 0)
        result = install(ruleset, plan, false, options, contents, error);
    return result;
}

static uint32_t wanted_flags(enum ruleset_life life)
{
    switch (life) {
    case RULESET_ENDS_WITH_SOCKET:
        return TABLE_OWNER;
    case RULESET_OUTLIVES_SOCKET:
        return TABLE_OWNER | TABLE_PERSIST;
    default:
        return 0;
    }
}

int ruleset_install(struct ruleset *ruleset, const struct ruleset_options *options,
                    const struct ruleset_contents *contents, struct error *error)
{
    struct ruleset_plan plan = {.queue = QUEUE_NATIVE,
                                .defrag = DEFRAG_TPROXY,
                                .sockets = true,
                                .sources = true,
                                .rates = true,
                                .offload = options->offload_sessions > 0,
                                .table_flags = wanted_flags(options->life)};
    const enum ruleset_flowtables before = ruleset->flowtables;
    int result;

    if (options->queue_count == 0 || options->first_queue + options->queue_count > QUEUE_NUMBERS) {
        error_set(error, "queues %u to %u: the highest queue number is %u", options->first_queue,
                  options->first_queue + options->queue_count - 1u, QUEUE_NUMBERS - 1);
        return -EINVAL;
    }
    do {
        result = try_plan(ruleset, &plan, options, contents, error);
    } while (result == 1);
    if (result == 0) {
        ruleset->plan = plan;
        ruleset->first_queue = options->first_queue;
        ruleset->new_per_remote = contents->new_per_remote;
    }
    if (result == 0 && ruleset->guards_sources) /* its rule has gone with the others */
        result = ruleset_guard_sources(ruleset, true, error);
    /* the table has been replaced; the caller asks what has become of it */
    if (result == 0 && before != FLOWTABLES_IGNORED && ruleset->flowtables != before)
        (void)ruleset_set_flowtables(ruleset, before, error);
    return result;
}

int ruleset_guard_sources(struct ruleset *ruleset, bool on, struct error *error)
{
    struct batch batch;
    int result = begin(ruleset, &batch, error);

    if (result < 0)
        return result;
    rules_guard_sources(&batch, on);
    result = finish(ruleset, &batch, "cannot keep other nat rules off the shares", error);
    ruleset->guards_sources = on && result == 0;
    return result;
}

static int change_flowtable_rules(struct ruleset *ruleset, enum ruleset_flowtables wanted,
                                  struct error *error)
{
    struct batch batch;
    int result = begin(ruleset, &batch, error);

    if (result < 0)
        return result;
    if (ruleset->flowtables != FLOWTABLES_IGNORED)
        flowtables_remove_rules(&batch, ruleset->flowtables == FLOWTABLES_CLOSED);
    if (wanted != FLOWTABLES_IGNORED)
        flowtables_create_rules(&batch, wanted == FLOWTABLES_CLOSED);
    result = finish(ruleset, &batch, "cannot keep connections out of flowtables", error);
    if (result == 0)
        ruleset->flowtables = wanted;
    return result;
}

int ruleset_set_flowtables(struct ruleset *ruleset, enum ruleset_flowtables wanted,
                           struct error *error)
{
    int result = wanted == FLOWTABLES_AVOIDED ? change_helper(ruleset, true, error) : 0;

    if (result == 0 && wanted != ruleset->flowtables)
        result = change_flowtable_rules(ruleset, wanted, error);
    if (result == 0 && wanted == FLOWTABLES_IGNORED && ruleset->has_helper)
        result = change_helper(ruleset, false, error) < 0;
    return result;
}

enum ruleset_flowtables ruleset_get_flowtables(const struct ruleset *ruleset)
{
    return ruleset->flowtables;
}

int ruleset_update(struct ruleset *ruleset, const struct ruleset_contents *contents,
                   struct error *error)
{
    struct batch batch;
    int result = begin(ruleset, &batch, error);

    if (result < 0)
        return result;
    result = sets_fill(&batch, ruleset->socket, contents, error);
    if (result < 0) {
        batch_free(&batch);
        return result;
    }
    if (contents->new_per_remote != ruleset->new_per_remote)
        newcomers_change_limit(&batch, ruleset->first_queue, contents->new_per_remote,
                               ruleset->plan);
    result = finish(ruleset, &batch, "cannot update the nf_tables rules", error);
    if (result == 0)
        ruleset->new_per_remote = contents->new_per_remote;
    return result;
}

int ruleset_remove(struct ruleset *ruleset, struct error *error)
{
    struct batch_outcome outcome;
    struct batch batch;
    int result = begin(ruleset, &batch, error);

    if (result < 0)
        return result;
    rules_remove_table(&batch);
    result = commit(ruleset, &batch, &outcome);
    if (result == -ENOENT)
        result = 0;
    if (result < 0)
        batch_explain(&batch, &outcome, result, "cannot remove the nf_tables rules", error);
    ruleset->is_removed = result == 0;
    batch_free(&batch);
    return result;
}

const char *ruleset_queue_expression(const struct ruleset *ruleset)
{
    static const char *const names[] = {[QUEUE_NATIVE] = "queue", [QUEUE_TARGET] = "NFQUEUE"};

    return names[ruleset->plan.queue];
}

const char *ruleset_defrag_expression(const struct ruleset *ruleset)
{
    static const char *const names[] = {
        [DEFRAG_TPROXY] = "tproxy", [DEFRAG_CT] = "ct", [DEFRAG_NONE] = "none"};

    return names[ruleset->plan.defrag];
}

const char *ruleset_protection(const struct ruleset *ruleset)
{
    if (ruleset->plan.table_flags & TABLE_PERSIST)
        return "owned, persistent";
    return ruleset->plan.table_flags & TABLE_OWNER ? "owned" : "watched";
}

int ruleset_watch_descriptor(const struct ruleset *ruleset)
{
    return ruleset_watch_get_descriptor(ruleset->watch);
}

bool ruleset_was_changed(struct ruleset *ruleset)
{
    return ruleset_watch_read(ruleset->watch);
}

static int list_rules(struct ruleset *ruleset, mnl_cb_t each, void *context)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request =
        nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETRULE, NFPROTO_IPV4, NLM_F_DUMP, 0);

    mnl_attr_put_strz(request, NFTA_RULE_TABLE, RULESET_TABLE);
    return table_socket_ask(ruleset->socket, request, each, context);
}

int ruleset_read_hits(struct ruleset *ruleset, struct ruleset_hits *hits)
{
    *hits = (struct ruleset_hits){0};
    return list_rules(ruleset, offload_count_hits, hits);
}

bool ruleset_checks_sources(const struct ruleset *ruleset)
{
    return ruleset->plan.sources;
}

bool ruleset_asks_sockets(const struct ruleset *ruleset)
{
    return ruleset->plan.sockets;
}

bool ruleset_has_offload(const struct ruleset *ruleset)
{
    return ruleset->plan.offload;
}
