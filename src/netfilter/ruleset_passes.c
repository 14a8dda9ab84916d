/*
 * ruleset_passes.c - packets that must get to the daemon a second time, and how the kernel knows
 * them
 *
 * A hairpin has its destination rewritten in prerouting and its source in postrouting. An answer of
 * a forward's target to a client inside has its source rewritten in postrouting. In between, other
 * programs' rules may set, restore or clear the packet mark (wg-quick, tailscaled, `meta mark set
 * ct mark`), so the mark cannot say which packets these are. Nor can addresses and ports alone: a
 * client may use a forward, and then the forward's target directly, from the same port.
 *
 * So the kernel keeps three sets of tuples, filled by the packets themselves:
 *
 *   transit   what the daemon has rewritten in prerouting and must see in postrouting. An element
 *             need only live as long as a packet takes from one to the other.
 *   answers   what a forward's target answers to a client inside, as long as the session may live.
 *             (To a client outside, everything from a target goes to the queue.)
 *   direct    what a target that no share names answers to a host outside that has spoken to it
 *             directly, without the forward: not translated.
 *
 * The daemon tells the kernel that a packet belongs there with one bit of the mark and the verdict
 * NF_REPEAT: the packet passes the same chain again at once (nf_reinject), now with its new
 * destination, and the first rule that it meets enters its tuple and clears the bit. No other
 * program's rule lies in between. A client that speaks directly to a target takes the tuple over:
 * the daemon sees the first such packet and ends the session.
 */
#include "ruleset_passes.h"

#include "offload_internal.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include <libnftnl/expr.h>
#include <libnftnl/set.h>

const char *const passes_chains[PASSES_CHAINS] = {CHAIN_DIRECT,        CHAIN_REWRITTEN,
                                                  CHAIN_REWRITTEN_WAN, CHAIN_TRANSIT,
                                                  CHAIN_TO_TARGET,     CHAIN_ANSWERS};

#define SET_TRANSIT "transit"
#define SET_ANSWERS "answers"
#define SET_DIRECT  "direct"

/* More sessions than that between hosts inside at one time are not expected; 100 bytes each. */
#define ELEMENTS_MAX 262144

/* Another program's queue may hold a packet between prerouting and postrouting for a while. */
#define TRANSIT_SECONDS 30

static const struct field source = FIELD_OF_IPV4(saddr), destination = FIELD_OF_IPV4(daddr);

static void create_set(struct batch *batch, const char *name, uint32_t id)
{
    struct nftnl_set *set = set_begin(name);

    if (set == NULL) {
        batch->failed = true;
        return;
    }
    nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_IPV4);
    nftnl_set_set_u32(set, NFTNL_SET_ID, id);
    nftnl_set_set_u32(set, NFTNL_SET_FLAGS, NFT_SET_EVAL | NFT_SET_TIMEOUT);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, OFFLOAD_KEY_TYPE);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, sizeof(struct offload_key));
    nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, ELEMENTS_MAX);
    nftnl_set_nlmsg_build_payload(batch_message(batch, NFT_MSG_NEWSET, NLM_F_CREATE), set);
    nftnl_set_free(set);
}

void passes_create_sets(struct batch *batch)
{
    create_set(batch, SET_TRANSIT, ID_TRANSIT);
    create_set(batch, SET_ANSWERS, ID_ANSWERS);
    create_set(batch, SET_DIRECT, ID_DIRECT);
}

/* Changes the element of the tuple that is loaded. */
static void change(struct rule *rule, uint32_t operation, const char *set, uint32_t id,
                   uint32_t seconds)
{
    struct nftnl_expr *dynset = rule_add(rule, "dynset");

    if (dynset == NULL)
        return;
    nftnl_expr_set_u32(dynset, NFTNL_EXPR_DYNSET_OP, operation);
    nftnl_expr_set_u32(dynset, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
    if (seconds > 0)
        nftnl_expr_set_u64(dynset, NFTNL_EXPR_DYNSET_TIMEOUT, seconds * UINT64_C(1000));
    nftnl_expr_set_u32(dynset, NFTNL_EXPR_DYNSET_SET_ID, id);
    if (nftnl_expr_set_str(dynset, NFTNL_EXPR_DYNSET_SET_NAME, set) < 0)
        rule->batch->failed = true;
}

/* Enters the tuple that is loaded. An element that is there lives on for so long. */
static void enter(struct rule *rule, const char *set, uint32_t id, uint32_t seconds)
{
    change(rule, NFT_DYNSET_OP_UPDATE, set, id, seconds);
}

/* The end of a rule: the tuple of the packet's answers is in this set for so long. */
static void expect_answers(struct rule *rule, const char *set, uint32_t id, uint32_t seconds)
{
    rule_load_tuple(rule, true);
    enter(rule, set, id, seconds);
    rule_add(rule, "counter");
    rule_end(rule);
}

/* The rule continues only if the packet's tuple, or that of its answers, is in this set. */
static void match_tuple(struct rule *rule, bool reversed, const char *set, uint32_t id)
{
    rule_load_tuple(rule, reversed);
    rule_lookup(rule, NFT_REG_1, set, id, 0);
}

/* The rule continues only if the packet has come by an external interface. */
static void match_external(struct rule *rule)
{
    rule_load_meta(rule, NFT_REG_1, NFT_META_IIF);
    rule_match_set(rule, SET_INTERFACES);
}

static void match_mark(struct rule *rule, uint32_t bit)
{
    const uint32_t none = 0;

    rule_load_meta(rule, NFT_REG_1, NFT_META_MARK);
    rule_mask(rule, NFT_REG_1, &bit, sizeof(bit));
    rule_compare(rule, NFT_REG_1, NFT_CMP_NEQ, &none, sizeof(none));
}

static void clear_mark(struct rule *rule, uint32_t bit)
{
    const uint32_t others = ~bit;
    struct nftnl_expr *meta;

    rule_load_meta(rule, NFT_REG_1, NFT_META_MARK);
    rule_mask(rule, NFT_REG_1, &others, sizeof(others));
    meta = rule_add(rule, "meta");
    if (meta == NULL)
        return;
    nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, NFT_META_MARK);
    nftnl_expr_set_u32(meta, NFTNL_EXPR_META_SREG, NFT_REG_1);
}

/* Prerouting: what the daemon has rewritten comes by again. */

static void put_rewritten(struct batch *batch, const struct ruleset_options *options,
                          const char *chain)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, chain, "rewritten by the daemon, to be entered into the sets"))
        return;
    match_mark(&rule, options->hairpin_mark);
    rule_goto(&rule, CHAIN_REWRITTEN);
    rule_end(&rule);
}

/* What comes from a share's host or from the endpoint of a forward's target is a hairpin. */
static void put_hairpins(struct batch *batch, enum set_id set)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_REWRITTEN,
                    set == SET_SOURCES ? "hairpin of a share's host"
                                       : "perhaps the hairpin of a target"))
        return;
    rule_match_field(&rule, source, set);
    rule_goto(&rule, CHAIN_TRANSIT);
    rule_end(&rule);
}

/*
 * Of clients inside that no share names. An opening or closing connection is not
 * remembered for long: the daemon no longer marks what comes after its end.
 */
static void put_clients(struct batch *batch, const struct ruleset_options *options)
{
    const uint8_t syn_fin_rst = TCP_SYN | TCP_FIN | TCP_RST;
    struct rule rule;

    if (rule_begin(&rule, batch, CHAIN_REWRITTEN, "remember where its answers go: SYN, FIN, RST")) {
        rule_match_tcp_flags(&rule, syn_fin_rst, NFT_CMP_NEQ, 0);
        expect_answers(&rule, SET_ANSWERS, ID_ANSWERS, options->answers.transitory);
    }
    if (rule_begin(&rule, batch, CHAIN_REWRITTEN, "remember where its answers go: TCP")) {
        rule_match_tcp_flags(&rule, syn_fin_rst, NFT_CMP_EQ, 0);
        expect_answers(&rule, SET_ANSWERS, ID_ANSWERS, options->answers.established);
    }
    if (rule_begin(&rule, batch, CHAIN_REWRITTEN, "remember where its answers go: UDP")) {
        rule_match_protocol(&rule, PROTOCOL_UDP);
        expect_answers(&rule, SET_ANSWERS, ID_ANSWERS, options->answers.udp);
    }
}

/*
 * A hairpin that the kernel masquerades behind our first hook (into a VPN, say) comes back to the
 * host that sent it, with the target's own address: the daemon finds it by its transit key.
 */
static void put_masqueraded(struct batch *batch, const struct ruleset_options *options)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_REWRITTEN, "remember where a hairpin's answers go"))
        return;
    rule_match_field(&rule, source, SET_SOURCES);
    expect_answers(&rule, SET_ANSWERS, ID_ANSWERS, options->answers.transitory);
}

static void put_outsiders(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_REWRITTEN, "from outside"))
        return;
    match_external(&rule);
    rule_goto(&rule, CHAIN_REWRITTEN_WAN);
    rule_end(&rule);
}

/* It came by the forward, so the target's next answer is not to a direct packet. */
static void put_no_longer_direct(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_REWRITTEN_WAN, "its answers are translated"))
        return;
    rule_load_tuple(&rule, true);
    change(&rule, NFT_DYNSET_OP_DELETE, SET_DIRECT, ID_DIRECT, 0);
    rule_add(&rule, "counter");
    rule_end(&rule);
}

static void put_cleared(struct batch *batch, const struct ruleset_options *options,
                        const char *chain)
{
    bool transit = strcmp(chain, CHAIN_TRANSIT) == 0;
    struct rule rule;

    if (!rule_begin(&rule, batch, chain,
                    transit ? "remember it until postrouting" : "no second pass"))
        return;
    if (transit) {
        rule_load_tuple(&rule, false);
        enter(&rule, SET_TRANSIT, ID_TRANSIT, TRANSIT_SECONDS);
    }
    clear_mark(&rule, options->hairpin_mark);
    rule_accept(&rule);
    rule_end(&rule);
}

/* Prerouting: a client speaks directly to a forward's target. */

static void put_to_target(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_DIRECT, "directly to a forward's target"))
        return;
    rule_match_field(&rule, destination, SET_TARGETS);
    rule_goto(&rule, CHAIN_TO_TARGET);
    rule_end(&rule);
}

/* A connection begins with a SYN, so no other segment is of interest. */
static void put_segments(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_TO_TARGET, "opens no connection"))
        return;
    rule_match_tcp_flags(&rule, TCP_SYN | TCP_ACK, NFT_CMP_NEQ, TCP_SYN);
    rule_accept(&rule);
    rule_end(&rule);
}

static void match_direct_host(struct rule *rule, enum protocol_index protocol)
{
    match_external(rule);
    rule_load_field(rule, NFT_REG_1, destination);
    rule_lookup_none(rule, NFT_REG_1, set_name(SET_SOURCES), SET_SOURCES + 1);
    rule_match_protocol(rule, protocol_table[protocol].number);
}

static void put_known_as_direct(struct batch *batch, uint32_t seconds)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_TO_TARGET, "of a connection that is known as direct"))
        return;
    match_direct_host(&rule, PROTOCOL_INDEX_TCP);
    rule_match_tcp_flags(&rule, TCP_SYN | TCP_ACK, NFT_CMP_NEQ, TCP_SYN);
    match_tuple(&rule, true, SET_DIRECT, ID_DIRECT);
    enter(&rule, SET_DIRECT, ID_DIRECT, seconds);
    rule_accept(&rule);
    rule_end(&rule);
}

/*
 * Of a share's host everything that leaves is translated, whoever has spoken first. Of other
 * targets, the answers to a host outside that speaks directly are not. The daemon sees the packet
 * next: if it finds a connection that lives, it takes the tuple out again (CHAIN_REWRITTEN_WAN).
 */
static void put_direct_hosts(struct batch *batch, const struct ruleset_options *options)
{
    const uint32_t seconds[PROTOCOL_PORTS_COUNT] = {[PROTOCOL_INDEX_TCP] =
                                                        options->answers.established,
                                                    [PROTOCOL_INDEX_UDP] = options->answers.udp};
    struct rule rule;

    put_known_as_direct(batch, seconds[PROTOCOL_INDEX_TCP]);
    put_segments(batch);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        if (!rule_begin(&rule, batch, CHAIN_TO_TARGET, "its answers are not translated"))
            return;
        match_direct_host(&rule, p);
        expect_answers(&rule, SET_DIRECT, ID_DIRECT, seconds[p]);
    }
}

static void queue_direct(struct rule *rule)
{
    rule_queue(rule, true);
    rule_end(rule);
}

/*
 * What belongs to an offloaded session: its answers that the map leaves to the daemon, and what its
 * client sends directly. `offloaded`: the number of uplinks, or 0 without offload.
 */
static void put_offloaded(struct batch *batch, const char *chain, size_t offloaded)
{
    bool direct = strcmp(chain, CHAIN_TO_TARGET) == 0;
    struct rule rule;

    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        for (uint8_t uplink = 0; uplink < offloaded; uplink++) {
            if (!rule_begin(&rule, batch, chain,
                            direct ? "queue, bypass: as a client of an offloaded session"
                                   : "queue: of an offloaded session"))
                return;
            offload_match_answer(&rule, direct, &protocol_table[p], uplink);
            rule_queue(&rule, direct);
            rule_end(&rule);
        }
    }
}

/* Bypass: these packets are not translated. */
static void put_takeovers(struct batch *batch, size_t offloaded)
{
    struct rule rule;

    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        if (!rule_begin(&rule, batch, CHAIN_TO_TARGET, "queue, bypass: from outside to a target"))
            return;
        match_external(&rule);
        rule_match_protocol(&rule, protocol_table[p].number);
        queue_direct(&rule);
    }
    put_offloaded(batch, CHAIN_TO_TARGET, offloaded);
    if (rule_begin(&rule, batch, CHAIN_TO_TARGET, "queue, bypass: as a client of a session")) {
        match_tuple(&rule, true, SET_ANSWERS, ID_ANSWERS);
        queue_direct(&rule);
    }
    if (rule_begin(&rule, batch, CHAIN_TO_TARGET, "queue, bypass: as a hairpin")) {
        match_tuple(&rule, false, SET_TRANSIT, ID_TRANSIT);
        queue_direct(&rule);
    }
}

/* Postrouting. Without bypass: what passed unchanged would end the connection. */

static void put_transit(struct batch *batch, const char *chain)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, chain, "queue: rewritten in prerouting"))
        return;
    match_tuple(&rule, false, SET_TRANSIT, ID_TRANSIT);
    rule_queue(&rule, false);
    rule_end(&rule);
}

void passes_create_direct_rule(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_OUTBOUND, "a target answers a host outside directly"))
        return;
    rule_match_field(&rule, source, SET_TARGETS);
    match_tuple(&rule, false, SET_DIRECT, ID_DIRECT);
    rule_accept(&rule);
    rule_end(&rule);
}

static void put_from_targets(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INSIDE, "from a forward's target"))
        return;
    rule_match_field(&rule, source, SET_TARGETS);
    rule_jump(&rule, CHAIN_ANSWERS);
    rule_end(&rule);
}

/* Before Linux 5.7 postrouting does not know the interface; then the next rules decide. */
static void put_from_outside(struct batch *batch)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, CHAIN_INSIDE, "from outside: no hairpin"))
        return;
    match_external(&rule);
    rule_accept(&rule);
    rule_end(&rule);
}

static void put_answers(struct batch *batch, const struct ruleset_options *options,
                        size_t offloaded)
{
    struct rule rule;

    offload_create_answers(batch, CHAIN_ANSWERS, offloaded);
    put_offloaded(batch, CHAIN_ANSWERS, offloaded);
    if (rule_begin(&rule, batch, CHAIN_ANSWERS, "queue: a target answers a client inside, UDP")) {
        rule_match_protocol(&rule, PROTOCOL_UDP);
        match_tuple(&rule, false, SET_ANSWERS, ID_ANSWERS);
        enter(&rule, SET_ANSWERS, ID_ANSWERS, options->answers.udp);
        rule_queue(&rule, false);
        rule_end(&rule);
    }
    if (rule_begin(&rule, batch, CHAIN_ANSWERS, "queue: a target answers a client inside")) {
        match_tuple(&rule, false, SET_ANSWERS, ID_ANSWERS);
        rule_queue(&rule, false);
        rule_end(&rule);
    }
}

void passes_create_first_rules(struct batch *batch, const struct ruleset_options *options)
{
    put_rewritten(batch, options, CHAIN_DIRECT);
    put_rewritten(batch, options, CHAIN_OWN_OUT);
}

void passes_create_rules(struct batch *batch, const struct ruleset_options *options,
                         size_t offloaded)
{
    put_masqueraded(batch, options);
    put_hairpins(batch, SET_SOURCES);
    put_outsiders(batch);
    put_clients(batch, options);
    put_hairpins(batch, SET_TARGETS); /* or a client: only its port would tell */
    put_cleared(batch, options, CHAIN_REWRITTEN);
    put_no_longer_direct(batch);
    put_cleared(batch, options, CHAIN_REWRITTEN_WAN);
    put_cleared(batch, options, CHAIN_TRANSIT);
    put_to_target(batch);
    put_direct_hosts(batch, options);
    put_takeovers(batch, offloaded);
    put_from_targets(batch);
    put_from_outside(batch);
    put_transit(batch, CHAIN_INSIDE);
    put_transit(batch, CHAIN_OUTBOUND);
    put_transit(batch, CHAIN_OWN_IN); /* a forward may lead to an address of the gateway itself */
    put_answers(batch, options, offloaded);
}

void passes_match_clients(struct batch *batch, const char *chain, const char *next)
{
    struct rule rule;

    if (!rule_begin(&rule, batch, chain, "from inside by a forward or a mapping"))
        return;
    match_tuple(&rule, true, SET_ANSWERS, ID_ANSWERS);
    rule_goto(&rule, next);
    rule_end(&rule);
}
