/*
 * driver_ruleset.c - installs a ruleset, exchanges its contents, withdraws it
 */
#include "driver.h"

#include "../../src/netfilter/ruleset_internal.h"

#include <linux/netfilter/nf_tables.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum ruleset_life read_life(const struct arguments *arguments)
{
    const char *life = argument(arguments, "life");

    if (life != NULL && strcmp(life, "shared") == 0)
        return RULESET_SHARED;
    return life != NULL && strcmp(life, "ends") == 0 ? RULESET_ENDS_WITH_SOCKET
                                                     : RULESET_OUTLIVES_SOCKET;
}

static struct ruleset_options read_options(const struct arguments *arguments)
{
    struct ruleset_options options = {
        .life = read_life(arguments),
        .first_queue = (uint16_t)argument_number(arguments, "queue", 0),
        .queue_count = (uint16_t)argument_number(arguments, "queues", 1),
        .offload_sessions = (uint32_t)argument_number(arguments, "offload", 0),
        .hairpin_mark = (uint32_t)argument_number(arguments, "mark", 0x10000),
        .answers = {.transitory = 240, .established = 7440, .udp = 300},
    };

    return options;
}

static const uint32_t *interface_of(const char *name)
{
    static uint32_t index;

    index = name ? if_nametoindex(name) : 0;
    return &index;
}

/* closed=PREFIX,... of a /1 at least */
static struct address_range *closed_ranges(const struct arguments *arguments, size_t *count)
{
    const struct prefix *prefixes = argument_prefixes(arguments, "closed", count);
    struct address_range *ranges = calloc(*count + 1, sizeof(*ranges));

    for (size_t i = 0; i < *count; i++) {
        const uint32_t first = address_to_ipv4(&prefixes[i].address),
                       size = UINT32_C(1) << (128 - prefixes[i].length);

        ranges[i] =
            (struct address_range){prefixes[i].address, address_from_ipv4(first + size - 1)};
    }
    return ranges;
}

/*
 * interface=NAME, wan0 when not given; known=0: only its name is known, not its index. second=NAME:
 * another external one.
 */
static struct ruleset_contents read_contents(const struct arguments *arguments)
{
    static struct interface external[2];
    struct ruleset_contents contents = {.interfaces = external,
                                        .interface_count = 2,
                                        .uplink_count = argument_number(arguments, "uplinks", 1)};
    const char *name = argument(arguments, "interface"), *second = argument(arguments, "second");

    snprintf(external[0].name, sizeof(external[0].name), "%s", name ? name : "wan0");
    snprintf(external[1].name, sizeof(external[1].name), "%s", second ? second : "");
    for (int i = 0; i < 2 && argument_number(arguments, "known", 1); i++)
        external[i].index = if_nametoindex(external[i].name);
    contents.external = argument_addresses(arguments, "external", &contents.external_count);
    contents.sources = argument_prefixes(arguments, "sources", &contents.source_count);
    contents.targets = argument_addresses(arguments, "targets", &contents.target_count);
    contents.other_uplinks = interface_of(argument(arguments, "other_uplinks"));
    contents.other_uplink_count = *contents.other_uplinks > 0;
    contents.closed = closed_ranges(arguments, &contents.closed_count);
    contents.exempt = argument_prefixes(arguments, "exempt", &contents.exempt_count);
    contents.new_per_remote = (uint32_t)argument_number(arguments, "per-remote", 0);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        char bound[16];

        snprintf(bound, sizeof(bound), "%s-bound", protocol_table[p].name);
        contents.published[p].ranges =
            argument_ports(arguments, protocol_table[p].name, &contents.published[p].count);
        contents.bound[p].ranges = argument_ports(arguments, bound, &contents.bound[p].count);
    }
    return contents;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* flowtables=ignored|avoided|closed; without it, they are as installed. */
static int set_flowtables(struct ruleset *ruleset, const struct arguments *arguments,
                          struct error *error)
{
    const char *wanted = argument(arguments, "flowtables");

    if (wanted == NULL)
        return 0;
    return ruleset_set_flowtables(ruleset,
                                  strcmp(wanted, "avoided") == 0  ? FLOWTABLES_AVOIDED
                                  : strcmp(wanted, "closed") == 0 ? FLOWTABLES_CLOSED
                                                                  : FLOWTABLES_IGNORED,
                                  error);
}

static int run(struct ruleset *ruleset, const struct arguments *arguments, struct error *error)
{
    const struct ruleset_options options = read_options(arguments);
    const struct ruleset_contents contents = read_contents(arguments);
    int result;

    if (strcmp(arguments->words[0], "install") == 0) {
        result = ruleset_install(ruleset, &options, &contents, error);
        return result == 0 ? set_flowtables(ruleset, arguments, error) : result;
    }
    if (strcmp(arguments->words[0], "update") == 0)
        return ruleset_update(ruleset, &contents, error);
    return ruleset_remove(ruleset, error);
}

/* ruleset install|update|remove KEY=VALUE... */
int verb_ruleset(const struct arguments *arguments)
{
    struct ruleset *ruleset = NULL;
    struct error error = {0};
    double start = seconds();
    int code = ruleset_open(&ruleset, -1, &error);

    if (code == 0 && arguments->count > 0)
        code = run(ruleset, arguments, &error);
    if (code == 0)
        printf("{\"queue\": \"%s\", \"defrag\": \"%s\", \"seconds\": %.6f}\n",
               ruleset_queue_expression(ruleset), ruleset_defrag_expression(ruleset),
               seconds() - start);
    ruleset_close(ruleset);
    return tell_result(code, &error);
}

/*
 * Tells changes of others, and updates when the test writes a line, until the test ends us. A
 * number in it is another limit of newcomers.
 */
static void hold(struct ruleset *ruleset, struct ruleset_contents *contents)
{
    struct pollfd readable[] = {{.fd = ruleset_watch_descriptor(ruleset), .events = POLLIN},
                                {.fd = STDIN_FILENO, .events = POLLIN}};
    struct error error = {0};
    char line[16];
    ssize_t length;

    while (poll(readable, 2, -1) > 0) {
        if (readable[0].revents != 0)
            printf("{\"changed\": %s}\n", ruleset_was_changed(ruleset) ? "true" : "false");
        if (readable[1].revents != 0 && (length = read(STDIN_FILENO, line, sizeof(line) - 1)) > 0) {
            line[length] = '\0';
            if (line[0] != '\n')
                contents->new_per_remote = (uint32_t)strtoul(line, NULL, 10);
            printf("{\"updated\": %d}\n", ruleset_update(ruleset, contents, &error));
        }
        fflush(stdout);
    }
}

/* ruleset-held life=shared|ends|outlives KEY=VALUE...: installs the rules and stays. */
int verb_ruleset_held(const struct arguments *arguments)
{
    const struct ruleset_options options = read_options(arguments);
    struct ruleset_contents contents = read_contents(arguments);
    struct ruleset *ruleset = NULL;
    struct error error = {0};
    int code = ruleset_open(&ruleset, -1, &error);

    if (code == 0)
        code = ruleset_install(ruleset, &options, &contents, &error);
    tell_result(code, &error);
    fflush(stdout);
    if (code == 0) {
        printf("{\"protection\": \"%s\"}\n", ruleset_protection(ruleset));
        fflush(stdout);
        hold(ruleset, &contents);
    }
    ruleset_close(ruleset);
    return 1;
}

static void tell_bytes(const struct nlmsghdr *message)
{
    const uint8_t *bytes = (const void *)message;

    printf("\"");
    for (size_t i = 0; i < message->nlmsg_len; i++)
        printf("%02x", bytes[i]);
    printf("\"");
}

static int send_batch(struct batch *batch, struct error *error)
{
    struct batch_outcome outcome;
    struct mnl_socket *socket = mnl_socket_open(NETLINK_NETFILTER);
    int code;

    mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID);
    code = batch_commit(batch, socket, &outcome);
    if (code < 0)
        batch_explain(batch, &outcome, code, "forced plan", error);
    mnl_socket_close(socket);
    return code;
}

/*
 * rule-bytes method=0|1 defrag=0|1|2 send=0|1: the batch's rule messages in hexadecimal, by this
 * plan, sent or not. So one sees what would go to a kernel other than this one.
 */
int verb_rule_bytes(const struct arguments *arguments)
{
    const struct ruleset_options options = read_options(arguments);
    const struct ruleset_contents contents = read_contents(arguments);
    const struct ruleset_plan plan = {
        .queue = (enum queue_method)argument_number(arguments, "method", 0),
        .defrag = (enum defrag_method)argument_number(arguments, "defrag", 0),
        .sockets = argument_number(arguments, "sockets", 0) != 0};
    struct error error = {0};
    struct batch batch;
    int code = batch_begin(&batch, 1);

    rules_create_chains(&batch, 0);
    sets_create(&batch, contents.uplink_count);
    code = sets_fill(&batch, NULL, &contents, &error);
    rules_create(&batch, &options, &contents, plan);
    batch_end(&batch);
    printf("{\"rules\": [");
    for (uint32_t sequence = 1, told = 0; sequence < batch.last_sequence; sequence++) {
        const struct nlmsghdr *message = batch_find(&batch, sequence);

        if (!message || (message->nlmsg_type & 0xff) != NFT_MSG_NEWRULE)
            continue;
        printf("%s{\"chain\": \"%s\", \"bytes\": ", told++ ? ", " : "", batch_rule_chain(message));
        tell_bytes(message);
        printf("}");
    }
    printf("]}\n");
    if (code == 0 && argument_number(arguments, "send", 0))
        code = send_batch(&batch, &error);
    batch_free(&batch);
    return tell_result(code, &error);
}
