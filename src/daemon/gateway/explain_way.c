/*
 * explain_way.c - the way of a translated packet through this host, and that of its answer
 */
#include "explain_way.h"

#include "forwarding.h"
#include "portreeve/firewall.h"
#include "portreeve/path.h"
#include "portreeve/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *name_of(uint32_t interface, char buffer[IF_NAMESIZE])
{
    if (interface == 0 || if_indextoname(interface, buffer) == NULL)
        snprintf(buffer, IF_NAMESIZE, "?");
    return buffer;
}

/* ---- forwarding ---- */

static void check_forwarding(struct explaining *explaining, uint32_t interface)
{
    char name[IF_NAMESIZE];

    if (interface != 0 && forwarding_is_off(name_of(interface, name)))
        explain_add(explaining, "forwarding", EXPLAIN_FAIL, EXPLAIN_FORWARDING_OFF,
                    "what comes in by %s is not forwarded: sysctl net.ipv4.conf.%s.forwarding is 0",
                    name, name);
}

/* ---- links ---- */

/* Without a carrier the kernel keeps routes, but nothing arrives. */
static bool is_running(const char *name)
{
    struct ifreq request = {.ifr_flags = 0};
    int opened = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool running = true;

    if (opened < 0)
        return true;
    memcpy(request.ifr_name, name, strnlen(name, sizeof(request.ifr_name) - 1));
    if (ioctl(opened, SIOCGIFFLAGS, &request) == 0)
        running = (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
    close(opened);
    return running;
}

static void check_link(struct explaining *explaining, uint32_t interface)
{
    char name[IF_NAMESIZE];

    if (!is_running(name_of(interface, name)))
        explain_add(explaining, "link", EXPLAIN_FAIL, EXPLAIN_INTERFACE_DOWN,
                    "%s is down, or has no carrier", name);
}

/* ---- routes ---- */

/* The kernel takes the stricter one (IN_DEV_RPFILTER). */
static bool filters_strictly(const char *interface)
{
    return forwarding_rp_filter("all") == 1 || forwarding_rp_filter(interface) == 1;
}

/*
 * Newer kernels answer a question about a route with -EINVAL, whatever the reason is that the
 * packet would be dropped for (inet_rtm_getroute).
 */
static bool is_reverse_path(const struct address *from, const char *in_name, uint32_t in,
                            int result)
{
    struct path back;

    return result == -EXDEV || (result == -EINVAL && filters_strictly(in_name) &&
                                (path_find(NULL, from, 0, &back) < 0 || back.interface != in));
}

static void add_route_failure(struct explaining *explaining, int result, const char *from,
                              const char *to)
{
    if (result == -EACCES || result == -EHOSTUNREACH || result == -EINVAL)
        explain_add(explaining, "route", EXPLAIN_FAIL, EXPLAIN_NO_ROUTE,
                    "the route from %s to %s refuses it: %s", from, to, strerror(-result));
    else
        explain_add(explaining, "route", EXPLAIN_FAIL, EXPLAIN_NO_ROUTE, "no route to %s: %s", to,
                    strerror(-result));
}

/* 0, or the failure is a step. */
static int find_path(struct explaining *explaining, const struct address *from,
                     const struct address *to, uint32_t in, struct path *path)
{
    char from_text[ADDRESS_TEXT_MAX], to_text[ADDRESS_TEXT_MAX], name[IF_NAMESIZE];
    int result = path_find(from, to, in, path);

    text_format_address(from, from_text);
    text_format_address(to, to_text);
    if (result < 0 && is_reverse_path(from, name_of(in, name), in, result))
        explain_add(
            explaining, "route", EXPLAIN_FAIL, EXPLAIN_REVERSE_PATH,
            "the reverse path filter of %s drops what comes from %s: its route is not by %s", name,
            from_text, name);
    else if (result < 0)
        add_route_failure(explaining, result, from_text, to_text);
    return result;
}

static void check_next_hop(struct explaining *explaining, const struct path *path)
{
    char hop[ADDRESS_TEXT_MAX];

    text_format_address(&path->next_hop, hop);
    switch (path_hop_state(path->interface, &path->next_hop)) {
    case PATH_HOP_REACHABLE:
        explain_add(explaining, "neighbour", EXPLAIN_OK, EXPLAIN_HEALTHY,
                    "%s by %s, the neighbour is known", hop, path->name);
        break;
    case PATH_HOP_FAILS:
        explain_add(explaining, "neighbour", EXPLAIN_FAIL, EXPLAIN_NEIGHBOUR_FAILS,
                    "%s does not answer ARP on %s", hop, path->name);
        break;
    case PATH_HOP_ASKING:
        explain_add(explaining, "neighbour", EXPLAIN_UNKNOWN, EXPLAIN_NEIGHBOUR_FAILS,
                    "%s has not answered ARP on %s so far", hop, path->name);
        break;
    default:
        explain_add(explaining, "neighbour", EXPLAIN_UNKNOWN, EXPLAIN_HEALTHY,
                    "%s by %s: nobody has asked for this neighbour of late", hop, path->name);
    }
}

static bool is_uplink(const struct gateway *gateway, uint32_t interface)
{
    for (size_t i = 0; i < gateway->config.external_count; i++) {
        if (gateway->uplink[i].interface.index == interface)
            return true;
    }
    return false;
}

/* ---- other programs' rules ---- */

static void add_verdict(struct explaining *explaining, const struct firewall_answer *answer,
                        const char *what)
{
    char rule[48] = "its policy";

    if (answer->rule != 0)
        snprintf(rule, sizeof(rule), "the rule with handle %llu", (unsigned long long)answer->rule);
    if (answer->fate == FIREWALL_DROPS)
        explain_add(explaining, "firewall", EXPLAIN_FAIL, EXPLAIN_HOST_FIREWALL,
                    "chain %s of table %s %s drops %s: %s", answer->chain, answer->family,
                    answer->table, what, rule);
    else
        explain_add(explaining, "firewall", EXPLAIN_UNKNOWN, EXPLAIN_HOST_FIREWALL,
                    "chain %s of table %s %s may drop %s: %s", answer->chain, answer->family,
                    answer->table, what, rule);
}

static void fill_packet(const struct explaining *explaining, bool is_answer,
                        struct firewall_packet *packet)
{
    uint32_t in = is_answer ? explaining->out : explaining->in,
             out = is_answer ? explaining->in : explaining->out;

    *packet = (struct firewall_packet){.in_index = in,
                                       .out_index = out,
                                       .protocol = explaining->request->protocol,
                                       .from = is_answer ? explaining->to : explaining->from,
                                       .to = is_answer ? explaining->from : explaining->to,
                                       .is_answer = is_answer};
    name_of(in, packet->in);
    name_of(out, packet->out);
}

static void check_rules(struct explaining *explaining)
{
    static const char *const what[] = {"it", "the answers"};
    struct firewall_packet packet;
    struct firewall_answer answer;
    struct error error = {0};
    bool passes = true;

    for (int is_answer = 0; is_answer < 2; is_answer++) {
        fill_packet(explaining, is_answer, &packet);
        if (firewall_judge(&packet, &answer, &error) < 0) {
            explain_add(explaining, "firewall", EXPLAIN_UNKNOWN, EXPLAIN_HEALTHY, "%s", error.text);
            return;
        }
        passes &= answer.fate == FIREWALL_PASSES;
        if (answer.fate != FIREWALL_PASSES)
            add_verdict(explaining, &answer, what[is_answer]);
        if (answer.fate == FIREWALL_DROPS)
            return;
    }
    if (passes)
        explain_add(explaining, "firewall", EXPLAIN_OK, EXPLAIN_HEALTHY,
                    "no nf_tables rule at the forward hook drops it or its answers");
}

void explain_way(struct explaining *explaining)
{
    const struct address *from = &explaining->from.address, *to = &explaining->to.address;
    struct path there, back;

    check_link(explaining, explaining->in);
    if (forwarding_is_off(NULL)) {
        explain_add(explaining, "forwarding", EXPLAIN_FAIL, EXPLAIN_FORWARDING_OFF,
                    "IP forwarding is off on this host");
        return;
    }
    check_forwarding(explaining, explaining->in);
    if (explain_has_failed(explaining) ||
        find_path(explaining, from, to, explaining->in, &there) < 0)
        return;
    explaining->out = there.interface;
    if (there.is_local) {
        explain_add(explaining, "route", EXPLAIN_OK, EXPLAIN_HEALTHY,
                    "the target is this host itself");
        return;
    }
    if (there.interface != explaining->in && is_uplink(explaining->gateway, explaining->in) &&
        is_uplink(explaining->gateway, there.interface))
        explain_add(explaining, "route", EXPLAIN_WARN, EXPLAIN_HEALTHY,
                    "the target is behind %s, an external interface", there.name);
    check_link(explaining, there.interface);
    check_forwarding(explaining, there.interface);
    if (explain_has_failed(explaining) ||
        find_path(explaining, to, from, there.interface, &back) < 0)
        return;
    if (is_uplink(explaining->gateway, explaining->in) !=
        is_uplink(explaining->gateway, back.interface))
        explain_add(explaining, "route", EXPLAIN_WARN, EXPLAIN_HEALTHY,
                    "answers leave by %s, not where the packet came in", back.name);
    check_next_hop(explaining, &there);
    check_rules(explaining);
}
