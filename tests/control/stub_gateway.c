/*
 * stub_gateway.c - a gateway with only the translator
 *
 * Inside:  10.0.0.0/24 (share lab, ports 50000-50999), 10.1.0.0/16 (share bulk, ports 51000-60999)
 * Outside: 203.0.113.5 on wan0
 * Forwards: bastion-ssh 2222/tcp -> 10.0.0.22:22 (allow, owner, note),
 *           web 8000-8003/tcp -> 10.0.0.9:8000, dns 53/tcp+udp -> 10.0.0.53:53
 * Sessions: one of each kind; stub_gateway_new lists them.
 */
#include "stub_gateway.h"

#include "nat_internal.h"
#include "portreeve/explain_gateway.h"
#include "portreeve/register.h"
#include "portreeve/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXTERNAL_INTERFACE 3
#define INSIDE_INTERFACE   2
#define MINUTE             UINT64_C(60000)

struct gateway {
    struct nat *nat;
    struct config config;
    struct policy *active;
    struct forward_register *ports;
    const char *config_path;
    uint64_t started;
    uint32_t next_bulk;
    bool locked;
};

/* ---- packets ---- */

struct sent {
    enum packet_hook hook;
    uint8_t protocol;
    const char *source, *destination; /* ADDRESS:PORT */
    uint8_t flags;                    /* TCP flags, or the ICMP type */
    uint16_t payload;
};

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_l4(uint8_t *l4, const struct sent *sent, const struct tuple *tuple, size_t length)
{
    switch (sent->protocol) {
    case PROTOCOL_TCP:
        put16(l4, tuple->source.port);
        put16(l4 + 2, tuple->destination.port);
        /* Both sequence numbers begin at 0, so 1 acknowledges the handshake. */
        l4[7] = sent->flags & TCP_SYN ? 0 : 1;
        l4[11] = sent->flags & TCP_ACK ? 1 : 0;
        l4[12] = 5 << 4;
        l4[13] = sent->flags;
        break;
    case PROTOCOL_UDP:
        put16(l4, tuple->source.port);
        put16(l4 + 2, tuple->destination.port);
        put16(l4 + 4, (uint16_t)length);
        break;
    default:
        l4[0] = sent->flags;
        put16(l4 + 4, tuple->source.port); /* the query id */
        break;
    }
}

static void translate(struct gateway *gateway, const struct sent *sent, const struct tuple *tuple,
                      uint64_t now)
{
    static const size_t header[] = {[PROTOCOL_ICMP] = 8, [PROTOCOL_TCP] = 20, [PROTOCOL_UDP] = 8};
    size_t l4_length = header[sent->protocol] + sent->payload, length = 20 + l4_length;
    uint8_t data[2048] = {0x45};
    struct packet packet = {.data = data, .length = length, .hook = sent->hook};
    bool outside =
        sent->hook == HOOK_INBOUND && memcmp(tuple->source.address.bytes + 12, "\x0a", 1) != 0;

    put16(data + 2, (uint16_t)length);
    data[8] = 64;
    data[9] = sent->protocol;
    memcpy(data + 12, tuple->source.address.bytes + 12, 4);
    memcpy(data + 16, tuple->destination.address.bytes + 12, 4);
    put_l4(data + 20, sent, tuple, l4_length);
    packet.in_interface = outside ? EXTERNAL_INTERFACE : INSIDE_INTERFACE;
    packet.out_interface = sent->hook == HOOK_OUTBOUND ? EXTERNAL_INTERFACE : 0;
    nat_translate_batch(gateway->nat, &packet, 1, now);
    if (packet.verdict != VERDICT_REWRITTEN) {
        fprintf(stderr, "stub: %s -> %s was not translated: %s\n", sent->source, sent->destination,
                drop_reason_name(packet.reason));
        abort();
    }
}

static void send_one(struct gateway *gateway, const struct sent *sent, uint64_t now)
{
    struct tuple tuple = {.protocol = sent->protocol};

    if (!text_parse_endpoint(sent->source, &tuple.source) ||
        !text_parse_endpoint(sent->destination, &tuple.destination))
        abort();
    translate(gateway, sent, &tuple, now);
}

/* Sends an answer to the session of `internal`, to its external port. */
static void answer(struct gateway *gateway, const struct sent *sent, const char *internal,
                   uint64_t now)
{
    struct tuple tuple = {.protocol = sent->protocol};
    struct endpoint endpoint;
    struct mapping_view mapping;
    uint32_t index;

    if (!text_parse_endpoint(internal, &endpoint) ||
        !text_parse_endpoint(sent->source, &tuple.source))
        abort();
    index = mapping_find_internal(&gateway->nat->table, sent->protocol, &endpoint, 0);
    if (index == INDEX_NONE || !nat_view_mapping(gateway->nat, index, now, &mapping))
        abort();
    tuple.destination = mapping.external;
    if (sent->protocol == PROTOCOL_ICMP) { /* both sides of a query carry the id */
        tuple.source.port = tuple.destination.port;
        tuple.destination.port = 0;
    }
    translate(gateway, sent, &tuple, now);
}

#define OUT(protocol, source, destination, flags, payload)                                         \
    &(struct sent)                                                                                 \
    {                                                                                              \
        HOOK_OUTBOUND, protocol, source, destination, flags, payload                               \
    }
#define IN(protocol, source, destination, flags, payload)                                          \
    &(struct sent)                                                                                 \
    {                                                                                              \
        HOOK_INBOUND, protocol, source, destination, flags, payload                                \
    }

static void open_outbound(struct gateway *gateway, uint64_t now)
{
    const char *web = "198.51.100.80:443", *host = "10.0.0.7:40000";

    send_one(gateway, OUT(PROTOCOL_TCP, host, web, TCP_SYN, 0), now);
    answer(gateway, IN(PROTOCOL_TCP, web, "", TCP_SYN | TCP_ACK, 0), host, now);
    send_one(gateway, OUT(PROTOCOL_TCP, host, web, TCP_ACK, 0), now);
    send_one(gateway, OUT(PROTOCOL_TCP, host, web, TCP_ACK | TCP_PSH, 500), now + 20);
    answer(gateway, IN(PROTOCOL_TCP, web, "", TCP_ACK, 1400), host, now + 50);
    /* never answered; half closed */
    send_one(gateway, OUT(PROTOCOL_TCP, "10.0.0.8:40001", "198.51.100.81:22", TCP_SYN, 0),
             now + MINUTE);
    host = "10.0.0.8:40002";
    send_one(gateway, OUT(PROTOCOL_TCP, host, web, TCP_SYN, 0), now);
    answer(gateway, IN(PROTOCOL_TCP, web, "", TCP_SYN | TCP_ACK, 0), host, now);
    send_one(gateway, OUT(PROTOCOL_TCP, host, web, TCP_ACK, 0), now);
    send_one(gateway, OUT(PROTOCOL_TCP, host, web, TCP_ACK | TCP_FIN, 0), now + 2 * MINUTE);
}

static void open_others(struct gateway *gateway, uint64_t now)
{
    const char *resolver = "198.51.100.53:53", *host = "10.0.0.7:5353";

    send_one(gateway, OUT(PROTOCOL_UDP, host, resolver, 0, 40), now);
    answer(gateway, IN(PROTOCOL_UDP, resolver, "", 0, 200), host, now + 30);
    send_one(gateway, OUT(PROTOCOL_UDP, host, "198.51.100.54:53", 0, 40), now);
    /* through a forward, and a hairpin */
    send_one(gateway, IN(PROTOCOL_TCP, "198.51.100.22:60022", "203.0.113.5:2222", TCP_SYN, 0), now);
    send_one(gateway,
             OUT(PROTOCOL_TCP, "10.0.0.22:22", "198.51.100.22:60022", TCP_SYN | TCP_ACK, 0), now);
    send_one(gateway, IN(PROTOCOL_TCP, "198.51.100.22:60022", "203.0.113.5:2222", TCP_ACK, 0), now);
    send_one(gateway, IN(PROTOCOL_TCP, "10.0.0.7:41000", "203.0.113.5:8001", TCP_SYN, 0), now);
}

static void open_ping(struct gateway *gateway, uint64_t now)
{
    struct sent sent = {.hook = HOOK_OUTBOUND,
                        .protocol = PROTOCOL_ICMP,
                        .flags = ICMP_ECHO_REQUEST,
                        .payload = 56,
                        .source = "a ping",
                        .destination = "198.51.100.99"};
    struct tuple tuple = {.protocol = PROTOCOL_ICMP};

    tuple.source = (struct endpoint){address_from_ipv4(0x0a000007), 77};
    tuple.destination = (struct endpoint){address_from_ipv4(0xc6336463), 0};
    translate(gateway, &sent, &tuple, now);
}

static void open_bulk(struct gateway *gateway, uint64_t now)
{
    struct sent sent = {.hook = HOOK_OUTBOUND,
                        .protocol = PROTOCOL_UDP,
                        .payload = 20,
                        .source = "bulk",
                        .destination = "198.51.100.123"};
    uint32_t number = gateway->next_bulk++;
    struct tuple tuple = {.protocol = PROTOCOL_UDP};

    /* The pool is small: many remote hosts, few mappings. */
    tuple.source = (struct endpoint){address_from_ipv4(0x0a010001 + number / 1000 % 1000), 1024};
    tuple.destination =
        (struct endpoint){address_from_ipv4(0xc633647b), (uint16_t)(1 + number % 1000)};
    translate(gateway, &sent, &tuple, now);
}

void stub_gateway_open_sessions(struct gateway *gateway, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        open_bulk(gateway, gateway_now());
}

void stub_gateway_churn(struct gateway *gateway, uint32_t count)
{
    struct session_view view;

    for (uint32_t i = 0; i < count; i++) {
        open_bulk(gateway, gateway_now());
        for (uint32_t slot = 0; slot < gateway->nat->table.capacity; slot++) {
            if (nat_view(gateway->nat, slot, 0, &view) &&
                view.id + 1 == gateway->nat->table.next_id) {
                nat_kill(gateway->nat, slot, view.id, gateway_now());
                break;
            }
        }
    }
}

size_t gateway_listeners(struct gateway *gateway, struct gateway_listener *out, size_t max)
{
    (void)gateway;
    if (getenv("PORTREEVE_STUB_LISTENER") == NULL)
        return 0;
    if (max > 0)
        out[0] = (struct gateway_listener){.protocol = PROTOCOL_TCP,
                                           .port = 23,
                                           .takes_any_address = true,
                                           .program = "telnetd (user 0)"};
    return 1;
}

/* ---- an explanation ---- */

static void add_step(struct explain_report *report, enum explain_result result,
                     enum explain_cause cause, const char *text)
{
    struct explain_step *step = &report->step[report->count++];

    *step = (struct explain_step){.check = "target", .result = result, .cause = cause};
    snprintf(step->text, sizeof(step->text), "%s", text);
}

/* A target that refuses a probe, and otherwise may be silent. */
void gateway_explain(struct gateway *gateway, const struct explain_request *request,
                     struct explain_report *report)
{
    (void)gateway;
    *report = (struct explain_report){.from = request->from,
                                      .target = {address_from_ipv4(0x7f000001), 1}};
    add_step(report, EXPLAIN_OK, EXPLAIN_HEALTHY, "this is a stub");
    switch (request->probe) {
    case EXPLAIN_PROBE_NONE:
        add_step(report, EXPLAIN_UNKNOWN, EXPLAIN_TARGET_SILENT, "nobody has asked it");
        report->candidate[report->candidate_count++] = EXPLAIN_TARGET_SILENT;
        report->candidate[report->candidate_count++] = EXPLAIN_HOST_FIREWALL;
        break;
    case EXPLAIN_PROBE_REFUSED:
        add_step(report, EXPLAIN_FAIL, EXPLAIN_TARGET_REFUSES, "it refuses");
        report->cause = EXPLAIN_TARGET_REFUSES;
        break;
    default:
        break;
    }
}

/* ---- policy ---- */

static void ignore_report(void *context, const char *message)
{
    (void)context;
    fprintf(stderr, "stub: %s\n", message);
    abort();
}

static bool add_share(struct policy *policy, const char *name, const char *source, uint16_t first,
                      uint16_t last)
{
    struct prefix prefix;
    struct port_range range = {first, last};
    struct share share = {.source = &prefix,
                          .source_count = 1,
                          .ports = &range,
                          .ports_count = 1,
                          .filtering = FILTERING_ADDRESS_DEPENDENT};

    snprintf(share.name, sizeof(share.name), "%s", name);
    return text_parse_prefix(source, &prefix) && policy_add_share(policy, &share);
}

static bool fill_policy(struct policy *policy, uint32_t capacity)
{
    static const struct forward_text forwards[] = {
        {.name = "bastion-ssh",
         .listen = "2222/tcp",
         .to = "10.0.0.22:22",
         .allow = "198.51.100.0/24",
         .owner = "netops",
         .note = "bastion, ticket NET-42",
         .expires = "2099-12-31T18:00:00Z"},
        {.name = "web", .listen = "8000-8003/tcp", .to = "10.0.0.9:8000"},
        {.name = "dns", .listen = "53/tcp+udp", .to = "10.0.0.53:53"},
    };

    policy_limits(policy)->sessions = capacity;
    for (size_t i = 0; i < sizeof(forwards) / sizeof(forwards[0]); i++) {
        if (!config_add_forward(policy, &forwards[i], false, ignore_report, NULL))
            return false;
    }
    return add_share(policy, "lab", "10.0.0.0/24", 50000, 50999) &&
           add_share(policy, "bulk", "10.1.0.0/16", 51000, 60999);
}

/* Seals `next` and makes it the active policy. */
static bool apply(struct gateway *gateway, struct policy *next, const char *who,
                  uint32_t *sessions_ended)
{
    struct policy *before = gateway->active;

    if (!policy_seal(next))
        return false;
    nat_set_policy(gateway->nat, next);
    nat_review(gateway->nat, gateway_now(), 0, sessions_ended);
    gateway->active = next;
    register_collect(gateway->ports, gateway, before);
    register_follow(gateway->ports, next, time(NULL), who);
    policy_free(before);
    return true;
}

/* ---- life ---- */

struct gateway *stub_gateway_new(const char *config_path, uint32_t capacity)
{
    static const uint8_t secret[32] = "not a secret: tests repeat";
    struct address external = address_from_ipv4(0xcb007105); /* 203.0.113.5 */
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    uint64_t begun = gateway_now() - 4 * MINUTE - 12000;

    if (gateway == NULL)
        abort();
    gateway->active = policy_new();
    if (!fill_policy(gateway->active, capacity) || !policy_seal(gateway->active))
        abort();
    gateway->ports = register_new();
    if (gateway->ports == NULL)
        abort();
    register_follow(gateway->ports, gateway->active, time(NULL), NULL);
    strcpy(gateway->config.external[0], "wan0");
    gateway->config.external_count = 1;
    gateway->config_path = config_path;
    gateway->started = begun;
    gateway->nat = nat_new(gateway->active, secret, NULL, begun);
    if (gateway->nat == NULL)
        abort();
    nat_set_external(gateway->nat, EXTERNAL_INTERFACE, &external, 1);
    open_outbound(gateway, begun);
    open_others(gateway, begun + 3 * MINUTE);
    open_ping(gateway, gateway_now() - 5000);
    gateway->nat->counters.dropped[DROP_NO_SESSION] = 1234567;
    gateway->nat->counters.dropped[DROP_NOT_ALLOWED] = 3;
    return gateway;
}

void stub_gateway_free(struct gateway *gateway)
{
    nat_free(gateway->nat);
    policy_free(gateway->active);
    register_free(gateway->ports);
    policy_free(gateway->config.expired);
    free(gateway);
}

bool stub_gateway_is_locked(const struct gateway *gateway)
{
    return gateway->locked;
}

void stub_gateway_damage(struct gateway *gateway)
{
    gateway->nat->table.mappings_live++;
    gateway->nat->counters.opened += 3;
}

/* ---- gateway.h ---- */

uint64_t gateway_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct nat *gateway_lock(struct gateway *gateway)
{
    if (gateway->locked)
        abort();
    gateway->locked = true;
    return gateway->nat;
}

void gateway_unlock(struct gateway *gateway)
{
    if (!gateway->locked)
        abort();
    gateway->locked = false;
}

void gateway_unlock_and_order(struct gateway *gateway)
{
    gateway_unlock(gateway);
}

/* The stub has no offload. */
void gateway_fold_offloaded(struct gateway *gateway)
{
    if (gateway->locked)
        abort(); /* the real one waits for the kernel */
}

void gateway_flush_offloaded(struct gateway *gateway)
{
    gateway_fold_offloaded(gateway);
}

int gateway_check_kernel(struct gateway *gateway)
{
    gateway_fold_offloaded(gateway);
    return -ENOENT;
}

const struct forward_register *gateway_read_register(struct gateway *gateway)
{
    gateway_fold_offloaded(gateway);
    register_collect(gateway->ports, gateway, gateway->active);
    return gateway->ports;
}

const char *gateway_config_path(const struct gateway *gateway)
{
    return gateway->config_path != NULL ? gateway->config_path : "portreeve.conf";
}

const struct config *gateway_config(const struct gateway *gateway)
{
    return &gateway->config;
}

const struct policy *gateway_policy(const struct gateway *gateway)
{
    return gateway->active;
}

void gateway_read_status(struct gateway *gateway, struct gateway_status *status)
{
    memset(status, 0, sizeof(*status));
    status->uptime_ms = gateway_now() - gateway->started;
    status->started = time(NULL) - (int64_t)(status->uptime_ms / 1000);
    status->external[0] = gateway->nat->external[0];
    status->external_count = 1;
    nat_summarize(gateway->nat, &status->nat);
    status->memory = nat_memory(gateway->nat);
    status->packet_rate[HOOK_INBOUND] = 1200;
    status->byte_rate[HOOK_INBOUND] = 1500000;
    status->workers = 2;
    status->queue_count = 2;
    status->queue[0].statistics = (struct queue_statistics){.waiting = 3, .dropped_full = 1};
    status->queue[1].number = 1;
    status->queue[1].error = -2;
    status->queue_expression = "queue";
    status->warnings = 1;
    strcpy(status->warning[0], "this is not a gateway but a stub of one");
    status->notices = 1;
    status->notice[0] = (struct notice){.name = "stub-notice",
                                        .text = "another program's rules are in the way",
                                        .since = 1000000000};
    status->threads = 2;
    status->thread[0] = (struct gateway_thread){"the worker of queue 0", 500, false};
    status->thread[1] = (struct gateway_thread){"the worker of queue 1", 12250, true};
}

bool gateway_reload(struct gateway *gateway, config_report *report, config_report *warn,
                    void *context, uint32_t *sessions_ended)
{
    struct config config;
    bool applied;

    if (gateway->config_path == NULL) {
        report(context, "the stub has no configuration");
        report(context, "and wants none");
        return false;
    }
    if (!config_load(gateway->config_path, &config, report, warn, context))
        return false;
    applied = apply(gateway, policy_copy(config.policy), NULL, sessions_ended);
    policy_free(gateway->config.expired);
    gateway->config.expired = config.expired;
    config.expired = NULL;
    config_free(&config);
    return applied;
}

struct policy *gateway_plan_reload(struct gateway *gateway, config_report *report,
                                   config_report *warn, void *context, uint32_t *sessions_ending)
{
    struct config config;
    struct policy *next;

    if (!config_load(gateway->config_path, &config, report, warn, context))
        return NULL;
    next = policy_copy(config.policy);
    config_free(&config);
    if (!policy_seal(next))
        abort();
    *sessions_ending = nat_count_ending(gateway->nat, next, 0, nat_slots(gateway->nat));
    return next;
}

bool gateway_add_forward(struct gateway *gateway, const struct forward_text *text, bool force,
                         config_report *report, void *context, uint32_t *sessions_ended)
{
    struct policy *next = policy_copy(gateway->active);

    if (!config_add_forward(next, text, true, report, context)) {
        policy_free(next);
        return false;
    }
    if (policy_find_forward(next, text->name)->listen.first == 7777 && !force) {
        report(context, "listen: port 7777/tcp is used by a mapping");
        policy_free(next);
        return false;
    }
    return apply(gateway, next, text->by, sessions_ended);
}

void gateway_report_forward(struct gateway *gateway, const char *name, config_report *report,
                            void *context)
{
    if (policy_find_forward(gateway->active, name)->listen.first == 22)
        report(context, "a listener of the gateway is hidden");
}

bool gateway_change_forward(struct gateway *gateway, const struct forward_text *text,
                            config_report *report, void *context, uint32_t *sessions_ended)
{
    struct policy *next = policy_copy(gateway->active);
    const struct forward *before = policy_find_forward(gateway->active, text->name);

    if (before == NULL || !before->runtime) {
        report(context, "there is no such run-time forward");
        policy_free(next);
        return false;
    }
    policy_remove_forward(next, text->name);
    if (!config_change_forward(next, before, text, report, context)) {
        policy_free(next);
        return false;
    }
    return apply(gateway, next, text->by, sessions_ended);
}

bool gateway_remove_forward(struct gateway *gateway, const char *name, config_report *report,
                            void *context, uint32_t *sessions_ended)
{
    struct policy *next = policy_copy(gateway->active);

    if (!policy_remove_forward(next, name)) {
        report(context, "there is no such forward");
        policy_free(next);
        return false;
    }
    return apply(gateway, next, NULL, sessions_ended);
}
