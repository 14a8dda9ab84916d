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

struct ruleset {
    struct mnl_socket *socket;
    uint32_t sequence; /* of the next batch */
    struct ruleset_plan plan;
    uint32_t generation; /* of nf_tables, when the rules were last seen to be intact */
    uint32_t rules;      /* how many we installed */
};

int ruleset_open(struct ruleset **ruleset, struct error *error)
{
    struct ruleset *opened = calloc(1, sizeof(*opened));
    int code;

    if (!opened) {
        error_set(error, "nf_tables rules: not enough memory");
        return -ENOMEM;
    }
    code = batch_socket_open(&opened->socket, "nf_tables rules", error);
    if (code < 0) {
        free(opened);
        return code;
    }
    opened->sequence = 1;
    *ruleset = opened;
    return 0;
}

void ruleset_close(struct ruleset *ruleset)
{
    if (!ruleset)
        return;
    mnl_socket_close(ruleset->socket);
    free(ruleset);
}

static int begin(struct ruleset *ruleset, struct batch *batch, struct error *error)
{
    int code = batch_begin(batch, ruleset->sequence);

    if (code < 0)
        error_set(error, "nf_tables rules: not enough memory");
    return code;
}

static int commit(struct ruleset *ruleset, struct batch *batch, struct batch_outcome *outcome)
{
    int code = batch_commit(batch, ruleset->socket, outcome);

    ruleset->sequence = batch->last_sequence + 1;
    return code;
}

/*
 * True when nothing but rules or the maps of offload failed, and for each there is another way;
 * *plan becomes that.
 */
static bool next_plan(struct ruleset_plan *plan, const struct batch *batch,
                      const struct batch_outcome *outcome)
{
    bool queue = false, defrag = false;

    for (size_t i = 0; i < outcome->count; i++) {
        const struct nlmsghdr *message = batch_find(batch, outcome->failures[i].sequence);

        if (message && message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET) &&
            plan->offload) {
            plan->offload = false; /* no expressions of sets */
            return true;
        }
        if (!message || message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
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

/* One try. 1: failed, but *plan has become another that may do. */
static int install(struct ruleset *ruleset, struct ruleset_plan *plan,
                   const struct ruleset_options *options, const struct ruleset_contents *contents,
                   struct error *error)
{
    struct batch_outcome outcome;
    struct batch batch;
    int code = begin(ruleset, &batch, error);

    if (code < 0)
        return code;
    rules_create_chains(&batch);
    sets_create(&batch);
    if (plan->offload)
        offload_create_maps(&batch, options->offload_sessions);
    code = sets_fill(&batch, contents, error);
    if (code == 0) {
        rules_create(&batch, options, *plan);
        code = commit(ruleset, &batch, &outcome);
        if (code < 0 && next_plan(plan, &batch, &outcome))
            code = 1;
        else if (code < 0)
            batch_explain(&batch, &outcome, code, "cannot install the nf_tables rules", error);
    }
    batch_free(&batch);
    return code;
}

/* Watching. */

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
    char buffer[256] = {0};
    struct nlmsghdr *request = question(buffer, NFT_MSG_GETRULE, NLM_F_DUMP);

    mnl_attr_put_strz(request, NFTA_RULE_TABLE, RULESET_TABLE);
    return netlink_ask(ruleset->socket, request, each, context);
}

/*
 * How many rules our table has. False when it cannot be told now (a dump that a change disturbed).
 */
static bool count_rules(struct ruleset *ruleset, uint32_t *count)
{
    int code;

    *count = 0;
    code = list_rules(ruleset, count_one, count);
    return code == 0 || code == -ENOENT; /* no such table: no rules */
}

bool ruleset_is_intact(struct ruleset *ruleset)
{
    char buffer[256] = {0};
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
    int code;

    if (options->queue_count == 0 || options->first_queue + options->queue_count > UINT16_MAX + 1) {
        error_set(error, "queues %u to %u: the highest queue number is 65535", options->first_queue,
                  options->first_queue + options->queue_count - 1u);
        return -EINVAL;
    }
    do {
        code = install(ruleset, &plan, options, contents, error);
    } while (code == 1);
    if (code == 0) {
        ruleset->plan = plan;
        if (!count_rules(ruleset, &ruleset->rules))
            ruleset->rules = 0; /* not watched, then */
    }
    return code;
}

int ruleset_update(struct ruleset *ruleset, const struct ruleset_contents *contents,
                   struct error *error)
{
    struct batch_outcome outcome;
    struct batch batch;
    int code = begin(ruleset, &batch, error);

    if (code < 0)
        return code;
    sets_flush(&batch);
    code = sets_fill(&batch, contents, error);
    if (code == 0) {
        code = commit(ruleset, &batch, &outcome);
        if (code < 0)
            batch_explain(&batch, &outcome, code, "cannot update the nf_tables rules", error);
    }
    batch_free(&batch);
    return code;
}

int ruleset_remove(struct ruleset *ruleset, struct error *error)
{
    struct batch_outcome outcome;
    struct batch batch;
    int code = begin(ruleset, &batch, error);

    if (code < 0)
        return code;
    rules_remove_table(&batch);
    code = commit(ruleset, &batch, &outcome);
    if (code == -ENOENT)
        code = 0;
    if (code < 0)
        batch_explain(&batch, &outcome, code, "cannot remove the nf_tables rules", error);
    batch_free(&batch);
    return code;
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
