/*
 * firewall.c - whether other programs' nf_tables rules let a forwarded packet pass
 *
 * Of each chain it is found out what may become of the packet there: it passes, is dropped, or goes
 * on behind the chain. A rule that may match leaves both ways open.
 */
#include "portreeve/firewall.h"

#include "firewall_parse.h"
#include "netlink.h"
#include "ruleset_internal.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#define RULES_MAX  8192
#define CHAINS_MAX 2048

/* What may become of the packet, or-ed. */
enum { PASS = 1, DROP = 2, GO_ON = 4, LEAVE = 8 };

struct chain {
    struct firewall_chain said;
    bool is_known, is_entered;
    unsigned ways;                   /* when it is known */
    const struct firewall_rule *why; /* the first one that drops the packet, or may */
};

struct survey {
    const struct firewall_packet *packet;
    struct chain *chains;
    size_t chain_count;
    struct firewall_rule *rules; /* in the order of each chain */
    size_t rule_count;
    bool overflows;
};

static bool is_ours(uint8_t family, const char *table)
{
    return family == NFPROTO_IPV4 && strcmp(table, RULESET_TABLE) == 0;
}

static int take_chain(const struct nlmsghdr *message, void *context)
{
    struct survey *survey = context;
    struct firewall_chain chain;

    if (!firewall_parse_chain(message, &chain) || is_ours(chain.family, chain.table))
        return MNL_CB_OK;
    if (survey->chain_count == CHAINS_MAX)
        survey->overflows = true;
    else
        survey->chains[survey->chain_count++] = (struct chain){.said = chain};
    return MNL_CB_OK;
}

/* What excludes the packet is as if it were not there. */
static int take_rule(const struct nlmsghdr *message, void *context)
{
    struct survey *survey = context;
    struct firewall_rule rule;

    if (!firewall_parse_rule(message, survey->packet, &rule) || rule.excludes ||
        rule.effect == FIREWALL_NOTHING || is_ours(rule.family, rule.table))
        return MNL_CB_OK;
    if (survey->rule_count == RULES_MAX)
        survey->overflows = true;
    else
        survey->rules[survey->rule_count++] = rule;
    return MNL_CB_OK;
}

static int list(struct mnl_socket *socket, uint16_t type, mnl_cb_t each, void *context)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *general = mnl_nlmsg_put_extra_header(request, sizeof(*general));

    request->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    general->nfgen_family = NFPROTO_UNSPEC;
    general->version = NFNETLINK_V0;
    return netlink_ask(socket, request, each, context);
}

static int list_all(struct survey *survey, struct error *error)
{
    struct mnl_socket *socket;
    int result = netlink_open(&socket, NETLINK_NETFILTER, 0, "the host's rules", error);

    if (result < 0)
        return result;
    for (int tries = 0; tries < NETLINK_DUMP_TRIES && (tries == 0 || result == -EINTR); tries++) {
        survey->chain_count = survey->rule_count = 0;
        result = list(socket, NFT_MSG_GETCHAIN, take_chain, survey);
        if (result == 0)
            result = list(socket, NFT_MSG_GETRULE, take_rule, survey);
    }
    mnl_socket_close(socket);
    if (result < 0)
        error_set(error, "cannot list the host's rules: %s", strerror(-result));
    return result;
}

static bool is_in(const struct firewall_rule *rule, const struct chain *chain)
{
    return rule->family == chain->said.family && strcmp(rule->table, chain->said.table) == 0 &&
           strcmp(rule->chain, chain->said.chain) == 0;
}

static struct chain *target_of(struct survey *survey, const struct firewall_rule *rule)
{
    for (size_t i = 0; i < survey->chain_count; i++) {
        struct chain *chain = &survey->chains[i];

        if (rule->family == chain->said.family && strcmp(rule->table, chain->said.table) == 0 &&
            strcmp(rule->target, chain->said.chain) == 0)
            return chain;
    }
    return NULL;
}

static unsigned follow(struct survey *survey, struct chain *chain);

/* Jumps are nested sixteen deep at most (NFT_JUMP_STACK_SIZE), and never in a circle. */
static unsigned follow_target(struct survey *survey, const struct firewall_rule *rule,
                              const struct firewall_rule **why)
{
    struct chain *target = target_of(survey, rule);
    unsigned ways = target != NULL ? follow(survey, target) : PASS | DROP | GO_ON;

    if (target != NULL && target->why != NULL)
        *why = target->why;
    if (rule->effect == FIREWALL_GOTO && ways & GO_ON)
        ways = (ways & ~(unsigned)GO_ON) | LEAVE;
    return ways;
}

static unsigned ways_of(struct survey *survey, const struct firewall_rule *rule,
                        const struct firewall_rule **why)
{
    *why = rule;
    switch (rule->effect) {
    case FIREWALL_ACCEPT:
        return PASS;
    case FIREWALL_DROP:
        return DROP;
    case FIREWALL_RETURN:
        return LEAVE;
    case FIREWALL_JUMP:
    case FIREWALL_GOTO:
        return follow_target(survey, rule, why);
    case FIREWALL_NOTHING:
        return GO_ON;
    case FIREWALL_ANYTHING:
        break;
    }
    return PASS | DROP | GO_ON;
}

static unsigned follow_rules(struct survey *survey, struct chain *chain)
{
    unsigned ways = 0;

    for (size_t i = 0; i < survey->rule_count; i++) {
        const struct firewall_rule *rule = &survey->rules[i], *why;
        unsigned of_rule;

        if (!is_in(rule, chain))
            continue;
        of_rule = ways_of(survey, rule, &why);
        if (rule->is_unsure)
            of_rule |= GO_ON;
        if (of_rule & DROP && chain->why == NULL)
            chain->why = why;
        ways |= of_rule & (PASS | DROP);
        if (of_rule & LEAVE)
            ways |= GO_ON;
        if (!(of_rule & GO_ON))
            return ways;
    }
    return ways | GO_ON;
}

static unsigned follow(struct survey *survey, struct chain *chain)
{
    if (chain->is_entered && !chain->is_known)
        return PASS | DROP | GO_ON; /* a circle: the rules have changed while they were listed */
    chain->is_entered = true;
    if (!chain->is_known)
        chain->ways = follow_rules(survey, chain);
    chain->is_known = true;
    return chain->ways;
}

static const char *family_name(uint8_t family)
{
    return family == NFPROTO_IPV4 ? "ip" : "inet";
}

/* A chain that drops for sure is the answer; otherwise the first one that may. */
static void note(struct firewall_answer *answer, const struct chain *chain, unsigned ways)
{
    enum firewall_fate fate = ways == DROP ? FIREWALL_DROPS : FIREWALL_UNCLEAR;

    if (!(ways & DROP) || answer->fate == FIREWALL_DROPS || answer->fate == fate)
        return;
    *answer = (struct firewall_answer){.fate = fate, .family = family_name(chain->said.family)};
    memcpy(answer->table, chain->said.table, sizeof(answer->table));
    memcpy(answer->chain, chain->why != NULL ? chain->why->chain : chain->said.chain,
           sizeof(answer->chain));
    answer->rule = chain->why != NULL ? chain->why->handle : 0;
}

static void judge(struct survey *survey, struct firewall_answer *answer)
{
    for (size_t i = 0; i < survey->chain_count; i++) {
        struct chain *chain = &survey->chains[i];
        unsigned ways;

        if (!chain->said.is_base)
            continue;
        ways = follow(survey, chain);
        if (ways & GO_ON)
            ways = (ways & ~(unsigned)GO_ON) | (chain->said.drops ? DROP : PASS);
        note(answer, chain, ways);
    }
    if (survey->overflows && answer->fate == FIREWALL_PASSES)
        answer->fate = FIREWALL_UNCLEAR;
}

int firewall_judge(const struct firewall_packet *packet, struct firewall_answer *answer,
                   struct error *error)
{
    struct survey survey = {.packet = packet,
                            .chains = calloc(CHAINS_MAX, sizeof(*survey.chains)),
                            .rules = calloc(RULES_MAX, sizeof(*survey.rules))};
    int result = -ENOMEM;

    *answer = (struct firewall_answer){.fate = FIREWALL_PASSES, .family = ""};
    if (survey.chains == NULL || survey.rules == NULL)
        error_set(error, "cannot list the host's rules: not enough memory");
    else
        result = list_all(&survey, error);
    if (result == 0)
        judge(&survey, answer);
    free(survey.chains);
    free(survey.rules);
    return result;
}
