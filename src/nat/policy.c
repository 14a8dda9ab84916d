/*
 * policy.c - filling, copying and sealing a policy
 *
 * The lists are plain arrays in the order of the configuration, which is the order that people see.
 * Packets use tables that policy_seal derives from them (policy_tables.c, policy_lookup.c).
 */
#include "policy_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct policy *policy_new(void)
{
    struct policy *policy = calloc(1, sizeof(*policy));

    if (policy == NULL)
        return NULL;
    policy->timeouts = (struct timeouts){.udp = 300,
                                         .tcp_established = 7440,
                                         .tcp_transitory = 240,
                                         .port_hold = 120,
                                         .address_hold = 10,
                                         .icmp = 60};
    policy->limits =
        (struct limits){.sessions = 262144, .sessions_per_host = 16384, .mappings_auto = true};
    return policy;
}

static void share_free(struct share *share)
{
    free(share->source);
    free(share->ports);
    free(share->exempt);
}

static void promise_free(struct promise *promise)
{
    free(promise->from);
    free(promise->not_from);
    free(promise->to);
}

void policy_free(struct policy *policy)
{
    if (policy == NULL)
        return;
    policy_tables_free(&policy->tables);
    for (size_t i = 0; i < policy->share_count; i++)
        share_free(&policy->shares[i]);
    for (size_t i = 0; i < policy->forward_count; i++)
        free(policy->forwards[i].allow);
    for (size_t i = 0; i < policy->promise_count; i++)
        promise_free(&policy->promises[i]);
    free(policy->shares);
    free(policy->forwards);
    free(policy->promises);
    free(policy);
}

struct policy *policy_copy(const struct policy *policy)
{
    struct policy *copy = policy_new();
    bool complete = copy != NULL;

    if (!complete)
        return NULL;
    copy->timeouts = policy->timeouts;
    copy->limits = policy->limits;
    memcpy(copy->excluded, policy->excluded, sizeof(copy->excluded));
    memcpy(copy->kept, policy->kept, sizeof(copy->kept));
    for (size_t i = 0; complete && i < policy->share_count; i++)
        complete = policy_add_share(copy, &policy->shares[i]);
    for (size_t i = 0; complete && i < policy->forward_count; i++)
        complete = policy_add_forward(copy, &policy->forwards[i]);
    for (size_t i = 0; complete && i < policy->promise_count; i++)
        complete = policy_add_promise(copy, &policy->promises[i]);
    if (!complete) {
        policy_free(copy);
        return NULL;
    }
    return copy;
}

/* The array, perhaps moved, with room for one more element of `size` bytes; NULL without memory. */
static void *grow(void *array, size_t count, size_t *capacity, size_t size)
{
    size_t wanted = *capacity ? *capacity * 2 : 8;

    if (count < *capacity)
        return array;
    array = realloc(array, wanted * size);
    if (array)
        *capacity = wanted;
    return array;
}

/* A copy of an array, which may be empty (then *copy is NULL). False without memory. */
static bool duplicate(const void *array, size_t count, size_t size, void **copy)
{
    *copy = NULL;
    if (count == 0)
        return true;
    *copy = malloc(count * size);
    if (!*copy)
        return false;
    memcpy(*copy, array, count * size);
    return true;
}

/* Gives a plain copy of a share arrays of its own. False without memory; then it has none. */
static bool own_arrays(struct share *share)
{
    void *source = NULL, *ports = NULL, *exempt = NULL;
    bool complete =
        duplicate(share->source, share->source_count, sizeof(*share->source), &source) &&
        duplicate(share->ports, share->ports_count, sizeof(*share->ports), &ports) &&
        duplicate(share->exempt, share->exempt_count, sizeof(*share->exempt), &exempt);

    share->source = source;
    share->ports = ports;
    share->exempt = exempt;
    if (!complete)
        share_free(share);
    return complete;
}

bool policy_add_share(struct policy *policy, const struct share *share)
{
    struct share added = *share;
    void *grown;

    assert(!policy->sealed);
    if (policy->share_count >= POLICY_SHARES_MAX)
        return false;
    grown = grow(policy->shares, policy->share_count, &policy->share_capacity, sizeof(*share));
    if (grown == NULL)
        return false;
    policy->shares = grown;
    if (!own_arrays(&added))
        return false;
    added.pool = POLICY_NONE;
    policy->shares[policy->share_count++] = added;
    return true;
}

bool policy_add_forward(struct policy *policy, const struct forward *forward)
{
    struct forward added = *forward;
    void *grown, *allow;

    assert(!policy->sealed);
    if (policy->forward_count >= POLICY_FORWARDS_MAX)
        return false;
    grown =
        grow(policy->forwards, policy->forward_count, &policy->forward_capacity, sizeof(*forward));
    if (grown == NULL)
        return false;
    policy->forwards = grown;
    if (!duplicate(forward->allow, forward->allow_count, sizeof(*forward->allow), &allow))
        return false;
    added.allow = allow;
    policy->forwards[policy->forward_count++] = added;
    policy_seen_add(&policy->seen, forward);
    return true;
}

bool policy_add_promise(struct policy *policy, const struct promise *promise)
{
    struct promise added = *promise;
    void *grown, *from = NULL, *not_from = NULL, *to = NULL;
    bool complete;

    assert(!policy->sealed);
    if (policy->promise_count >= POLICY_PROMISES_MAX)
        return false;
    grown =
        grow(policy->promises, policy->promise_count, &policy->promise_capacity, sizeof(*promise));
    if (grown == NULL)
        return false;
    policy->promises = grown;
    complete = duplicate(promise->from, promise->from_count, sizeof(*promise->from), &from) &&
               duplicate(promise->not_from, promise->not_from_count, sizeof(*promise->not_from),
                         &not_from) &&
               duplicate(promise->to, promise->to_count, sizeof(*promise->to), &to);
    added.from = from;
    added.not_from = not_from;
    added.to = to;
    if (complete)
        policy->promises[policy->promise_count++] = added;
    else
        promise_free(&added);
    return complete;
}

const struct forward *policy_find_forward(const struct policy *policy, const char *name)
{
    if (!policy_seen_name(&policy->seen, name))
        return NULL;
    for (size_t i = 0; i < policy->forward_count; i++) {
        if (strcmp(policy->forwards[i].name, name) == 0)
            return &policy->forwards[i];
    }
    return NULL;
}

bool policy_remove_forward(struct policy *policy, const char *name)
{
    assert(!policy->sealed);
    for (size_t i = 0; i < policy->forward_count; i++) {
        struct forward *forward = &policy->forwards[i];

        if (strcmp(forward->name, name) != 0)
            continue;
        free(forward->allow);
        policy->forward_count--;
        memmove(forward, forward + 1, (policy->forward_count - i) * sizeof(*forward));
        return true;
    }
    return false;
}

const struct forward *policy_find_conflict(const struct policy *policy,
                                           const struct forward *forward)
{
    if (!policy_seen_ports(&policy->seen, forward))
        return NULL;
    for (size_t i = 0; i < policy->forward_count; i++) {
        const struct forward *other = &policy->forwards[i];

        if ((other->protocols & forward->protocols) != 0 &&
            other->listen.first <= forward->listen.last &&
            forward->listen.first <= other->listen.last)
            return other;
    }
    return NULL;
}

void policy_exclude_port(struct policy *policy, uint8_t protocol, uint16_t port)
{
    enum protocol_index index = protocol_index(protocol);

    assert(!policy->sealed);
    if (index < PROTOCOL_PORTS_COUNT)
        policy->excluded[index].members[port / 64] |= UINT64_C(1) << (port % 64);
}

void policy_keep_port(struct policy *policy, uint8_t protocol, uint16_t port)
{
    enum protocol_index index = protocol_index(protocol);

    assert(!policy->sealed);
    if (index < PROTOCOL_PORTS_COUNT)
        policy->kept[index].members[port / 64] |= UINT64_C(1) << (port % 64);
}

bool policy_seal(struct policy *policy)
{
    assert(!policy->sealed);
    if (!policy_tables_build(policy)) {
        policy_tables_free(&policy->tables);
        return false;
    }
    policy->sealed = true;
    return true;
}

/* There are few, and a packet that needs no timer does not ask: no table is worth it. */
static uint32_t find_port_timeout(const struct timeouts *timeouts, uint8_t protocol, uint16_t port)
{
    uint32_t i = 0;

    while (i < timeouts->port_count &&
           (timeouts->port[i].port != port || timeouts->port[i].protocol != protocol))
        i++;
    return i;
}

bool timeouts_set_port(struct timeouts *timeouts, uint8_t protocol, uint16_t port, uint32_t seconds)
{
    uint32_t i = find_port_timeout(timeouts, protocol, port);

    if (i == PORT_TIMEOUTS_MAX)
        return false;
    if (i == timeouts->port_count)
        timeouts->port_count++;
    timeouts->port[i] = (struct port_timeout){seconds, port, protocol};
    return true;
}

uint32_t timeouts_of_port(const struct timeouts *timeouts, uint8_t protocol, uint16_t port)
{
    uint32_t i = find_port_timeout(timeouts, protocol, port);

    return i < timeouts->port_count ? timeouts->port[i].seconds : 0;
}

struct timeouts *policy_timeouts(struct policy *policy)
{
    return &policy->timeouts;
}

const struct timeouts *policy_timeouts_const(const struct policy *policy)
{
    return &policy->timeouts;
}

struct limits *policy_limits(struct policy *policy)
{
    return &policy->limits;
}

const struct limits *policy_limits_const(const struct policy *policy)
{
    return &policy->limits;
}

size_t policy_share_count(const struct policy *policy)
{
    return policy->share_count;
}

const struct share *policy_share(const struct policy *policy, size_t index)
{
    assert(index < policy->share_count);
    return &policy->shares[index];
}

size_t policy_forward_count(const struct policy *policy)
{
    return policy->forward_count;
}

const struct forward *policy_forward(const struct policy *policy, size_t index)
{
    assert(index < policy->forward_count);
    return &policy->forwards[index];
}

size_t policy_promise_count(const struct policy *policy)
{
    return policy->promise_count;
}

const struct promise *policy_promise(const struct policy *policy, size_t index)
{
    assert(index < policy->promise_count);
    return &policy->promises[index];
}

struct rate_bucket *policy_forward_bucket(const struct policy *policy, size_t index)
{
    assert(index < policy->forward_count);
    return &policy->tables.buckets[index];
}

struct forward_use *policy_forward_use(const struct policy *policy, size_t index)
{
    assert(index < policy->forward_count);
    return &policy->tables.uses[index];
}

const char *filtering_name(enum filtering filtering)
{
    switch (filtering) {
    case FILTERING_ENDPOINT_INDEPENDENT:
        return "endpoint-independent";
    case FILTERING_ADDRESS_DEPENDENT:
        return "address-dependent";
    case FILTERING_ADDRESS_AND_PORT_DEPENDENT:
        return "address-and-port-dependent";
    }
    return "?";
}
