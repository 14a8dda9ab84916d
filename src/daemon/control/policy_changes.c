/*
 * policy_changes.c - what is different between two policies
 *
 * There may be tens of thousands of forwards: each is looked up by its name once, and only those
 * that differ become JSON.
 */
#include "changes.h"

#include "json.h"

#include <stdio.h>
#include <string.h>

/* ---- forwards ---- */

static bool is_same_forward(const struct forward *one, const struct forward *other)
{
    return one->protocols == other->protocols && one->listen.first == other->listen.first &&
           one->listen.last == other->listen.last && one->target_count == other->target_count &&
           memcmp(one->target, other->target, one->target_count * sizeof(one->target[0])) == 0 &&
           one->allow_count == other->allow_count &&
           (one->allow_count == 0 ||
            memcmp(one->allow, other->allow, one->allow_count * sizeof(one->allow[0])) == 0) &&
           strcmp(one->owner, other->owner) == 0 && strcmp(one->note, other->note) == 0 &&
           one->expires == other->expires && one->sessions == other->sessions &&
           one->new_sessions == other->new_sessions;
}

static size_t count_forwards(const struct policy *policy)
{
    return policy_forward_count(policy);
}

static const char *forward_name(const struct policy *policy, size_t index)
{
    return policy_forward(policy, index)->name;
}

static json_t *forward_change(const struct policy *before, size_t one, const struct policy *after,
                              size_t other)
{
    const struct forward *was = policy_forward(before, one), *is = policy_forward(after, other);

    return is_same_forward(was, is) ? NULL : changes_json(was, is);
}

/* ---- shares ---- */

static size_t count_shares(const struct policy *policy)
{
    return policy_share_count(policy);
}

static const char *share_name(const struct policy *policy, size_t index)
{
    return policy_share(policy, index)->name;
}

static json_t *share_ports(const struct share *share)
{
    json_t *array = json_array();

    for (size_t i = 0; i < share->ports_count; i++)
        json_array_append_new(array, json_port_range(&share->ports[i]));
    return array;
}

static json_t *share_filters(const struct share *share)
{
    json_t *object = json_object();

    for (enum protocol_index i = 0; i < PROTOCOL_COUNT; i++)
        json_object_set_new(
            object, protocol_table[i].name,
            json_string(filtering_name(share_filtering(share, protocol_table[i].number))));
    return object;
}

static json_t *share_json(const struct share *share)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:b,s:b,s:b,s:b,s:b}", "source",
                     json_prefixes(share->source, share->source_count), "ports", share_ports(share),
                     "filtering", share_filters(share), "exempt",
                     json_prefixes(share->exempt, share->exempt_count), "never_overload",
                     (int)share->never_overload, "keep_parity", (int)share->keep_parity,
                     "soft_pairing", (int)share->soft_pairing, "no_inbound_refresh",
                     (int)share->no_inbound_refresh, "open", (int)share->open);
}

/* The members that are different, each with before and after; both have the same members. */
static json_t *differences(json_t *before, json_t *after)
{
    json_t *changes = before != NULL && after != NULL ? json_object() : NULL, *value;
    const char *name;

    if (changes != NULL) {
        json_object_foreach(before, name, value)
        {
            json_t *is = json_object_get(after, name);

            if (!json_equal(value, is))
                json_object_set_new(changes, name,
                                    json_pack("{s:O,s:O}", "before", value, "after", is));
        }
    }
    json_decref(before);
    json_decref(after);
    return changes;
}

static json_t *share_change(const struct policy *before, size_t one, const struct policy *after,
                            size_t other)
{
    json_t *changes =
        differences(share_json(policy_share(before, one)), share_json(policy_share(after, other)));

    if (json_object_size(changes) > 0)
        return changes;
    json_decref(changes);
    return NULL;
}

/* ---- settings ---- */

static json_t *port_timeouts(const struct timeouts *timeouts)
{
    json_t *object = json_object();
    char name[32];

    for (uint32_t i = 0; i < timeouts->port_count; i++) {
        const struct port_timeout *port = &timeouts->port[i];

        snprintf(name, sizeof(name), "%s:%u", protocol_name(port->protocol), port->port);
        json_object_set_new(object, name, json_integer(port->seconds));
    }
    return object;
}

static json_t *settings_json(const struct policy *policy)
{
    const struct timeouts *t = policy_timeouts_const(policy);
    const struct limits *l = policy_limits_const(policy);
    const struct {
        const char *name;
        uint32_t value;
    } numbers[] = {
        {"udp", t->udp},
        {"tcp-established", t->tcp_established},
        {"tcp-transitory", t->tcp_transitory},
        {"tcp-opening", t->tcp_opening},
        {"tcp-closing", t->tcp_closing},
        {"address-hold", t->address_hold},
        {"stop-hold", t->stop_hold},
        {"port-hold", t->port_hold},
        {"icmp", t->icmp},
        {"sessions-per-host", l->sessions_per_host},
        {"mappings-per-host", l->mappings_auto ? UINT32_MAX : l->mappings_per_host},
        {"new-sessions-per-host", l->new_sessions_per_host},
        {"sessions-per-remote", l->sessions_per_remote},
        {"new-sessions-per-remote", l->new_sessions_per_remote},
        {"sessions-from-outside", l->sessions_from_outside},
    };
    json_t *object = json_object();

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        json_object_set_new(object, numbers[i].name, json_integer(numbers[i].value));
    if (l->mappings_auto)
        json_object_set_new(object, "mappings-per-host", json_string("auto"));
    json_object_set_new(object, "ports", port_timeouts(t));
    return object;
}

/* ---- lists ---- */

struct list {
    size_t (*count)(const struct policy *policy);
    const char *(*name)(const struct policy *policy, size_t index);
    /* NULL: the same. A new reference. */
    json_t *(*change)(const struct policy *before, size_t one, const struct policy *after,
                      size_t other);
};

/* Name -> index. */
static json_t *index_of(const struct policy *policy, const struct list *list)
{
    json_t *index = json_object();

    for (size_t i = 0; i < list->count(policy); i++)
        json_object_set_new(index, list->name(policy, i), json_integer((json_int_t)i));
    return index;
}

/* Takes over `what`. */
static void name_one(json_t *names, const char *name, json_t *what)
{
    if (json_object_size(names) < CHANGES_NAMED_MAX)
        json_object_set_new(names, name, what);
    else
        json_decref(what);
}

static json_t *list_changes(const struct policy *before, const struct policy *after,
                            const struct list *list)
{
    json_t *index = index_of(before, list), *names = json_object();
    json_int_t added = 0, changed = 0, kept = 0;

    for (size_t i = 0; i < list->count(after); i++) {
        const char *name = list->name(after, i);
        const json_t *known = json_object_get(index, name);
        json_t *change;

        if (known == NULL) {
            added++;
            name_one(names, name, json_string("added"));
            continue;
        }
        kept++;
        change = list->change(before, (size_t)json_integer_value(known), after, i);
        json_object_del(index, name);
        if (change == NULL)
            continue;
        changed++;
        name_one(names, name, change);
    }
    for (size_t i = 0; i < list->count(before); i++) {
        if (json_object_get(index, list->name(before, i)) != NULL)
            name_one(names, list->name(before, i), json_string("removed"));
    }
    json_decref(index);
    return json_pack("{s:I,s:I,s:I,s:o}", "added", added, "removed",
                     (json_int_t)list->count(before) - kept, "changed", changed, "names", names);
}

json_t *changes_between(const struct policy *before, const struct policy *after)
{
    static const struct list forwards = {count_forwards, forward_name, forward_change},
                             shares = {count_shares, share_name, share_change};

    return json_pack("{s:o,s:o,s:o}", "forwards", list_changes(before, after, &forwards), "shares",
                     list_changes(before, after, &shares), "settings",
                     differences(settings_json(before), settings_json(after)));
}
