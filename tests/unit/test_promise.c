/*
 * test_promise.c - promises about forwards, compared with all packets of a small space, each looked
 * up as the translator does
 */
#include "support.h"

#include "portreeve/promise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Senders: sixteen neighbours, and a few far away from them. */
#define SENDERS 20

static struct address sender(uint32_t i)
{
    static const uint32_t far[] = {0, 0x01020304, 0xc0000207, UINT32_MAX};

    return address_from_ipv4(i < 16 ? 0xc6336400 + i : far[i - 16]);
}

/* Ports outside 1 to 12, hosts 10.0.0.0 to 10.0.0.7, ports inside 1 to 24. */
#define PORTS 12

static uint32_t from_to(struct chance *chance, uint32_t first, uint32_t last)
{
    return first + chance_below(chance, last - first + 1);
}

/* Of those far away one by one: their neighbours are not in the space. */
static struct prefix some_senders(struct chance *chance)
{
    uint32_t which = chance_below(chance, SENDERS);
    uint8_t length = (uint8_t)(chance_one_in(chance, 12) ? 0
                               : which < 16              ? from_to(chance, 28, 32)
                                                         : 32);
    uint32_t mask = length == 0 ? 0 : UINT32_MAX << (32 - length);
    const struct address one = sender(which);

    return (struct prefix){address_from_ipv4(address_to_ipv4(&one) & mask), (uint8_t)(96 + length)};
}

static struct prefix some_hosts(struct chance *chance)
{
    uint8_t length = (uint8_t)(chance_one_in(chance, 6) ? 0 : from_to(chance, 29, 32));
    uint32_t mask = length == 0 ? 0 : UINT32_MAX << (32 - length);

    return (struct prefix){address_from_ipv4((0x0a000000 + chance_below(chance, 8)) & mask),
                           (uint8_t)(96 + length)};
}

static size_t fill(struct chance *chance, struct prefix *list, size_t most)
{
    size_t count = chance_below(chance, (uint32_t)most + 1);

    for (size_t i = 0; i < count; i++)
        list[i] = some_senders(chance);
    return count;
}

static uint8_t some_protocols(struct chance *chance)
{
    return (uint8_t)from_to(chance, 1, 3);
}

/* Forwards that do not meet, of random ranges. */
static void add_forwards(struct chance *chance, struct policy *policy)
{
    for (int i = 0; i < 4; i++) {
        uint32_t first = from_to(chance, 1, PORTS), last = from_to(chance, first, PORTS);
        struct prefix allow[3];
        struct forward forward = {
            .protocols = some_protocols(chance),
            .listen = {(uint16_t)first, (uint16_t)(chance_one_in(chance, 2) ? first : last)},
            .target = {{address_from_ipv4(0x0a000000 + chance_below(chance, 8)),
                        (uint16_t)from_to(chance, 1, 12)}},
            .target_count = 1,
            .allow = allow,
            .allow_count = fill(chance, allow, 3)};

        snprintf(forward.name, sizeof(forward.name), "f%d", i);
        if (policy_find_conflict(policy, &forward) == NULL)
            ck_assert(policy_add_forward(policy, &forward));
    }
}

static bool is_in(const struct prefix *list, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++) {
        if (prefix_contains(&list[i], address))
            return true;
    }
    return false;
}

static bool is_meant(const struct promise *promise, const struct address *from)
{
    return (promise->from_count == 0 || is_in(promise->from, promise->from_count, from)) &&
           !is_in(promise->not_from, promise->not_from_count, from);
}

static bool is_target(const struct promise *promise, const struct endpoint *internal)
{
    for (size_t i = 0; i < promise->to_count; i++) {
        const struct promise_target *to = &promise->to[i];

        if (prefix_contains(&to->address, &internal->address) &&
            internal->port >= to->ports.first && internal->port <= to->ports.last)
            return true;
    }
    return false;
}

/* Where the translator would deliver this packet; false: nowhere. */
static bool deliver(const struct policy *policy, uint8_t protocol, const struct address *from,
                    uint16_t port, struct endpoint *internal)
{
    uint16_t at = policy_forward_at(policy, protocol, port);

    if (at == POLICY_NONE || !policy_forward_allows(policy_forward(policy, at), from))
        return false;
    *internal = policy_forward_target(policy_forward(policy, at), port);
    return true;
}

/* The naive judge of one packet. */
static bool packet_breaks(const struct policy *policy, const struct promise *promise,
                          uint8_t protocol, const struct address *from, uint16_t port)
{
    uint16_t behind = (uint16_t)(port - promise->listen.first);
    struct endpoint internal,
        wanted = {promise->target.address, (uint16_t)(promise->target.port + behind)};
    bool delivered = deliver(policy, protocol, from, port, &internal);

    if (!is_meant(promise, from))
        return false;
    if (!promise->is_always)
        return delivered && is_target(promise, &internal);
    return port >= promise->listen.first && port <= promise->listen.last &&
           !(delivered && endpoint_equal(&internal, &wanted));
}

static bool any_packet_breaks(const struct policy *policy, const struct promise *promise)
{
    for (uint32_t s = 0; s < SENDERS; s++) {
        const struct address from = sender(s);

        for (uint16_t port = 1; port <= PORTS; port++) {
            if ((promise->protocols & FORWARD_TCP &&
                 packet_breaks(policy, promise, PROTOCOL_TCP, &from, port)) ||
                (promise->protocols & FORWARD_UDP &&
                 packet_breaks(policy, promise, PROTOCOL_UDP, &from, port)))
                return true;
        }
    }
    return false;
}

static struct promise some_promise(struct chance *chance, struct prefix *from,
                                   struct prefix *not_from, struct promise_target *to)
{
    uint32_t first = from_to(chance, 1, PORTS);
    struct promise promise = {.name = "p",
                              .is_always = chance_one_in(chance, 2),
                              .protocols = some_protocols(chance),
                              .from = from,
                              .not_from = not_from,
                              .to = to,
                              .listen = {(uint16_t)first, (uint16_t)first},
                              .target = {address_from_ipv4(0x0a000000 + chance_below(chance, 8)),
                                         (uint16_t)from_to(chance, 1, 12)}};

    promise.from_count = fill(chance, from, 2);
    promise.not_from_count = fill(chance, not_from, 2);
    promise.to_count = from_to(chance, 1, 2);
    for (size_t i = 0; i < promise.to_count; i++) {
        uint32_t port = from_to(chance, 1, 24);

        to[i] = (struct promise_target){some_hosts(chance),
                                        {(uint16_t)port, (uint16_t)from_to(chance, port, 24)}};
    }
    if (chance_one_in(chance, 2))
        promise.listen.last = (uint16_t)from_to(chance, first, PORTS);
    return promise;
}

/* Half of the promises that always hold are made to fit a forward. */
static void fit_to_forward(struct chance *chance, const struct policy *policy,
                           struct promise *promise)
{
    const struct forward *forward =
        policy_forward(policy, chance_below(chance, (uint32_t)policy_forward_count(policy)));

    promise->protocols &= forward->protocols;
    promise->listen = forward->listen;
    promise->target = forward->target[0];
    if (promise->protocols == 0)
        promise->protocols = forward->protocols;
}

START_TEST(a_promise_is_broken_if_and_only_if_a_packet_breaks_it)
{
    struct chance chance = chance_new();
    unsigned broken = 0, kept = 0;

    for (int i = 0; i < 20000; i++) {
        struct prefix from[2], not_from[2];
        struct promise_target to[2];
        struct policy *policy = policy_new();
        struct promise promise = some_promise(&chance, from, not_from, to);
        struct breach breach;
        bool is_broken;

        ck_assert_ptr_nonnull(policy);
        add_forwards(&chance, policy);
        if (promise.is_always && chance_one_in(&chance, 2))
            fit_to_forward(&chance, policy, &promise);
        is_broken = promise_is_broken(policy, &promise, &breach);
        ck_assert(policy_seal(policy));
        seeded(&chance, is_broken == any_packet_breaks(policy, &promise));
        if (is_broken)
            seeded(&chance, packet_breaks(policy, &promise, breach.protocol, &breach.from,
                                          breach.external_port));
        broken += is_broken;
        kept += !is_broken;
        policy_free(policy);
    }
    ck_assert_uint_gt(broken, 2000);
    ck_assert_uint_gt(kept, 2000);
}
END_TEST

/* Everyone may send to what a host of such a share has sent from. */
START_TEST(endpoint_independent_filtering_breaks_a_promise_about_its_hosts)
{
    struct promise_target to = {prefix_of("10.0.0.64/26"), {3306, 3306}};
    struct promise promise = {.protocols = FORWARD_TCP, .to = &to, .to_count = 1};
    struct policy *policy = policy_new();
    struct breach breach;

    ck_assert_ptr_nonnull(policy);
    add_share(policy, "lab", "10.0.0.0/24", 50000, 50099, FILTERING_ADDRESS_DEPENDENT);
    ck_assert(!promise_is_broken(policy, &promise, &breach));
    add_share(policy, "games", "10.0.0.96/28", 50100, 50199, FILTERING_ENDPOINT_INDEPENDENT);
    ck_assert(promise_is_broken(policy, &promise, &breach));
    ck_assert_int_eq(breach.kind, BREACH_FILTERING);
    ck_assert_str_eq(breach.share->name, "games");
    ck_assert_str_eq(endpoint_text(&breach.internal), "10.0.0.96:3306");
    to.address = prefix_of("10.0.0.64/27");
    ck_assert(!promise_is_broken(policy, &promise, &breach));
    policy_free(policy);
}
END_TEST

START_TEST(a_forward_that_expires_is_no_promise_for_ever)
{
    struct promise promise = {.is_always = true,
                              .protocols = FORWARD_TCP,
                              .listen = {22, 22},
                              .target = endpoint_of("10.0.0.22:22")};
    struct forward forward = {.name = "ssh",
                              .protocols = FORWARD_TCP,
                              .listen = {22, 22},
                              .target = {endpoint_of("10.0.0.22:22")},
                              .target_count = 1};
    struct policy *policy = policy_new();
    struct breach breach;

    ck_assert_ptr_nonnull(policy);
    ck_assert(promise_is_broken(policy, &promise, &breach));
    ck_assert_int_eq(breach.kind, BREACH_NO_FORWARD);
    ck_assert(policy_add_forward(policy, &forward));
    ck_assert(!promise_is_broken(policy, &promise, &breach));
    ck_assert(policy_remove_forward(policy, "ssh"));
    forward.expires = 4102444800;
    ck_assert(policy_add_forward(policy, &forward));
    ck_assert(promise_is_broken(policy, &promise, &breach));
    ck_assert_int_eq(breach.kind, BREACH_EXPIRES);
    policy_free(policy);
}
END_TEST

START_TEST(a_promise_forbids_a_new_forward)
{
    struct promise_target to = {prefix_of("0.0.0.0/0"), {3306, 3306}};
    struct promise promise = {
        .name = "databases", .protocols = FORWARD_TCP, .to = &to, .to_count = 1};
    struct forward forward = {.protocols = FORWARD_TCP | FORWARD_UDP,
                              .listen = {9000, 9009},
                              .target = {endpoint_of("10.0.0.5:3300")},
                              .target_count = 1};
    struct policy *policy = policy_new(), *copy;
    struct breach breach;

    ck_assert_ptr_nonnull(policy);
    ck_assert(policy_add_promise(policy, &promise));
    copy = policy_copy(policy);
    ck_assert_ptr_nonnull(copy);
    policy_free(policy);
    ck_assert(promise_forbids(copy, &forward, &breach));
    ck_assert_str_eq(breach.promise->name, "databases");
    ck_assert_uint_eq(breach.external_port, 9006);
    ck_assert_str_eq(endpoint_text(&breach.internal), "10.0.0.5:3306");
    forward.listen.last = 9005;
    ck_assert(!promise_forbids(copy, &forward, &breach));
    forward.listen.last = 9009;
    forward.protocols = FORWARD_UDP;
    ck_assert(!promise_forbids(copy, &forward, &breach));
    policy_free(copy);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_promise_is_broken_if_and_only_if_a_packet_breaks_it,
        endpoint_independent_filtering_breaks_a_promise_about_its_hosts,
        a_forward_that_expires_is_no_promise_for_ever,
        a_promise_forbids_a_new_forward,
    };

    return RUN_TESTS("promise", tests);
}
