/*
 * collisions.c - where sockets of the gateway and what is published meet
 *
 * Theory. Packets to a published port are decided in this order: sessions; connected sockets (by a
 * rule of the kernel); forwards; what the filtering of a mapping admits; open sockets. So a forward
 * hides a listener, and a mapping does not. A pool leaves out the ports of sockets, but sockets are
 * bound at any time, without a word to us. So they are looked at every few seconds, never on the
 * way of a packet. Programs that take ports at random for a moment (resolvers) must not make the
 * pool change all the time: a socket counts when it was there at two looks.
 */
#include "collisions.h"

#include "portreeve/log.h"
#include "portreeve/report.h"
#include "portreeve/text.h"

#include <stdio.h>
#include <string.h>

/* Milliseconds between two looks; more if a look takes so long that it would cost over 0.5 %. */
#define LOOK_INTERVAL 2000
#define LOOK_SHARE    200

static bool mapping_at(struct gateway *gateway, uint8_t protocol, uint16_t port,
                       struct mapping_view *view)
{
    bool found;

    if (gateway->nat == NULL)
        return true;
    found = nat_view_port(gateway_lock(gateway), protocol, port, gateway_now(), view);
    gateway_unlock(gateway);
    return found;
}

static void exclude_ports(struct gateway *gateway, struct policy *policy,
                          enum protocol_index protocol)
{
    const struct own_ports *used = &gateway->own_sockets.used[protocol];
    uint8_t number = protocol_table[protocol].number;
    struct mapping_view view;

    for (uint32_t port = 0; port < OWN_PORTS; port++) {
        if (own_ports_has(used, (uint16_t)port) &&
            !mapping_at(gateway, number, (uint16_t)port, &view))
            policy_exclude_port(policy, number, (uint16_t)port);
    }
}

void collisions_exclude(struct gateway *gateway, struct policy *policy)
{
    struct own_sockets *sockets = &gateway->own_sockets;
    struct mapping_view view;
    struct error error = {0};

    if (own_sockets_look(sockets, &error) < 0)
        log_warning("the pool may overlap ports of the gateway's own sockets: %s", error.text);
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++)
        exclude_ports(gateway, policy, p);
    for (size_t i = 0; i < sockets->open_count; i++) {
        const struct host_socket *socket = &sockets->open[i];

        if (mapping_at(gateway, socket->protocol, socket->port, &view))
            policy_keep_port(policy, socket->protocol, socket->port);
    }
    memcpy(gateway->bound_ports, sockets->bound, sizeof(gateway->bound_ports));
    log_debug("sockets of the gateway whose ports are not in the pool: %zu", sockets->count);
}

static bool is_pooled(const struct gateway *gateway, const struct host_socket *socket)
{
    return policy_is_published(gateway->active, socket->protocol, socket->port) &&
           policy_forward_at(gateway->active, socket->protocol, socket->port) == POLICY_NONE;
}

/* True if the policy, or the rules, should know something else about this socket. */
static bool is_news(struct gateway *gateway, const struct host_socket *socket)
{
    enum protocol_index protocol = protocol_index(socket->protocol);
    struct mapping_view view;

    if (!socket->takes_any_address &&
        policy_is_published(gateway->active, socket->protocol, socket->port) &&
        !own_ports_has(&gateway->bound_ports[protocol], socket->port))
        return true;
    return is_pooled(gateway, socket) &&
           (!policy_keeps_port(gateway->active, socket->protocol, socket->port) ||
            !mapping_at(gateway, socket->protocol, socket->port, &view));
}

static bool was_used(const struct own_ports *before, const struct host_socket *socket)
{
    enum protocol_index protocol = protocol_index(socket->protocol);

    return protocol < PROTOCOL_PORTS_COUNT && own_ports_has(&before[protocol], socket->port);
}

bool collisions_look(struct gateway *gateway)
{
    struct own_sockets *sockets = &gateway->own_sockets;
    struct own_ports before[PROTOCOL_PORTS_COUNT];
    uint64_t start = gateway_now(), took;
    struct error error = {0};
    bool news = false;

    if (start < gateway->look_due)
        return false;
    memcpy(before, sockets->used, sizeof(before));
    if (own_sockets_look(sockets, &error) < 0)
        log_debug("%s", error.text);
    for (size_t i = 0; i < sockets->open_count && !news; i++)
        news = was_used(before, &sockets->open[i]) && is_news(gateway, &sockets->open[i]);
    took = gateway_now() - start;
    gateway->look_due =
        start + (took * LOOK_SHARE > LOOK_INTERVAL ? took * LOOK_SHARE : LOOK_INTERVAL);
    return news;
}

static bool is_one_of(const struct address *address, const struct address *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (address_equal(address, &addresses[i]))
            return true;
    }
    return false;
}

void collisions_report_hidden(const struct own_sockets *sockets, const struct policy *policy,
                              const char *forward, const struct address *external, size_t count,
                              const char *prefix, config_report *report, void *context)
{
    struct own_ports said[PROTOCOL_PORTS_COUNT] = {0};

    for (size_t i = 0; i < sockets->open_count; i++) {
        const struct host_socket *socket = &sockets->open[i];
        struct own_ports *done = &said[protocol_index(socket->protocol)];
        uint16_t index = policy_forward_at(policy, socket->protocol, socket->port);
        char who[OWN_SOCKET_TEXT_MAX];
        const char *name;

        if (index == POLICY_NONE || own_ports_has(done, socket->port) ||
            !(socket->takes_any_address || is_one_of(&socket->address, external, count)))
            continue;
        name = policy_forward(policy, index)->name;
        if (forward != NULL && strcmp(forward, name) != 0)
            continue;
        own_ports_add(done, socket->port);
        report_format(report, context,
                      "%sforward '%s' takes port %u/%s, where %s listens: from outside, that "
                      "listener can no longer be reached",
                      prefix, name, socket->port, protocol_name(socket->protocol),
                      own_socket_describe(socket, who));
    }
}

/* The ports of a forward that mappings have; *first is the first of these mappings. */
static size_t count_held(struct gateway *gateway, const struct forward *forward,
                         struct mapping_view *first)
{
    struct mapping_view view;
    size_t count = 0;

    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        for (uint32_t port = forward->listen.first;
             forward->protocols & 1u << p && port <= forward->listen.last; port++) {
            if (mapping_at(gateway, protocol_table[p].number, (uint16_t)port, &view) &&
                count++ == 0)
                *first = view;
        }
    }
    return count;
}

bool collisions_report_held(struct gateway *gateway, const struct forward *forward,
                            const char *what, const char *then, config_report *report,
                            void *context)
{
    struct mapping_view first;
    size_t count = count_held(gateway, forward, &first);
    char internal[ENDPOINT_TEXT_MAX], others[64] = "";

    if (count == 0)
        return false;
    if (count > 1)
        snprintf(others, sizeof(others), ", and mappings have %zu more of its ports", count - 1);
    report_format(
        report, context, "%s: port %u/%s is used by a mapping of %s (share '%s', sessions: %u)%s%s",
        what, first.external.port, protocol_name(first.protocol),
        text_format_endpoint(&first.internal, internal),
        first.share != POLICY_NONE ? policy_share(gateway->active, first.share)->name : "none",
        first.sessions, others, then);
    return true;
}

static void note_hidden(void *context, const char *message)
{
    notices_add(context, "hidden-listener", "%s", message);
}

static void note_collision(struct gateway *gateway, const struct host_socket *socket)
{
    char who[OWN_SOCKET_TEXT_MAX], internal[ENDPOINT_TEXT_MAX];
    struct mapping_view view;

    if (!is_pooled(gateway, socket) ||
        !mapping_at(gateway, socket->protocol, socket->port, &view) || view.share == POLICY_NONE)
        return;
    notices_add(&gateway->notices, "port-collision",
                "port %u/%s has been bound by %s while a mapping of %s (share '%s') has it: the "
                "mapping's sessions continue, other packets are the gateway's",
                socket->port, protocol_name(socket->protocol), own_socket_describe(socket, who),
                text_format_endpoint(&view.internal, internal),
                policy_share(gateway->active, view.share)->name);
}

void collisions_note(struct gateway *gateway)
{
    const struct own_sockets *sockets = &gateway->own_sockets;
    struct notices *notices = &gateway->notices;

    notices_begin(notices, "hidden-listener");
    collisions_report_hidden(sockets, gateway->active, NULL, gateway->external,
                             gateway->external_count, "", note_hidden, notices);
    notices_end(notices, "hidden-listener");
    notices_begin(notices, "port-collision");
    for (size_t i = 0; i < sockets->open_count; i++)
        note_collision(gateway, &sockets->open[i]);
    notices_end(notices, "port-collision");
}

size_t gateway_listeners(struct gateway *gateway, struct gateway_listener *out, size_t max)
{
    const struct own_sockets *sockets = &gateway->own_sockets;
    struct own_ports said[PROTOCOL_PORTS_COUNT] = {0};
    size_t count = 0;

    for (size_t i = 0; i < sockets->open_count; i++) {
        const struct host_socket *socket = &sockets->open[i];
        struct own_ports *done = &said[protocol_index(socket->protocol)];

        if (own_ports_has(done, socket->port) ||
            !(socket->takes_any_address ||
              is_one_of(&socket->address, gateway->external, gateway->external_count)))
            continue;
        own_ports_add(done, socket->port);
        if (count < max) {
            out[count] = (struct gateway_listener){.protocol = socket->protocol,
                                                   .port = socket->port,
                                                   .takes_any_address = socket->takes_any_address,
                                                   .address = socket->address};
            _Static_assert(sizeof(out->program) >= OWN_SOCKET_TEXT_MAX, "the text fits");
            own_socket_describe(socket, out[count].program);
        }
        count++;
    }
    return count;
}
