/*
 * forwarding.c - whether the host forwards what is to be translated
 *
 * The kernel asks the interface that a packet comes in by (IN_DEV_FORWARD in ip_route_input_slow).
 * Answers come in by the external interface. Where the packets of a share come in is not
 * configured: it is taken to be where the route to them leads.
 */
#include "forwarding.h"

#include "portreeve/routes.h"

#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#define CONF "/proc/sys/net/ipv4/conf"

/* The lookups of routes and interfaces are not done every second. */
#define PAUSE_MS 2000

/* Networks and hosts whose routes are looked up, and interfaces that are looked at. */
#define LOOKUPS_MAX    64
#define INTERFACES_MAX 16

/* Lengths of a prefix in the 16-byte form. */
#define EVERY_HOST 96
#define ONE_HOST   128

struct inside {
    struct gateway *gateway;
    uint32_t interface[INTERFACES_MAX];
    size_t count, lookups;
};

/* The first character, or '?'. */
static char read_character(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    char value = '?';

    if (file < 0)
        return value;
    if (read(file, &value, 1) != 1)
        value = '?';
    close(file);
    return value;
}

/* True if the file says so; not if it cannot be read. */
static bool is_off(const char *path)
{
    return read_character(path) == '0';
}

static bool interface_is_off(const char *name, const char *key)
{
    char path[sizeof(CONF) + IF_NAMESIZE + 32];

    snprintf(path, sizeof(path), CONF "/%s/%s", name, key);
    return is_off(path);
}

bool forwarding_is_off(const char *interface)
{
    return interface == NULL ? is_off("/proc/sys/net/ipv4/ip_forward")
                             : interface_is_off(interface, "forwarding");
}

int forwarding_rp_filter(const char *interface)
{
    char path[sizeof(CONF) + IF_NAMESIZE + 32], value;

    snprintf(path, sizeof(path), CONF "/%s/rp_filter", interface);
    value = read_character(path);
    return value >= '0' && value <= '2' ? value - '0' : 0;
}

static void add(struct inside *inside, uint32_t interface_index)
{
    for (size_t i = 0; i < inside->count; i++) {
        if (inside->interface[i] == interface_index)
            return;
    }
    if (interface_index != 0 && inside->count < INTERFACES_MAX)
        inside->interface[inside->count++] = interface_index;
}

static void add_route_to(struct inside *inside, uint32_t address)
{
    const struct address destination = address_from_ipv4(address);
    uint32_t interface_index;

    if (inside->lookups++ < LOOKUPS_MAX &&
        routes_find(inside->gateway->routes, &destination, &interface_index) == 0)
        add(inside, interface_index);
}

/* The first and the last host of a network: one of them may be the gateway itself. */
static void add_network(struct inside *inside, const struct prefix *prefix)
{
    uint32_t first = address_to_ipv4(&prefix->address);

    if (prefix->length >= ONE_HOST - 1) {
        add_route_to(inside, first);
        return;
    }
    add_route_to(inside, first + 1);
    add_route_to(inside, (first | UINT32_MAX >> (prefix->length - EVERY_HOST)) - 1);
}

static void find_inside(struct inside *inside)
{
    const struct policy *policy = inside->gateway->active;

    for (size_t i = 0; i < inside->gateway->config.external_count; i++)
        add(inside, inside->gateway->uplink[i].interface.index);
    for (size_t i = 0; i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        for (size_t n = 0; n < share->source_count; n++)
            add_network(inside, &share->source[n]);
    }
    for (size_t i = 0; i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);

        for (size_t n = 0; n < forward->target_count; n++)
            add_route_to(inside, address_to_ipv4(&forward->target[n].address));
    }
}

static void check_interfaces(struct gateway *gateway)
{
    struct inside inside = {.gateway = gateway};
    char name[IF_NAMESIZE];

    find_inside(&inside);
    notices_begin(&gateway->notices, "interface-forwarding");
    for (size_t i = 0; i < inside.count; i++) {
        if (if_indextoname(inside.interface[i], name) != NULL &&
            interface_is_off(name, "forwarding"))
            notices_add(&gateway->notices, "interface-forwarding",
                        "what comes in by %s is not forwarded: set sysctl "
                        "net.ipv4.conf.%s.forwarding=1",
                        name, name);
    }
    notices_end(&gateway->notices, "interface-forwarding");
}

/* A redirect tells a host the way past the gateway; the kernel sends it if either sysctl is on. */
static void check_redirects(struct gateway *gateway)
{
    notices_begin(&gateway->notices, "icmp-redirects");
    for (size_t i = 0; i < gateway->config.external_count; i++) {
        const struct uplink_usage *uplink = &gateway->uplink[i];
        const char *name = uplink->interface.name;

        if (uplink->is_one_armed && name[0] != '\0' &&
            (!interface_is_off("all", "send_redirects") ||
             !interface_is_off(name, "send_redirects")))
            notices_add(&gateway->notices, "icmp-redirects",
                        "hosts of a share are behind %s too, and ICMP redirects tell them the way "
                        "past this gateway: set sysctl net.ipv4.conf.all.send_redirects=0 and "
                        "net.ipv4.conf.%s.send_redirects=0",
                        name, name);
    }
    notices_end(&gateway->notices, "icmp-redirects");
}

void gateway_check_forwarding(struct gateway *gateway)
{
    bool off = forwarding_is_off(NULL);

    if (off)
        notices_set(&gateway->notices, "ip-forwarding",
                    "IP forwarding is off on this host: set sysctl net.ipv4.ip_forward=1");
    else
        notices_clear(&gateway->notices, "ip-forwarding");
    if (gateway_now() < gateway->forwarding_due)
        return;
    gateway->forwarding_due = gateway_now() + PAUSE_MS;
    if (off) /* then the sysctls of the interfaces are off as well */
        notices_clear(&gateway->notices, "interface-forwarding");
    else
        check_interfaces(gateway);
    check_redirects(gateway);
}
