/*
 * neighbours.c - what other programs' nf_tables rules do that is in our way
 *
 * Chains and rules are listed, and of the rules those are kept that change a source or lead to
 * another chain. Then it is found which chains a nat hook in postrouting leads to, by rules that do
 * not exclude our packets. The number of kept rules is bounded; what does not fit is not followed.
 */
#include "portreeve/neighbours.h"

#include "neighbours_parse.h"
#include "netlink.h"
#include "ruleset_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RULES_MAX  4096
#define CHAINS_MAX 4096

struct neighbours {
    struct mnl_socket *news, *requests;
    bool changed, flowtables_changed; /* since the caller has asked */
};

struct chain {
    struct neighbour_chain said;
    bool reached;
};

struct survey {
    const struct neighbour_scope *scope;
    struct chain *chains;
    size_t chain_count;
    struct neighbour_rule *rules;
    size_t rule_count;
};

/*
 * Elements of sets are no news: the maps of offloaded sessions would never be silent. BPF loads
 * half words in network byte order; the type is in that of the host.
 */
static int filter_elements(const struct mnl_socket *socket)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM),
                 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM),
                 1, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    return setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                      sizeof(program)) < 0
               ? -errno
               : 0;
}

const char *neighbour_family(const struct neighbour *neighbour)
{
    switch (neighbour->family) {
    case NFPROTO_IPV4:
        return "ip";
    case NFPROTO_INET:
        return "inet";
    default:
        return "netdev";
    }
}

int neighbours_open(struct neighbours **neighbours, struct error *error)
{
    struct neighbours *opened = calloc(1, sizeof(*opened));
    int result;

    if (opened == NULL) {
        error_set(error, "other programs' rules: not enough memory");
        return -ENOMEM;
    }
    result = netlink_open(&opened->news, NETLINK_NETFILTER, 1u << (NFNLGRP_NFTABLES - 1),
                          "other programs' rules", error);
    if (result == 0)
        result = filter_elements(opened->news);
    if (result == 0)
        result =
            netlink_open(&opened->requests, NETLINK_NETFILTER, 0, "other programs' rules", error);
    if (result < 0) {
        neighbours_close(opened);
        return result;
    }
    opened->changed = opened->flowtables_changed = true;
    *neighbours = opened;
    return 0;
}

void neighbours_close(struct neighbours *neighbours)
{
    if (neighbours == NULL)
        return;
    if (neighbours->news != NULL)
        mnl_socket_close(neighbours->news);
    if (neighbours->requests != NULL)
        mnl_socket_close(neighbours->requests);
    free(neighbours);
}

int neighbours_descriptor(const struct neighbours *neighbours)
{
    return neighbours != NULL ? mnl_socket_get_fd(neighbours->news) : -1;
}

/* A message of the generation alone says nothing: the elements of sets have one, too. */
static void take_news(struct neighbours *neighbours, const char *buffer, size_t length)
{
    const struct nlmsghdr *message = (const void *)buffer;
    int left = (int)length;

    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        unsigned int type = NFNL_MSG_TYPE(message->nlmsg_type);

        neighbours->changed |= type != NFT_MSG_NEWGEN;
        neighbours->flowtables_changed |=
            type == NFT_MSG_NEWFLOWTABLE || type == NFT_MSG_DELFLOWTABLE;
    }
}

static void read_news(struct neighbours *neighbours)
{
    char buffer[NETLINK_BUFFER] __attribute__((aligned(8)));

    for (;;) {
        ssize_t length =
            recv(mnl_socket_get_fd(neighbours->news), buffer, sizeof(buffer), MSG_DONTWAIT);

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno != ENOBUFS)
            return;
        if (length < 0)
            neighbours->changed = neighbours->flowtables_changed = true;
        else
            take_news(neighbours, buffer, (size_t)length);
    }
}

bool neighbours_changed(struct neighbours *neighbours)
{
    bool changed;

    read_news(neighbours);
    changed = neighbours->changed;
    neighbours->changed = false;
    return changed;
}

bool neighbours_flowtables_changed(struct neighbours *neighbours)
{
    bool changed;

    read_news(neighbours);
    changed = neighbours->flowtables_changed;
    neighbours->flowtables_changed = false;
    return changed;
}

static bool is_ours(uint8_t family, const char *table)
{
    return family == NFPROTO_IPV4 && strcmp(table, RULESET_TABLE) == 0;
}

static int take_chain(const struct nlmsghdr *message, void *context)
{
    struct survey *survey = context;
    struct chain *next = &survey->chains[survey->chain_count];

    if (survey->chain_count < CHAINS_MAX && neighbours_parse_chain(message, &next->said) &&
        !is_ours(next->said.family, next->said.table)) {
        next->reached = next->said.is_source_nat;
        survey->chain_count++;
    }
    return MNL_CB_OK;
}

static int take_rule(const struct nlmsghdr *message, void *context)
{
    struct survey *survey = context;
    struct neighbour_rule *next = &survey->rules[survey->rule_count];

    if (survey->rule_count < RULES_MAX && neighbours_parse_rule(message, survey->scope, next) &&
        !next->excludes && !is_ours(next->family, next->table) &&
        (next->changes_source || next->has_map || next->target[0] != '\0'))
        survey->rule_count++;
    return MNL_CB_OK;
}

/* All families. -EINTR: a change has disturbed the answer. */
static int list(struct neighbours *neighbours, uint16_t type, mnl_cb_t each, void *context)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *general = mnl_nlmsg_put_extra_header(request, sizeof(*general));

    request->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    general->nfgen_family = NFPROTO_UNSPEC;
    general->version = NFNETLINK_V0;
    return netlink_ask(neighbours->requests, request, each, context);
}

static int list_all(struct neighbours *neighbours, struct survey *survey)
{
    int result;

    survey->chain_count = survey->rule_count = 0;
    result = list(neighbours, NFT_MSG_GETCHAIN, take_chain, survey);
    if (result == 0)
        result = list(neighbours, NFT_MSG_GETRULE, take_rule, survey);
    return result;
}

static int compare_chains(const void *one, const void *other)
{
    const struct neighbour_chain *first = &((const struct chain *)one)->said,
                                 *second = &((const struct chain *)other)->said;
    int order = (int)first->family - (int)second->family;

    if (order == 0)
        order = strcmp(first->table, second->table);
    return order != 0 ? order : strcmp(first->chain, second->chain);
}

static struct chain *find_chain(struct survey *survey, const struct neighbour_rule *rule,
                                const char *name)
{
    struct chain sought = {.said.family = rule->family};

    memcpy(sought.said.table, rule->table, sizeof(sought.said.table));
    memcpy(sought.said.chain, name, strnlen(name, sizeof(sought.said.chain) - 1));
    return bsearch(&sought, survey->chains, survey->chain_count, sizeof(sought), compare_chains);
}

static bool reach(struct chain *chain)
{
    bool is_new = chain != NULL && !chain->reached;

    if (chain != NULL)
        chain->reached = true;
    return is_new;
}

/* A map of verdicts may lead to every chain of the table. */
static bool reach_table(struct survey *survey, const struct neighbour_rule *rule)
{
    bool any = false;

    for (size_t i = 0; i < survey->chain_count; i++) {
        struct chain *chain = &survey->chains[i];

        if (chain->said.family == rule->family && strcmp(chain->said.table, rule->table) == 0)
            any |= reach(chain);
    }
    return any;
}

/* As deep as chains may be nested (NFT_JUMP_STACK_SIZE). */
#define ROUNDS_MAX 16

static void follow(struct survey *survey)
{
    bool any = true;

    qsort(survey->chains, survey->chain_count, sizeof(*survey->chains), compare_chains);
    for (int round = 0; any && round < ROUNDS_MAX; round++) {
        any = false;
        for (size_t i = 0; i < survey->rule_count; i++) {
            const struct neighbour_rule *rule = &survey->rules[i];
            const struct chain *from = find_chain(survey, rule, rule->chain);

            if (from == NULL || !from->reached)
                continue;
            if (rule->target[0] != '\0')
                any |= reach(find_chain(survey, rule, rule->target));
            if (rule->has_map)
                any |= reach_table(survey, rule);
        }
    }
}

static void report(struct survey *survey, neighbour_found *found, void *context)
{
    for (size_t i = 0; i < survey->rule_count; i++) {
        const struct neighbour_rule *rule = &survey->rules[i];
        struct chain *chain = rule->changes_source ? find_chain(survey, rule, rule->chain) : NULL;
        struct neighbour neighbour = {.kind = NEIGHBOUR_SOURCE_NAT, .family = rule->family};

        if (chain == NULL || !chain->reached)
            continue;
        chain->reached = false; /* once for each chain */
        memcpy(neighbour.table, rule->table, sizeof(neighbour.table));
        memcpy(neighbour.name, rule->chain, sizeof(neighbour.name));
        found(context, &neighbour);
    }
}

int neighbours_read(struct neighbours *neighbours, const struct neighbour_scope *scope,
                    neighbour_found *found, void *context, struct error *error)
{
    struct survey *survey = calloc(1, sizeof(*survey));
    int result = -ENOMEM;

    if (survey != NULL) {
        survey->scope = scope;
        survey->chains = calloc(CHAINS_MAX, sizeof(*survey->chains));
        survey->rules = calloc(RULES_MAX, sizeof(*survey->rules));
    }
    if (survey != NULL && survey->chains != NULL && survey->rules != NULL) {
        for (int tries = 0; tries < NETLINK_DUMP_TRIES && (tries == 0 || result == -EINTR); tries++)
            result = list_all(neighbours, survey);
        if (result == -EINTR)
            result = 0;
    }
    if (result == 0) {
        follow(survey);
        report(survey, found, context);
    } else {
        error_set(error, "cannot list other programs' nf_tables rules: %s", strerror(-result));
    }
    if (survey != NULL) {
        free(survey->chains);
        free(survey->rules);
    }
    free(survey);
    return result;
}

struct flowtables {
    neighbour_found *found;
    void *context;
};

static int take_flowtable(const struct nlmsghdr *message, void *context)
{
    const struct flowtables *flowtables = context;
    struct neighbour neighbour;

    if (neighbours_parse_flowtable(message, &neighbour))
        flowtables->found(flowtables->context, &neighbour);
    return MNL_CB_OK;
}

int neighbours_read_flowtables(struct neighbours *neighbours, neighbour_found *found, void *context,
                               struct error *error)
{
    struct flowtables flowtables = {.found = found, .context = context};
    int result = list(neighbours, NFT_MSG_GETFLOWTABLE, take_flowtable, &flowtables);

    if (result == -EINTR) /* a change will be told, and then this is read again */
        result = 0;
    if (result == -EOPNOTSUPP || result == -EINVAL) /* a kernel without flowtables */
        result = 0;
    if (result < 0)
        error_set(error, "cannot list other programs' flowtables: %s", strerror(-result));
    return result;
}
