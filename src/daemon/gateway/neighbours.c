/*
 * neighbours.c - notices about other programs' rules, and about bridges, that are in our way
 */
#include "neighbours.h"

#include "flowtables.h"
#include "hosts.h"
#include "portreeve/log.h"
#include "portreeve/neighbours.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/netfilter.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOURCE_NAT "source-nat"
#define BRIDGE     "bridge-netfilter"

/* The next look is no sooner than this, and so many times as long as the last one took. */
#define PAUSE_MS     2000
#define PAUSE_FACTOR 20

/* What one look has found. */
struct finds {
    struct {
        struct neighbour neighbour;
        const char *interface;
    } list[16];
    size_t count;
    const char *interface; /* of this look */
};

static void take_neighbour(void *context, const struct neighbour *neighbour)
{
    struct finds *finds = context;

    if (finds->count == sizeof(finds->list) / sizeof(finds->list[0]))
        return;
    finds->list[finds->count].neighbour = *neighbour;
    finds->list[finds->count++].interface = finds->interface;
}

/* What is exempt may need the other rule. */
static bool exempts_nothing(const struct policy *policy)
{
    for (size_t i = 0; i < policy_share_count(policy); i++) {
        if (policy_share(policy, i)->exempt_count > 0)
            return false;
    }
    return true;
}

/* True if other nat rules are kept off the sources of shares. */
static bool guard_sources(struct gateway *gateway, bool needed)
{
    bool on = needed && exempts_nothing(gateway->active);
    struct error error = {0};

    if (on == gateway->guards_sources)
        return on;
    if (ruleset_guard_sources(gateway->ruleset, on, &error) < 0) {
        log_warning("%s", error.text);
        on = false;
    }
    gateway->guards_sources = on;
    return on;
}

static void add_notice(struct notices *notices, const struct neighbour *neighbour,
                       const char *interface, bool guarded)
{
    notices_add(notices, SOURCE_NAT,
                "chain %.48s of table %s %.48s gives what leaves by %s another source: %s",
                neighbour->name, neighbour_family(neighbour), neighbour->table, interface,
                guarded ? "portreeve keeps its shares out of that. Delete the rule, if only "
                          "they needed it"
                        : "those connections of shares are not portreeve's. Delete the rule, "
                          "or limit it to other sources");
}

/* True if the file has a line that begins with this word. */
static bool has_line(const char *path, const char *word)
{
    const size_t length = strlen(word);
    FILE *file = fopen(path, "re");
    char line[256];
    bool found = false;

    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
        found = strncmp(line, word, length) == 0 && !isalnum((unsigned char)line[length]);
    if (file != NULL)
        fclose(file);
    return found;
}

/*
 * iptables-legacy has rules of its own, which nf_tables does not show. The list of its tables is
 * for root's eyes only; without it, the module is a sign, although of any network namespace.
 */
static bool has_legacy_nat(void)
{
    static const char tables[] = "/proc/net/ip_tables_names";

    if (access(tables, R_OK) == 0 || errno == ENOENT)
        return has_line(tables, "nat");
    return has_line("/proc/modules", "iptable_nat");
}

/* Nobody has had such a rule for a while. */
static bool has_idle_guard(const struct gateway *gateway)
{
    return gateway->guards_sources && gateway_now() >= gateway->guard_until;
}

static void look_at_rules(struct gateway *gateway)
{
    struct neighbour_scope scope = {0};
    struct prefix *sources = hosts_sources(gateway->active, &scope.source_count);
    struct finds finds = {.count = 0};
    struct error error = {0};
    bool guarded;

    scope.sources = sources;
    for (size_t i = 0; sources != NULL && i < gateway->config.external_count; i++) {
        scope.interface = finds.interface = gateway->uplink[i].interface.name;
        scope.interface_index = gateway->uplink[i].interface.index;
        if (scope.interface_index != 0 &&
            neighbours_read(gateway->neighbours, &scope, take_neighbour, &finds, &error) < 0)
            log_warning("%s", error.text);
    }
    free(sources);
    if (finds.count > 0 || gateway->has_legacy_nat)
        gateway->guard_until = UINT64_MAX;
    else if (gateway->guard_until == UINT64_MAX)
        gateway->guard_until = gateway_now() + GATEWAY_HOLD_MS;
    guarded = guard_sources(gateway, gateway_now() < gateway->guard_until);
    notices_begin(&gateway->notices, SOURCE_NAT);
    for (size_t i = 0; i < finds.count; i++)
        add_notice(&gateway->notices, &finds.list[i].neighbour, finds.list[i].interface, guarded);
    if (gateway->has_legacy_nat && !guarded)
        notices_add(&gateway->notices, SOURCE_NAT,
                    "iptables-legacy has a table nat, whose rules portreeve cannot read: one that "
                    "gives other sources takes connections of shares from it. Use iptables-nft, or "
                    "limit such rules to other sources");
    notices_end(&gateway->notices, SOURCE_NAT);
}

/* True if the file begins with a digit other than 0. */
static bool is_switched_on(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    char value = '0';
    bool on;

    if (file < 0)
        return false;
    on = read(file, &value, 1) == 1 && value != '0';
    close(file);
    return on;
}

#define BRIDGES_SYSCTL "/proc/sys/net/bridge/bridge-nf-call-iptables"

/* It is switched on for all bridges, or for one (br_netfilter_hooks.c, br_nf_pre_routing). */
static bool calls_iptables(const char *bridge)
{
    char path[64 + IF_NAMESIZE];

    snprintf(path, sizeof(path), "/sys/class/net/%.15s/bridge/nf_call_iptables", bridge);
    return is_switched_on(BRIDGES_SYSCTL) || is_switched_on(path);
}

static bool is_bridge(int socket, const char *name)
{
    struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request = {.ifr_data = (char *)&driver};

    memcpy(request.ifr_name, name, strnlen(name, sizeof(request.ifr_name) - 1));
    return ioctl(socket, SIOCETHTOOL, &request) == 0 &&
           strncmp(driver.driver, "bridge", sizeof(driver.driver)) == 0;
}

static uint32_t ipv4_of(const struct sockaddr *address)
{
    return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr);
}

/* True if hosts of a share, or the target of a forward, are in the network of this interface. */
static bool has_our_hosts(const struct policy *policy, const struct ifaddrs *interface)
{
    struct address own = address_from_ipv4(ipv4_of(interface->ifa_addr));

    if (policy_is_shared(policy, &own))
        return true;
    for (size_t i = 0; interface->ifa_netmask != NULL && i < policy_forward_count(policy); i++) {
        const struct address *target = &policy_forward(policy, i)->target[0].address;

        if (address_is_ipv4(target) && ((address_to_ipv4(target) ^ ipv4_of(interface->ifa_addr)) &
                                        ipv4_of(interface->ifa_netmask)) == 0)
            return true;
    }
    return false;
}

static void add_bridges(struct gateway *gateway, int socket)
{
    struct ifaddrs *interfaces;

    if (getifaddrs(&interfaces) < 0)
        return;
    for (const struct ifaddrs *one = interfaces; one != NULL; one = one->ifa_next) {
        if (one->ifa_addr != NULL && one->ifa_addr->sa_family == AF_INET &&
            is_bridge(socket, one->ifa_name) && calls_iptables(one->ifa_name) &&
            has_our_hosts(gateway->active, one))
            notices_add(
                &gateway->notices, BRIDGE,
                "bridge %s shows its frames to the ip hooks: hairpins between hosts behind "
                "one of its ports are lost. Set sysctl net.bridge.bridge-nf-call-iptables=0 "
                "(ip link set %s type bridge nf_call_iptables 0) if nothing needs it",
                one->ifa_name, one->ifa_name);
    }
    freeifaddrs(interfaces);
}

static void look_at_bridges(struct gateway *gateway)
{
    const bool has_br_netfilter = access(BRIDGES_SYSCTL, F_OK) == 0;
    int opened = has_br_netfilter ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

    notices_begin(&gateway->notices, BRIDGE);
    if (opened >= 0) {
        add_bridges(gateway, opened);
        close(opened);
    }
    notices_end(&gateway->notices, BRIDGE);
}

/* Without the socket nothing is found; the log has said so once. */
static void open_once(struct gateway *gateway)
{
    struct error error = {0};

    if (gateway->neighbours == NULL && !gateway->neighbours_failed &&
        neighbours_open(&gateway->neighbours, &error) < 0) {
        gateway->neighbours_failed = true;
        log_warning("%s", error.text);
    }
}

/* Another number for other interfaces. */
static uint32_t interfaces_now(const struct gateway *gateway)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < gateway->config.external_count; i++)
        sum = sum * 31 + gateway->uplink[i].interface.index;
    return sum;
}

void gateway_check_neighbours(struct gateway *gateway)
{
    uint64_t begin = gateway_now();
    uint32_t interfaces = interfaces_now(gateway);

    open_once(gateway);
    gateway_check_flowtables(gateway);
    if (begin < gateway->neighbours_due)
        return;
    if (gateway->neighbours != NULL) {
        bool changed = neighbours_changed(gateway->neighbours), legacy = has_legacy_nat();

        changed |= legacy != gateway->has_legacy_nat;
        gateway->has_legacy_nat = legacy;
        /* The sources decide, too: a policy or an interface may have changed. */
        if (changed || !gateway->neighbours_policy || gateway->neighbours_interface != interfaces ||
            has_idle_guard(gateway))
            look_at_rules(gateway);
    }
    gateway->neighbours_policy = true;
    gateway->neighbours_interface = interfaces;
    look_at_bridges(gateway);
    gateway->neighbours_due = gateway_now() + PAUSE_MS + (gateway_now() - begin) * PAUSE_FACTOR;
}

int gateway_neighbours_descriptor(const struct gateway *gateway)
{
    return neighbours_descriptor(gateway->neighbours);
}

void gateway_neighbours_ready(struct gateway *gateway)
{
    gateway_check_flowtables(gateway);
}

void gateway_close_neighbours(struct gateway *gateway)
{
    neighbours_close(gateway->neighbours);
}
