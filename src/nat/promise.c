/*
 * promise.c - whether the forwards keep what the configuration promises
 */
#include "portreeve/promise.h"

/* ---- addresses ---- */

/* Prefixes; none of them: every address, or no address. */
struct prefixes {
    const struct prefix *list;
    size_t count;
};

static bool is_in(const struct prefixes *prefixes, const struct address *address)
{
    for (size_t i = 0; i < prefixes->count; i++) {
        if (prefix_contains(&prefixes->list[i], address))
            return true;
    }
    return false;
}

static uint32_t first_of(const struct prefix *prefix)
{
    return address_to_ipv4(&prefix->address);
}

static uint32_t last_of(const struct prefix *prefix)
{
    const uint8_t every = 96; /* the length of 0.0.0.0/0 in the 16-byte form */

    return prefix->length <= every ? UINT32_MAX
           : prefix->length == 128 ? first_of(prefix)
                                   : first_of(prefix) | UINT32_MAX >> (prefix->length - every);
}

/* In `one` and `other` (without a prefix: everywhere), but in neither of `without`. */
struct search {
    struct prefixes one, other, without[2];
};

static bool fits(const struct search *search, uint32_t ipv4, struct address *found)
{
    *found = address_from_ipv4(ipv4);
    return (search->one.count == 0 || is_in(&search->one, found)) &&
           (search->other.count == 0 || is_in(&search->other, found)) &&
           !is_in(&search->without[0], found) && !is_in(&search->without[1], found);
}

static bool fits_at_first(const struct search *search, const struct prefixes *borders,
                          struct address *found)
{
    for (size_t i = 0; i < borders->count; i++) {
        if (fits(search, first_of(&borders->list[i]), found))
            return true;
    }
    return false;
}

static bool fits_behind_last(const struct search *search, const struct prefixes *borders,
                             struct address *found)
{
    for (size_t i = 0; i < borders->count; i++) {
        if (last_of(&borders->list[i]) < UINT32_MAX &&
            fits(search, last_of(&borders->list[i]) + 1, found))
            return true;
    }
    return false;
}

/*
 * An address that fits, if there is any. The lowest one of them is 0, the first of a prefix that it
 * is in, or the one behind a prefix that it is not in: so these are all that must be tried. First
 * those for documentation (RFC 5737), which people know.
 */
static bool find_address(const struct search *search, struct address *found)
{
    static const uint32_t known[] = {0xc6336407, 0xc0000207, 0xcb007107, 0};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (fits(search, known[i], found))
            return true;
    }
    return fits_at_first(search, &search->one, found) ||
           fits_at_first(search, &search->other, found) ||
           fits_behind_last(search, &search->without[0], found) ||
           fits_behind_last(search, &search->without[1], found);
}

/* Somebody whom the promise speaks of and the forward lets in. */
static bool find_admitted(const struct promise *promise, const struct forward *forward,
                          struct address *found)
{
    const struct search search = {.one = {promise->from, promise->from_count},
                                  .other = {forward->allow, forward->allow_count},
                                  .without = {{promise->not_from, promise->not_from_count}}};

    return find_address(&search, found);
}

/* Somebody whom the promise speaks of and the forward does not let in. */
static bool find_excluded(const struct promise *promise, const struct forward *forward,
                          struct address *found)
{
    const struct search search = {.one = {promise->from, promise->from_count},
                                  .without = {{promise->not_from, promise->not_from_count},
                                              {forward->allow, forward->allow_count}}};

    return forward->allow_count > 0 && find_address(&search, found);
}

/* Somebody whom the promise speaks of; false: nobody. */
static bool find_meant(const struct promise *promise, struct address *found)
{
    const struct search search = {.one = {promise->from, promise->from_count},
                                  .without = {{promise->not_from, promise->not_from_count}}};

    return find_address(&search, found);
}

/* ---- protocols ---- */

static uint8_t lowest_protocol(uint8_t protocols)
{
    for (enum protocol_index i = 0; i < PROTOCOL_PORTS_COUNT; i++) {
        if (protocols & 1u << i)
            return protocol_table[i].number;
    }
    return 0;
}

/* ---- never ---- */

/* True if the forward delivers to one of these endpoints; *internal and *port are the first. */
static bool delivers_to(const struct forward *forward, const struct promise_target *to,
                        struct endpoint *internal, uint16_t *port)
{
    uint32_t length = (uint32_t)(forward->listen.last - forward->listen.first);

    for (size_t i = 0; i < forward->target_count; i++) {
        const struct endpoint *target = &forward->target[i];
        uint32_t first = target->port > to->ports.first ? target->port : to->ports.first,
                 last = target->port + length;

        if (last > to->ports.last)
            last = to->ports.last;
        if (first > last || !prefix_contains(&to->address, &target->address))
            continue;
        *internal = (struct endpoint){target->address, (uint16_t)first};
        *port = (uint16_t)(forward->listen.first + (first - target->port));
        return true;
    }
    return false;
}

static bool forward_breaks(const struct promise *promise, const struct forward *forward,
                           struct breach *breach)
{
    uint8_t protocols = promise->protocols & forward->protocols;

    *breach = (struct breach){.kind = BREACH_REACHES,
                              .promise = promise,
                              .forward = forward,
                              .protocol = lowest_protocol(protocols)};
    if (promise->is_always || protocols == 0 || !find_admitted(promise, forward, &breach->from))
        return false;
    for (size_t i = 0; i < promise->to_count; i++) {
        if (delivers_to(forward, &promise->to[i], &breach->internal, &breach->external_port))
            return true;
    }
    return false;
}

/* The share of a host: the one with the longest prefix. */
static const struct share *share_of(const struct policy *policy, const struct address *host)
{
    const struct share *found = NULL;
    uint8_t length = 0;

    for (size_t i = 0; i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        for (size_t n = 0; n < share->source_count; n++) {
            if (prefix_contains(&share->source[n], host) &&
                (found == NULL || share->source[n].length > length)) {
                found = share;
                length = share->source[n].length;
            }
        }
    }
    return found;
}

/* True if everyone may send to what this host has sent from. */
static bool is_exposed(const struct policy *policy, uint8_t protocols, uint32_t ipv4,
                       const struct promise_target *to, struct breach *breach)
{
    const struct address host = address_from_ipv4(ipv4);

    breach->share = prefix_contains(&to->address, &host) ? share_of(policy, &host) : NULL;
    breach->internal = (struct endpoint){host, to->ports.first};
    for (enum protocol_index i = 0; i < PROTOCOL_PORTS_COUNT && breach->share != NULL; i++) {
        breach->protocol = protocol_table[i].number;
        if (protocols & 1u << i &&
            share_filtering(breach->share, breach->protocol) == FILTERING_ENDPOINT_INDEPENDENT)
            return true;
    }
    return false;
}

/* The share of a host changes only at the first address of a prefix, and behind the last. */
static bool filtering_breaks(const struct policy *policy, const struct promise *promise,
                             struct breach *breach)
{
    *breach = (struct breach){.kind = BREACH_FILTERING, .promise = promise};
    for (size_t t = 0; t < promise->to_count; t++) {
        const struct promise_target *to = &promise->to[t];

        if (is_exposed(policy, promise->protocols, first_of(&to->address), to, breach))
            return true;
        for (size_t i = 0; i < policy_share_count(policy); i++) {
            const struct share *share = policy_share(policy, i);

            for (size_t n = 0; n < share->source_count; n++) {
                uint32_t last = last_of(&share->source[n]);

                if (is_exposed(policy, promise->protocols, first_of(&share->source[n]), to,
                               breach) ||
                    (last < UINT32_MAX &&
                     is_exposed(policy, promise->protocols, last + 1, to, breach)))
                    return true;
            }
        }
    }
    return false;
}

static bool never_is_broken(const struct policy *policy, const struct promise *promise,
                            struct breach *breach)
{
    struct address anybody;

    for (size_t i = 0; i < policy_forward_count(policy); i++) {
        if (forward_breaks(promise, policy_forward(policy, i), breach))
            return true;
    }
    return find_meant(promise, &anybody) && filtering_breaks(policy, promise, breach);
}

/* ---- always ---- */

static const struct forward *forward_at(const struct policy *policy, uint8_t protocol_bit,
                                        uint32_t port)
{
    for (size_t i = 0; i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);

        if (forward->protocols & protocol_bit && forward->listen.first <= port &&
            port <= forward->listen.last)
            return forward;
    }
    return NULL;
}

/* True if the forward does not do at this port, and behind it, what is promised. */
static bool fails_at(const struct promise *promise, const struct forward *forward, uint32_t port,
                     struct breach *breach)
{
    struct endpoint wanted = {promise->target.address,
                              (uint16_t)(promise->target.port + (port - promise->listen.first))};
    struct address excluded;

    if (forward == NULL)
        breach->kind = BREACH_NO_FORWARD;
    else if (forward->expires != 0)
        breach->kind = BREACH_EXPIRES;
    else if (find_excluded(promise, forward, &excluded))
        breach->kind = BREACH_NOT_ALLOWED;
    else
        breach->kind = BREACH_OTHER_TARGET;
    if (breach->kind == BREACH_NOT_ALLOWED)
        breach->from = excluded;
    breach->external_port = (uint16_t)port;
    if (forward == NULL)
        return true;
    breach->internal = policy_forward_target(forward, (uint16_t)port);
    return breach->kind != BREACH_OTHER_TARGET || forward->target_count != 1 ||
           !endpoint_equal(&breach->internal, &wanted);
}

static bool always_is_broken(const struct policy *policy, const struct promise *promise,
                             struct breach *breach)
{
    struct address meant;

    if (!find_meant(promise, &meant))
        return false;
    for (enum protocol_index p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        uint32_t port = promise->listen.first;

        while (promise->protocols & 1u << p && port <= promise->listen.last) {
            const struct forward *forward = forward_at(policy, (uint8_t)(1u << p), port);

            *breach = (struct breach){.promise = promise,
                                      .forward = forward,
                                      .protocol = protocol_table[p].number,
                                      .from = meant};
            if (fails_at(promise, forward, port, breach))
                return true;
            port = forward->listen.last + 1u;
        }
    }
    return false;
}

/* ---- any ---- */

bool promise_is_broken(const struct policy *policy, const struct promise *promise,
                       struct breach *breach)
{
    return promise->is_always ? always_is_broken(policy, promise, breach)
                              : never_is_broken(policy, promise, breach);
}

bool promise_forbids(const struct policy *policy, const struct forward *forward,
                     struct breach *breach)
{
    for (size_t i = 0; i < policy_promise_count(policy); i++) {
        if (forward_breaks(policy_promise(policy, i), forward, breach))
            return true;
    }
    return false;
}
