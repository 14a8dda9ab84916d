/*
 * ruleset_chain.c - messages about the chains of our table
 */
#include "ruleset_chain.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>

static struct nftnl_chain *begin(struct batch *batch, const char *name)
{
    struct nftnl_chain *chain = nftnl_chain_alloc();

    if (chain == NULL) {
        batch->failed = true;
        return NULL;
    }
    if (nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, RULESET_TABLE) < 0 ||
        nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name) < 0)
        batch->failed = true;
    nftnl_chain_set_u32(chain, NFTNL_CHAIN_FAMILY, NFPROTO_IPV4);
    return chain;
}

void chain_put(struct batch *batch, const char *name, const char *type, int hook, int32_t priority)
{
    struct nftnl_chain *chain = begin(batch, name);

    if (chain == NULL)
        return;
    if (hook >= 0) {
        if (nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, type) < 0)
            batch->failed = true;
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, (uint32_t)hook);
        nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    nftnl_chain_nlmsg_build_payload(batch_message(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE), chain);
    nftnl_chain_free(chain);
}

void chain_put_removal(struct batch *batch, const char *name)
{
    struct nftnl_chain *chain = begin(batch, name);

    if (chain == NULL)
        return;
    nftnl_chain_nlmsg_build_payload(batch_message(batch, NFT_MSG_DELCHAIN, 0), chain);
    nftnl_chain_free(chain);
}

void chain_put_clearing(struct batch *batch, const char *name)
{
    struct nftnl_rule *rule = nftnl_rule_alloc();

    if (rule == NULL) {
        batch->failed = true;
        return;
    }
    if (nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, RULESET_TABLE) < 0)
        batch->failed = true;
    nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, NFPROTO_IPV4);
    if (name != NULL && nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, name) < 0)
        batch->failed = true;
    nftnl_rule_nlmsg_build_payload(batch_message(batch, NFT_MSG_DELRULE, 0), rule);
    nftnl_rule_free(rule);
}
