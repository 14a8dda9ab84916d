/*
 * check.c - checks across lines and sections: what is missing, what conflicts
 */
#include "check.h"

#include "forward.h"
#include "gateway.h"
#include "keys.h"
#include "place.h"
#include "portreeve/text.h"
#include "promise_check.h"
#include "report.h"
#include "timeouts.h"
#include "value.h"

#include <stdlib.h>
#include <string.h>

#define PER_REMOTE_MIN 4096u
#define NEW_PER_REMOTE 4000u

#define PORT_COUNT    65536u /* port 0 included */
#define QUEUE_NUMBERS (UINT16_MAX + 1u)

/*
 * The pool of shares without `ports`: the first of these of which other shares and forwards leave
 * enough. The first one is apart from ip_local_port_range (32768-60999), which the host, its
 * containers and its masquerade choose from, from Kubernetes' node ports (30000-32767), which no
 * socket shows, and from the ports of most VPNs (51820, 41641, 8472, 4789). Which of its ports has
 * a listener of the gateway is known, so these cost the pool only themselves. The second one was
 * the default before.
 */
static const struct port_range default_ports[] = {{10000, 29999}, {49152, 65535}};
#define DEFAULT_PORTS_ENOUGH 1024

/* True when the key was given and each of its values is good. */
static bool has(const struct section *section, size_t key)
{
    return section->key_line[key] != 0 && !(section->bad & 1u << key);
}

/* The next section of this kind that is not ignored, from *at on, or NULL. */
static struct section *next_of(const struct reading *reading, enum section_id id, size_t *at)
{
    while (*at < reading->section_count) {
        struct section *section = reading->sections[(*at)++];

        if (section->kind == &section_kinds[id] && !section->ignored)
            return section;
    }
    return NULL;
}

static void check_missing(struct reading *reading)
{
    size_t counts[SECTION_COUNT] = {0};

    for (size_t i = 0; i < reading->section_count; i++) {
        const struct section *section = reading->sections[i];
        const struct section_kind *kind = section->kind;

        counts[kind - section_kinds]++;
        for (size_t k = 0; !section->ignored && k < kind->key_count; k++) {
            if ((kind->keys[k].flags & KEY_REQUIRED) && section->key_line[k] == 0)
                config_conflict(reading, section, k, NULL, "this key is missing; expected %s",
                                kind->keys[k].expected);
        }
    }
    if (counts[SECTION_GATEWAY] == 0)
        config_problem(reading, 0, "[gateway]: this section is missing; expected [gateway] with %s",
                       section_kinds[SECTION_GATEWAY].keys[GATEWAY_EXTERNAL].expected);
    if (counts[SECTION_SHARE] + counts[SECTION_FORWARD] == 0)
        config_problem(reading, 0,
                       "there is no share and no forward; expected at least one [share NAME] or "
                       "[forward NAME] section");
}

/*
 * What remotes may have. A quarter of the table stays for the inside. An eighth for one remote is
 * 32768 in a table of the default size, more than the 28232 ports that a Linux host has for
 * connections to one server, as a proxy makes them. In a small table it is what such a proxy needs,
 * but never more than half of what all remotes have.
 *
 * 4000 connections per second are what a reverse proxy makes that never uses one twice, or a page's
 * worth for a hundred people behind one address. A host that floods sends a hundred times as many.
 */
static void resolve_auto(struct limits *limits)
{
    uint32_t eighth = limits->sessions / 8, half = limits->sessions / 4 + limits->sessions / 8,
             least = half < PER_REMOTE_MIN ? half : PER_REMOTE_MIN;

    if (limits->sessions_from_outside == LIMIT_AUTO)
        limits->sessions_from_outside = limits->sessions - limits->sessions / 4;
    if (limits->sessions_per_remote == LIMIT_AUTO)
        limits->sessions_per_remote = eighth > least ? eighth : least;
    if (limits->new_sessions_per_remote == LIMIT_AUTO)
        limits->new_sessions_per_remote = NEW_PER_REMOTE;
}

static void check_limits(struct reading *reading, const struct section *section)
{
    struct limits *limits = policy_limits(reading->config->policy);
    if (limits->sessions_per_host <= limits->sessions)
        return;
    if (section->key_line[LIMIT_PER_HOST] == 0)
        limits->sessions_per_host = limits->sessions; /* the default is limited to a small table */
    else if (has(section, LIMIT_PER_HOST))
        config_conflict(reading, section, LIMIT_PER_HOST, NULL,
                        "%u is more than the value of 'sessions'; expected at most %u",
                        limits->sessions_per_host, limits->sessions);
}

static void check_queues(struct reading *reading, const struct section *section)
{
    const struct config *config = reading->config;
    unsigned workers = config->workers ? config->workers : CONFIG_WORKERS_MAX;

    if (config->queue + workers > QUEUE_NUMBERS && !section->bad)
        config_conflict(reading, section, PERFORMANCE_QUEUE, NULL,
                        "each worker needs a queue number, and from %u on there are too few for %u "
                        "workers%s; expected at most %u",
                        config->queue, workers,
                        config->workers ? "" : " (workers = auto may start this many)",
                        QUEUE_NUMBERS - workers);
}

/* ---- shares ---- */

struct source {
    struct prefix prefix;
    const struct section *section;
    unsigned line;
};

static int compare_sources(const void *left, const void *right)
{
    const struct source *one = left, *other = right;
    int order = memcmp(&one->prefix, &other->prefix, sizeof(one->prefix));

    if (order != 0)
        return order;
    return one->line < other->line ? -1 : one->line > other->line;
}

/*
 * Refuses a prefix that two shares have: one of the shares would never be used. A prefix inside
 * another one is allowed; the longest one is used.
 */
static void check_sources(struct reading *reading)
{
    struct source *sources = NULL;
    const struct section *share;
    char place[PLACE_MAX];
    char title[TITLE_MAX], first[TITLE_MAX], text[PREFIX_TEXT_MAX];
    size_t count = 0, at = 0;

    while ((share = next_of(reading, SECTION_SHARE, &at)) != NULL) {
        for (size_t i = 0; i < share->share.source_count; i++) {
            struct source source = {share->share.source[i], share, share->source_line[i]};

            if (!config_append(reading, &sources, &count, sizeof(source), &source))
                break;
        }
    }
    if (count > 0)
        qsort(sources, count, sizeof(*sources), compare_sources);
    for (size_t i = 1; i < count; i++) {
        if (memcmp(&sources[i].prefix, &sources[i - 1].prefix, sizeof(sources[i].prefix)) != 0)
            continue;
        config_problem(reading, sources[i].line,
                       "%s source = %s: this prefix is already in the source of %s at %s",
                       config_title(sources[i].section, title),
                       text_format_prefix(&sources[i].prefix, text),
                       config_title(sources[i - 1].section, first),
                       place_text(reading, sources[i - 1].line, place));
    }
    free(sources);
}

/*
 * Packets from outside with an internal source are dropped, so no external address may be internal.
 */
static void check_external_addresses(struct reading *reading)
{
    const struct config *config = reading->config;
    char title[TITLE_MAX], prefix[PREFIX_TEXT_MAX], address[ADDRESS_TEXT_MAX];
    const struct section *share;
    size_t at = 0;

    while ((share = next_of(reading, SECTION_SHARE, &at)) != NULL) {
        for (size_t i = 0; i < share->share.source_count; i++) {
            for (size_t e = 0; e < config->external_address_count; e++) {
                if (!prefix_contains(&share->share.source[i], &config->external_address[e]))
                    continue;
                config_problem(reading, share->source_line[i],
                               "%s source = %s: contains the external address %s; expected "
                               "internal networks only",
                               config_title(share, title),
                               text_format_prefix(&share->share.source[i], prefix),
                               text_format_address(&config->external_address[e], address));
            }
        }
    }
}

static void check_untranslated(struct reading *reading, const struct section *section)
{
    const struct config *config = reading->config;

    for (size_t i = 0; i < config->untranslated_count; i++) {
        for (size_t n = 0; n < config->external_count; n++) {
            if (strcmp(config->untranslated[i], config->external[n]) == 0)
                config_conflict(reading, section, GATEWAY_UNTRANSLATED, config->untranslated[i],
                                "this is an external interface; expected others");
        }
    }
}

struct port_set {
    uint64_t words[PORT_COUNT / 64];
};

static void port_set_add(struct port_set *set, const struct port_range *range)
{
    for (uint32_t port = range->first; port <= range->last; port++)
        set->words[port / 64] |= UINT64_C(1) << (port % 64);
}

static void port_set_remove(struct port_set *set, const struct port_set *other)
{
    for (size_t i = 0; i < PORT_COUNT / 64; i++)
        set->words[i] &= ~other->words[i];
}

static size_t port_set_count(const struct port_set *set)
{
    size_t count = 0;

    for (size_t i = 0; i < PORT_COUNT / 64; i++)
        count += (size_t)__builtin_popcountll(set->words[i]);
    return count;
}

static void port_set_of(const struct reading *reading, const struct section *share,
                        struct port_set *set)
{
    memset(set, 0, sizeof(*set));
    if (share->key_line[SHARE_PORTS] == 0)
        memcpy(set->words, reading->default_pool, sizeof(set->words));
    for (size_t i = 0; i < share->share.ports_count; i++)
        port_set_add(set, &share->share.ports[i]);
}

/* Takes the pools of shares with `ports` out of the set, but for one that is equal to it. */
static void remove_other_pools(const struct reading *reading, struct port_set *set)
{
    const struct port_set whole = *set;
    const struct section *share;
    struct port_set other;
    size_t at = 0;

    while ((share = next_of(reading, SECTION_SHARE, &at)) != NULL) {
        if (share->key_line[SHARE_PORTS] == 0)
            continue;
        port_set_of(reading, share, &other);
        if (memcmp(&other, &whole, sizeof(other)) != 0)
            port_set_remove(set, &other);
    }
}

/* How many ports of the set are no forward's. */
static size_t count_without_forwards(const struct reading *reading, const struct port_set *set)
{
    struct port_set listened = {{0}}, left = *set;
    const struct section *forward;
    size_t at = 0;

    while ((forward = next_of(reading, SECTION_FORWARD, &at)) != NULL) {
        if (has(forward, FORWARD_LISTEN) && !forward->expired)
            port_set_add(&listened, &forward->forward.listen);
    }
    port_set_remove(&left, &listened);
    return port_set_count(&left);
}

static void choose_default_pool(struct reading *reading)
{
    size_t best = 0;

    for (size_t i = 0; i < sizeof(default_ports) / sizeof(default_ports[0]); i++) {
        struct port_set set = {{0}};
        size_t left;

        port_set_add(&set, &default_ports[i]);
        remove_other_pools(reading, &set);
        left = count_without_forwards(reading, &set);
        if (i > 0 && left <= best)
            continue;
        memcpy(reading->default_pool, set.words, sizeof(set.words));
        best = left;
        if (left >= DEFAULT_PORTS_ENOUGH)
            return;
    }
}

static bool port_sets_overlap(const struct port_set *one, const struct port_set *other)
{
    for (size_t i = 0; i < PORT_COUNT / 64; i++) {
        if (one->words[i] & other->words[i])
            return true;
    }
    return false;
}

/* Pools are either equal or have no port in common. */
static void check_pools(struct reading *reading)
{
    const struct section *later, *earlier;
    struct port_set later_set, earlier_set;
    char place[PLACE_MAX];
    char title[TITLE_MAX];
    size_t later_at = 0;

    while ((later = next_of(reading, SECTION_SHARE, &later_at)) != NULL) {
        size_t earlier_at = 0;

        if (later->bad & 1u << SHARE_PORTS)
            continue;
        port_set_of(reading, later, &later_set);
        while ((earlier = next_of(reading, SECTION_SHARE, &earlier_at)) != NULL &&
               earlier != later) {
            if (earlier->bad & 1u << SHARE_PORTS)
                continue;
            port_set_of(reading, earlier, &earlier_set);
            if (memcmp(&earlier_set, &later_set, sizeof(later_set)) == 0 ||
                !port_sets_overlap(&earlier_set, &later_set))
                continue;
            config_conflict(reading, later, SHARE_PORTS, NULL,
                            "these ports overlap the pool of %s at %s; expected exactly the "
                            "same ports or no port in common",
                            config_title(earlier, title),
                            place_text(reading,
                                       earlier->key_line[SHARE_PORTS]
                                           ? earlier->key_line[SHARE_PORTS]
                                           : earlier->line,
                                       place));
        }
    }
}

/* ---- forwards ---- */

void config_check_target(struct reading *reading, const struct section *section)
{
    const struct forward *forward = &section->forward;
    unsigned last =
        (unsigned)forward->target[0].port + forward->listen.last - forward->listen.first;
    char text[ENDPOINT_TEXT_MAX];

    if (last > UINT16_MAX)
        config_conflict(
            reading, section, FORWARD_TO, text_format_endpoint(&forward->target[0], text),
            "%u ports from this one on would end at %u; expected the last one to be at most 65535",
            forward->listen.last - forward->listen.first + 1u, last);
}

static void check_target_is_inside(struct reading *reading, const struct section *section)
{
    const struct config *config = reading->config;
    char text[ENDPOINT_TEXT_MAX];

    for (size_t i = 0; i < config->external_address_count; i++) {
        if (address_equal(&config->external_address[i], &section->forward.target[0].address))
            config_conflict(reading, section, FORWARD_TO,
                            text_format_endpoint(&section->forward.target[0], text),
                            "this is an external address of the gateway; expected the address of "
                            "an internal host");
    }
}

/* Which forward listens on which port: an index of reading->sections plus 1; 0: none. */
struct listeners {
    uint32_t owner[PROTOCOL_PORTS_COUNT][PORT_COUNT];
};

static void say_taken(struct reading *reading, const struct section *section,
                      const struct section *other, enum protocol_index protocol, uint32_t port)
{
    char place[PLACE_MAX];
    char title[TITLE_MAX];

    config_conflict(reading, section, FORWARD_LISTEN, NULL,
                    "port %u/%s is already used by %s at %s; expected a free port", port,
                    protocol_table[protocol].name, config_title(other, title),
                    place_text(reading, other->key_line[FORWARD_LISTEN], place));
}

/*
 * Marks the ports of sections[index] as used; each other forward that already uses one of them is
 * named once.
 */
static void claim_ports(struct reading *reading, struct listeners *listeners, size_t index)
{
    const struct section *section = reading->sections[index];
    const struct forward *forward = &section->forward;
    uint32_t named = 0;

    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        if (!(forward->protocols & 1u << p))
            continue;
        for (uint32_t port = forward->listen.first; port <= forward->listen.last; port++) {
            uint32_t *owner = &listeners->owner[p][port];

            if (*owner == 0) {
                *owner = (uint32_t)index + 1;
            } else if (*owner > named) {
                named = *owner;
                say_taken(reading, section, reading->sections[*owner - 1], p, port);
            }
        }
    }
}

static void check_forwards(struct reading *reading, struct listeners *listeners)
{
    size_t count = 0;

    for (size_t i = 0; i < reading->section_count; i++) {
        const struct section *section = reading->sections[i];

        if (section->kind != &section_kinds[SECTION_FORWARD] || section->ignored ||
            section->expired)
            continue;
        if (++count == POLICY_FORWARDS_MAX + 1)
            config_problem(reading, section->line,
                           "there are too many forwards; expected at most %d", POLICY_FORWARDS_MAX);
        if (has(section, FORWARD_TO))
            check_target_is_inside(reading, section);
        if (!has(section, FORWARD_LISTEN))
            continue;
        if (has(section, FORWARD_TO))
            config_check_target(reading, section);
        claim_ports(reading, listeners, i);
    }
}

/* A share whose ports are all used by forwards could translate nothing. */
static void check_pools_are_left(struct reading *reading, const struct listeners *listeners)
{
    const struct section *share;
    struct port_set set;
    size_t at = 0;

    while ((share = next_of(reading, SECTION_SHARE, &at)) != NULL) {
        if (share->bad & 1u << SHARE_PORTS)
            continue;
        port_set_of(reading, share, &set);
        if (port_set_count(&set) == 0 && share->key_line[SHARE_PORTS] == 0) {
            config_problem(reading, share->line,
                           "[share %s]: the pools of other shares leave no ports for the default "
                           "pool; expected 'ports' with ports of its own",
                           share->name);
            continue;
        }
        for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
            uint32_t port = 0;

            while (port < PORT_COUNT &&
                   (!(set.words[port / 64] >> (port % 64) & 1) || listeners->owner[p][port]))
                port++;
            if (port == PORT_COUNT)
                config_conflict(reading, share, SHARE_PORTS, NULL,
                                "every %s port is used by a forward; expected at least one free "
                                "port for this share",
                                protocol_table[p].name);
        }
    }
}

static void check_ports(struct reading *reading)
{
    struct listeners *listeners = calloc(1, sizeof(*listeners));

    if (listeners == NULL) {
        reading->failed = reading->no_memory = true;
        return;
    }
    check_forwards(reading, listeners);
    check_pools_are_left(reading, listeners);
    free(listeners);
}

/* ---- all of it ---- */

/* The default pool as sorted ranges, allocated; NULL without memory. */
static struct port_range *default_ranges(const struct reading *reading, size_t *count)
{
    struct port_range *ranges = calloc(POLICY_PUBLISHED_MAX, sizeof(*ranges));
    bool inside = false;

    *count = 0;
    for (uint32_t port = 0; ranges != NULL && port < PORT_COUNT; port++) {
        bool has_port = reading->default_pool[port / 64] >> (port % 64) & 1;

        if (has_port && !inside)
            ranges[(*count)++].first = (uint16_t)port;
        if (has_port)
            ranges[*count - 1].last = (uint16_t)port;
        inside = has_port;
    }
    return ranges;
}

static bool add_share(const struct reading *reading, const struct section *section)
{
    struct share share = section->share;
    struct port_range *ranges = NULL;
    bool added;

    memcpy(share.name, section->name, sizeof(share.name));
    if (share.ports_count == 0) {
        ranges = default_ranges(reading, &share.ports_count);
        if (ranges == NULL)
            return false;
        share.ports = ranges;
    }
    added = policy_add_share(reading->config->policy, &share);
    free(ranges);
    return added;
}

static bool fill_policy(struct reading *reading)
{
    struct policy *policy = reading->config->policy;
    struct section *section;
    size_t at = 0;

    while ((section = next_of(reading, SECTION_SHARE, &at)) != NULL) {
        if (!add_share(reading, section))
            return false;
    }
    at = 0;
    while ((section = next_of(reading, SECTION_FORWARD, &at)) != NULL) {
        memcpy(section->forward.name, section->name, sizeof(section->forward.name));
        (void)place_of(reading, section->line, &section->forward.line);
        section->forward.file = place_file(reading, section->line);
        if (!policy_add_forward(section->expired ? reading->config->expired : policy,
                                &section->forward))
            return false;
    }
    return true;
}

static void check_share_count(struct reading *reading)
{
    const struct section *share;
    size_t count = 0, at = 0;

    while ((share = next_of(reading, SECTION_SHARE, &at)) != NULL) {
        if (++count == POLICY_SHARES_MAX + 1)
            config_problem(reading, share->line, "there are too many shares; expected at most %d",
                           POLICY_SHARES_MAX);
    }
}

bool config_check(struct reading *reading)
{
    const struct section *section;
    size_t at = 0;

    check_missing(reading);
    if ((section = next_of(reading, SECTION_GATEWAY, &at)) != NULL)
        check_untranslated(reading, section);
    at = 0;
    resolve_auto(policy_limits(reading->config->policy));
    if ((section = next_of(reading, SECTION_LIMITS, &at)) != NULL)
        check_limits(reading, section);
    at = 0;
    if ((section = next_of(reading, SECTION_PERFORMANCE, &at)) != NULL)
        check_queues(reading, section);
    check_share_count(reading);
    check_sources(reading);
    check_external_addresses(reading);
    choose_default_pool(reading);
    check_pools(reading);
    check_ports(reading);
    config_default_port_timeouts(reading);
    if (!reading->failed && !(fill_policy(reading) && config_check_promises(reading)))
        reading->failed = reading->no_memory = true;
    return !reading->failed;
}
