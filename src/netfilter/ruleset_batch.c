/*
 * ruleset_batch.c - one nf_tables transaction, and what the kernel answers to it
 *
 * A transaction is one datagram: BATCH_BEGIN, messages, BATCH_END. The kernel handles all of it,
 * collects the errors, commits only if there is none, and has queued its answers when sendmsg
 * returns. So the batch must be contiguous, the send buffer must be as large as the batch, and
 * reading never waits.
 *
 * Only the last message requests an acknowledgement: it proves that the kernel has handled all
 * messages. The kernel sends errors without a request.
 */
#include "ruleset_internal.h"

#include "netlink.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libnftnl/common.h>

/*
 * There may be an answer to every message of a batch; the answers wait in the socket until all of
 * it is handled.
 */
#define ANSWERS (1u << 20)

int batch_socket_open(struct mnl_socket **socket, const char *purpose, struct error *error)
{
    int result = netlink_open(socket, NETLINK_NETFILTER, 0, purpose, error), on = 1;

    if (result < 0)
        return result;
    netlink_size_buffer(*socket, SO_RCVBUF, ANSWERS);
    /* An error message need not contain the request: batch_find finds it. */
    (void)mnl_socket_setsockopt(*socket, NETLINK_CAP_ACK, &on, sizeof(on));
    return 0;
}

int batch_begin(struct batch *batch, uint32_t sequence)
{
    *batch = (struct batch){.capacity = (size_t)4 * BATCH_MESSAGE_MAX,
                            .first_sequence = sequence,
                            .last_sequence = sequence};
    batch->data = calloc(1, batch->capacity);
    if (batch->data == NULL)
        return -ENOMEM;
    batch->open = nftnl_batch_begin(batch->data, sequence);
    return 0;
}

void batch_free(struct batch *batch)
{
    free(batch->data);
    *batch = (struct batch){0};
}

static void finish_message(struct batch *batch)
{
    if (batch->open != NULL)
        batch->length += ((size_t)batch->open->nlmsg_len + 3) / 4 * 4;
    batch->open = NULL;
}

/*
 * Room for one more message. It is all zero, because libmnl does not set the padding between
 * attributes. Without memory the batch starts again from the beginning: it will not be sent.
 */
static char *make_room(struct batch *batch)
{
    if (batch->capacity - batch->length < BATCH_MESSAGE_MAX) {
        char *larger = realloc(batch->data, batch->capacity * 2);

        if (larger != NULL) {
            memset(larger + batch->capacity, 0, batch->capacity);
            batch->data = larger;
            batch->capacity *= 2;
        } else {
            batch->failed = true;
            batch->length = 0;
        }
    }
    return batch->data + batch->length;
}

struct nlmsghdr *batch_message(struct batch *batch, uint16_t type, uint16_t flags)
{
    finish_message(batch);
    batch->open =
        nftnl_nlmsg_build_hdr(make_room(batch), type, NFPROTO_IPV4, flags, ++batch->last_sequence);
    return batch->open;
}

void batch_end(struct batch *batch)
{
    if (batch->open == NULL)
        return;
    batch->open->nlmsg_flags |= NLM_F_ACK;
    finish_message(batch);
    batch->open = nftnl_batch_end(make_room(batch), ++batch->last_sequence);
    finish_message(batch);
}

static void note_failure(struct batch_outcome *outcome, uint32_t sequence, int result)
{
    if (outcome->count < sizeof(outcome->failures) / sizeof(outcome->failures[0]))
        outcome->failures[outcome->count++] =
            (struct batch_failure){.sequence = sequence, .result = result};
}

static bool belongs_to(const struct batch *batch, uint32_t sequence)
{
    return sequence - batch->first_sequence <= batch->last_sequence - batch->first_sequence;
}

/* True if the messages contain an acknowledgement. Failures are noted. */
static bool read_answers(const struct batch *batch, const char *buffer, size_t length,
                         struct batch_outcome *outcome)
{
    const struct nlmsghdr *message = (const void *)buffer;
    bool acknowledged = false;
    int left = (int)length;

    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);

        if (batch->echo != NULL && message->nlmsg_type >= NLMSG_MIN_TYPE)
            (void)batch->echo(message,
                              batch->echo_context); /* some kernels give it sequence number 0 */
        if (message->nlmsg_type != NLMSG_ERROR ||
            mnl_nlmsg_get_payload_len(message) < sizeof(*answer))
            continue;
        if (!belongs_to(batch, message->nlmsg_seq))
            continue; /* a late answer to an earlier batch */
        if (answer->error == 0)
            acknowledged = true;
        else
            note_failure(outcome, message->nlmsg_seq, answer->error);
    }
    return acknowledged;
}

static int receive_outcome(const struct batch *batch, struct mnl_socket *socket,
                           struct batch_outcome *outcome)
{
    char buffer[NETLINK_BUFFER] __attribute__((aligned(8)));
    bool acknowledged = false, lost = false;

    for (;;) {
        ssize_t length = recv(mnl_socket_get_fd(socket), buffer, sizeof(buffer), MSG_DONTWAIT);

        if (length < 0 && errno == EAGAIN)
            break;
        if (length < 0 && errno == ENOBUFS)
            lost = true;
        else if (length < 0 && errno != EINTR)
            return -errno;
        else if (length > 0)
            acknowledged |= read_answers(batch, buffer, (size_t)length, outcome);
    }
    if (outcome->count > 0)
        return outcome->failures[0].result;
    return acknowledged && !lost ? 0 : -EIO;
}

int batch_commit(struct batch *batch, struct mnl_socket *socket, struct batch_outcome *outcome)
{
    *outcome = (struct batch_outcome){0};
    batch_end(batch);
    if (batch->failed)
        return -ENOMEM;
    netlink_size_buffer(socket, SO_SNDBUF, batch->length + 4096);
    while (mnl_socket_sendto(socket, batch->data, batch->length) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return receive_outcome(batch, socket, outcome);
}

const struct nlmsghdr *batch_find(const struct batch *batch, uint32_t sequence)
{
    const struct nlmsghdr *message = (const void *)batch->data;
    int left = (int)batch->length;

    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        if (message->nlmsg_seq == sequence)
            return message;
    }
    return NULL;
}

struct wanted {
    uint16_t type;
    const char *text;
};

static int take_wanted(const struct nlattr *attribute, void *context)
{
    struct wanted *wanted = context;

    if (mnl_attr_get_type(attribute) == wanted->type)
        wanted->text = mnl_attr_get_str(attribute);
    return MNL_CB_OK;
}

static const char *find_string(const struct nlmsghdr *message, uint16_t type)
{
    struct wanted wanted = {.type = type, .text = "?"};

    (void)mnl_attr_parse(message, sizeof(struct nfgenmsg), take_wanted, &wanted);
    return wanted.text;
}

const char *batch_rule_chain(const struct nlmsghdr *message)
{
    return find_string(message, NFTA_RULE_CHAIN);
}

struct sought {
    const char *name;
    bool found;
};

static int take_expression_name(const struct nlattr *attribute, void *context)
{
    struct sought *sought = context;

    if (mnl_attr_get_type(attribute) == NFTA_EXPR_NAME &&
        strcmp(mnl_attr_get_str(attribute), sought->name) == 0)
        sought->found = true;
    return MNL_CB_OK;
}

static int take_expression(const struct nlattr *attribute, void *context)
{
    return mnl_attr_parse_nested(attribute, take_expression_name, context);
}

static int take_expressions(const struct nlattr *attribute, void *context)
{
    if (mnl_attr_get_type(attribute) != NFTA_RULE_EXPRESSIONS)
        return MNL_CB_OK;
    return mnl_attr_parse_nested(attribute, take_expression, context);
}

bool batch_rule_has(const struct nlmsghdr *message, const char *expression)
{
    struct sought sought = {.name = expression};

    (void)mnl_attr_parse(message, sizeof(struct nfgenmsg), take_expressions, &sought);
    return sought.found;
}

struct object {
    char name[96];
};

/* True for a message of nf_tables, false for the frame of the batch. */
static bool is_ours(const struct nlmsghdr *message)
{
    return message != NULL && NFNL_SUBSYS_ID(message->nlmsg_type) == NFNL_SUBSYS_NFTABLES;
}

/*
 * Writes what the message is about, such as "set tcp_ports". Does not change the name if that is
 * unknown.
 */
static void name_object(const struct nlmsghdr *message, struct object *object)
{
    static const struct {
        uint16_t type;
        const char *kind;
        uint16_t name;
    } kinds[] = {
        {NFT_MSG_NEWTABLE, "table", NFTA_TABLE_NAME},
        {NFT_MSG_DELTABLE, "table", NFTA_TABLE_NAME},
        {NFT_MSG_NEWCHAIN, "chain", NFTA_CHAIN_NAME},
        {NFT_MSG_NEWRULE, "a rule of chain", NFTA_RULE_CHAIN},
        {NFT_MSG_NEWOBJ, "object", NFTA_OBJ_NAME},
        {NFT_MSG_NEWSET, "set", NFTA_SET_NAME},
        {NFT_MSG_NEWSETELEM, "elements of set", NFTA_SET_ELEM_LIST_SET},
        {NFT_MSG_DELSETELEM, "elements of set", NFTA_SET_ELEM_LIST_SET},
    };

    if (!is_ours(message))
        return;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].type == NFNL_MSG_TYPE(message->nlmsg_type))
            snprintf(object->name, sizeof(object->name), "%s %s", kinds[i].kind,
                     find_string(message, kinds[i].name));
    }
}

/* What the errno means here, if strerror would be misleading. NULL: use strerror. */
static const char *meaning(const struct nlmsghdr *message, int result)
{
    unsigned int type;

    if (result == -EIO)
        return "the kernel's answer was lost";
    if (message == NULL)
        return NULL;
    /* nfnetlink_rcv_batch: the kernel has no nf_tables */
    if (!is_ours(message))
        return result == -EOPNOTSUPP ? "this kernel has no nf_tables (CONFIG_NF_TABLES)" : NULL;
    type = NFNL_MSG_TYPE(message->nlmsg_type);
    if (result == -EPERM) /* nft_table_lookup: the owner flag */
        return "table ip " RULESET_TABLE " belongs to another program, or to a service manager "
               "that keeps it for the next start of its own portreeved: stop that service first";
    if (result == -EOPNOTSUPP || result == -EAFNOSUPPORT)
        return "this kernel's nf_tables has no IPv4 (CONFIG_NF_TABLES_IPV4)";
    if (result == -ENOENT && (type == NFT_MSG_NEWSETELEM || type == NFT_MSG_DELSETELEM))
        return "table ip " RULESET_TABLE " no longer exists: another program has removed the rules";
    if (result == -ENOENT && type == NFT_MSG_NEWRULE)
        return "this kernel lacks a feature that the rule needs; to queue packets: "
               "CONFIG_NFT_QUEUE, or CONFIG_NFT_COMPAT and CONFIG_NETFILTER_XT_TARGET_NFQUEUE";
    return NULL;
}

void batch_explain(const struct batch *batch, const struct batch_outcome *outcome, int result,
                   const char *doing, struct error *error)
{
    const struct nlmsghdr *message = NULL;
    struct object object = {"the batch"};
    const char *text;

    if (outcome->count > 0)
        message = batch_find(batch, outcome->failures[0].sequence);
    if (result == -EPERM && !is_ours(message)) {
        error_set(error, "%s: needs CAP_NET_ADMIN: run as root", doing);
        return;
    }
    name_object(message, &object);
    text = meaning(message, result);
    error_set(error, "%s: %s: %s", doing, object.name, text != NULL ? text : strerror(-result));
}
