/*
 * ruleset.c - the rules as a whole: install, update, watch, remove
 */
#include "ruleset_internal.h"

#include "netlink.h"
#include "offload_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define QUEUE_NUMBERS (UINT16_MAX + 1u)

struct ruleset {
    struct mnl_socket *socket;
    uint32_t sequence; /* of the next batch */
    struct ruleset_plan plan;
    uint32_t generation; /* of nf_tables, when the rules were last known to be complete */
    uint32_t rules;      /* how many rules we have installed */
};

int ruleset_open(struct ruleset **ruleset, struct error *error)
{
    struct ruleset *opened = calloc(1, sizeof(*opened));
    int result;

    if (opened == NULL) {
        error_set(error, "nf_tables rules: not enough memory");
        return -ENOMEM;
    }
    result = batch_socket_open(&opened->socket, "nf_tables rules", error);
    if (result < 0) {
        free(opened);
        return result;
    }
    opened->sequence = 1;
    *ruleset = opened;
    return 0;
}

void ruleset_close(struct ruleset *ruleset)
{
    if (ruleset == NULL)
        return;
    mnl_socket_close(ruleset->socket);
    free(ruleset);
}

static int begin(struct ruleset *ruleset, struct batch *batch, struct error *error)
{
    int result = batch_begin(batch, ruleset->sequence);

    if (result < 0)
        error_set(error, "nf_tables rules: not enough memory");
    return result;
}

static int commit(struct ruleset *ruleset, struct batch *batch, struct batch_outcome *outcome)
{
    int result = batch_commit(batch, ruleset->socket, outcome);

    ruleset->sequence = batch->last_sequence + 1;
    return result;
}

/*
 * True if only rules or the offload maps failed, and there is an alternative for each; then *plan
 * contains it.
 */
static bool next_plan(struct ruleset_plan *plan, const struct batch *batch,
                      const struct batch_outcome *outcome)
{
    bool queue = false, defrag = false;

    for (size_t i = 0; i < outcome->count; i++) {
        const struct nlmsghdr *message = batch_find(batch, outcome->failures[i].sequence);

        if (message != NULL &&
            message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET) && plan->offload) {
            plan->offload = false; /* this kernel has no expressions in sets */
            return true;
        }
        if (message == NULL || message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
            return false;
        if (strcmp(batch_rule_chain(message), RULESET_CHAIN_DEFRAG) == 0)
            defrag = true;
        else
            queue = true;
    }
    if ((queue && plan->queue == QUEUE_TARGET) || (!queue && !defrag))
        return false;
    if (queue)
        plan->queue = QUEUE_TARGET;
    if (defrag)
        plan->defrag = plan->defrag == DEFRAG_TPROXY ? DEFRAG_CT : DEFRAG_NONE;
    return true;
}

/* Chains, sets and maps. Kept sets get their new elements later in the same transaction. */
static void put_frame(struct batch *batch, const struct ruleset_plan *plan, bool keep_chains,
                      uint32_t offload_sessions)
{
    if (keep_chains) {
        rules_empty_chains(batch);
        offload_remove_maps(batch, plan->offload ? offload_sessions : 1);
    } else {
        rules_create_chains(batch);
    }
    sets_create(batch);
    if (keep_chains)
        sets_flush(batch);
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
    struct batch_outcome outcome;
    struct batch batch;
    int result = begin(ruleset, &batch, error);

    if (result < 0)
        return result;
    put_frame(&batch, plan, keep_chains, options->offload_sessions);
    result = sets_fill(&batch, contents, error);
    if (result == 0) {
        rules_create(&batch, options, *plan);
        result = commit(ruleset, &batch, &outcome);
        if (result < 0 && !keep_chains && next_plan(plan, &batch, &outcome))
            result = 1;
        else if (result < 0)
            batch_explain(&batch, &outcome, result, "cannot install the nf_tables rules", error);
    }
    batch_free(&batch);
    return result;
}

/* Watching the rules. */

static struct nlmsghdr *question(char *buffer, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *general = mnl_nlmsg_put_extra_header(request, sizeof(*general));

    request->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    request->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    general->nfgen_family = NFPROTO_IPV4;
    general->version = NFNETLINK_V0;
    return request;
}

static int take_generation_id(const struct nlattr *attribute, void *generation)
{
    if (mnl_attr_get_type(attribute) == NFTA_GEN_ID &&
        mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
        *(uint32_t *)generation = ntohl(mnl_attr_get_u32(attribute));
    return MNL_CB_OK;
}

static int take_generation(const struct nlmsghdr *message, void *generation)
{
    return mnl_attr_parse(message, sizeof(struct nfgenmsg), take_generation_id, generation);
}

static int count_one(const struct nlmsghdr *message, void *count)
{
    if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
        ++*(uint32_t *)count;
    return MNL_CB_OK;
}

static int list_rules(struct ruleset *ruleset, mnl_cb_t each, void *context)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = question(buffer, NFT_MSG_GETRULE, NLM_F_DUMP);

    mnl_attr_put_strz(request, NFTA_RULE_TABLE, RULESET_TABLE);
    return netlink_ask(ruleset->socket, request, each, context);
}

/*
 * Counts the rules of our table. False if the number is unknown (a change has disturbed the dump).
 */
static bool count_rules(struct ruleset *ruleset, uint32_t *count)
{
    int result;

    *count = 0;
    result = list_rules(ruleset, count_one, count);
    return result == 0 || result == -ENOENT; /* no such table: no rules */
}

bool ruleset_is_intact(struct ruleset *ruleset)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = question(buffer, NFT_MSG_GETGEN, NLM_F_ACK);
    uint32_t generation = 0, rules;

    if (netlink_ask(ruleset->socket, request, take_generation, &generation) < 0 ||
        generation == ruleset->generation || !count_rules(ruleset, &rules))
        return true;
    if (rules < ruleset->rules)
        return false;
    ruleset->generation = generation;
    return true;
}

int ruleset_install(struct ruleset *ruleset, const struct ruleset_options *options,
                    const struct ruleset_contents *contents, struct error *error)
{
    struct ruleset_plan plan = {
        .queue = QUEUE_NATIVE, .defrag = DEFRAG_TPROXY, .offload = options->offload_sessions > 0};
    int result;

    if (options->queue_count == 0 || options->first_queue + options->queue_count > QUEUE_NUMBERS) {
        error_set(error, "queues %u to %u: the highest queue number is %u", options->first_queue,
                  options->first_queue + options->queue_count - 1u, QUEUE_NUMBERS - 1);
        return -EINVAL;
    }
    do {
        /* If that fails, maps of another size, or a kernel that lacks something, may be why. */
        result = install(ruleset, &plan, true, options, contents, error);
        if (result < 0)
            result = install(ruleset, &plan, false, options, contents, error);
    } while (result == 1);
    if (result == 0) {
        ruleset->plan = plan;
        if (!count_rules(ruleset, &ruleset->rules))
            ruleset->rules = 0; /* then the rules are not watched */
    }
    return result;
}

int ruleset_update(struct ruleset *ruleset, const struct ruleset_contents *contents,
                   struct error *error)
{
    struct batch_outcome outcome;
    struct batch batch;
    int result = begin(ruleset, &batch, error);

    if (result < 0)
        return result;
    sets_flush(&batch);
    result = sets_fill(&batch, contents, error);
    if (result == 0) {
        result = commit(ruleset, &batch, &outcome);
        if (result < 0)
            batch_explain(&batch, &outcome, result, "cannot update the nf_tables rules", error);
    }
    batch_free(&batch);
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

int ruleset_read_hits(struct ruleset *ruleset, struct ruleset_hits *hits)
{
    *hits = (struct ruleset_hits){0};
    return list_rules(ruleset, offload_count_hits, hits);
}

bool ruleset_has_offload(const struct ruleset *ruleset)
{
    return ruleset->plan.offload;
}
