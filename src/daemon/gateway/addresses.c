/*
 * addresses.c - choosing the external addresses, and the MSS that fits their interface
 */
#include "addresses.h"

#include "notices.h"
#include "portreeve/addresses.h"
#include "portreeve/log.h"
#include "portreeve/text.h"
#include "review.h"
#include "rules.h"

#include <errno.h>
#include <string.h>

/* At most this many addresses of the external interface are considered. */
#define FOUND_MAX 64

/* RFC 4787 REQ-7: an external address inside a share's source would make answers ambiguous. */
static bool is_internal(const struct policy *policy, const struct address *address)
{
    return policy_share_of(policy, address) != POLICY_NONE;
}

static bool is_configured(const struct config *config, const struct address *address)
{
    for (size_t i = 0; i < config->external_address_count; i++) {
        if (address_equal(&config->external_address[i], address))
            return true;
    }
    return config->external_address_count == 0;
}

static void log_choice(const struct gateway *gateway, const struct address *address,
                       const char *choice)
{
    char text[ADDRESS_TEXT_MAX];

    log_debug("address %s on %s: %s", text_format_address(address, text), gateway->config.external,
              choice);
}

/* The addresses that may be used, in their order; returns how many. */
static size_t choose_addresses(struct gateway *gateway, const struct address *found, size_t count,
                               struct address chosen_addresses[EXTERNAL_ADDRESSES_MAX])
{
    char text[ADDRESS_TEXT_MAX];
    size_t chosen = 0;

    gateway->is_one_armed = false;
    notices_begin(&gateway->notices, "internal-address");
    for (size_t i = 0; i < count; i++) {
        if (is_internal(gateway->active, &found[i]))
            gateway->is_one_armed = true;
        if (!is_configured(&gateway->config, &found[i])) {
            log_choice(gateway, &found[i], "not used, it is not in external-address");
        } else if (!is_internal(gateway->active, &found[i])) {
            log_choice(gateway, &found[i], "used as an external address");
            if (chosen < EXTERNAL_ADDRESSES_MAX)
                chosen_addresses[chosen++] = found[i];
        } else {
            log_choice(gateway, &found[i], "not used, it is in the source of a share");
            notices_add(
                &gateway->notices, "internal-address",
                "%s on %s is in the source of a share: it is not used as an external address",
                text_format_address(&found[i], text), gateway->config.external);
        }
    }
    notices_end(&gateway->notices, "internal-address");
    return chosen;
}

static void log_grace(const struct gateway *gateway, uint64_t end)
{
    const struct grace *grace = &gateway->grace;
    char text[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < grace->count; i++) {
        if (grace->end[i] == end)
            log_notice("%s is no longer on %s: its sessions wait %u s for it ([timeouts] "
                       "address-hold)",
                       text_format_address(&grace->address[i], text), gateway->config.external,
                       policy_timeouts_const(gateway->active)->address_hold);
    }
}

/*
 * Follows the addresses that have gone and may come back. The configuration may have changed since
 * they were chosen.
 */
static void follow_grace(struct gateway *gateway, const struct grace_change *change)
{
    struct grace *grace = &gateway->grace;
    uint32_t hold_ms = policy_timeouts_const(gateway->active)->address_hold * 1000;
    uint64_t now = gateway_now();

    grace_follow(grace, change, hold_ms, now);
    for (size_t i = grace->count; i-- > 0;) {
        if (!is_configured(&gateway->config, &grace->address[i]) ||
            is_internal(gateway->active, &grace->address[i]) ||
            change->chosen_count + i >= EXTERNAL_ADDRESSES_MAX)
            grace_end(grace, i);
    }
    log_grace(gateway, now + hold_ms); /* those that have gone now */
}

/* What is wrong with the interface itself; `count` addresses of it are in use. */
static void notice_interface(struct gateway *gateway, const struct interface *interface,
                             size_t count)
{
    const char *name = gateway->config.external;
    struct notices *notices = &gateway->notices;

    if (interface->index == 0)
        notices_set(notices, "no-interface",
                    "there is no interface %s: no session can be opened until there is one", name);
    else
        notices_clear(notices, "no-interface");
    if (interface->index != 0 && count == 0)
        notices_set(notices, "no-external-address",
                    "%s has no %s address: no session can be opened until it gets one", name,
                    gateway->config.external_address_count > 0 ? "configured external"
                                                               : "global IPv4");
    else
        notices_clear(notices, "no-external-address");
    if (interface->renamed)
        notices_set(notices, "renamed-interface",
                    "%s is called %s now: it is still used, but a restart will not find it: change "
                    "[gateway] external",
                    name, interface->name);
    else
        notices_clear(notices, "renamed-interface");
}

static void limit_mss(struct gateway *gateway)
{
    const uint32_t headers = 40; /* IPv4 and TCP, without options (RFC 9293 section 3.7.1) */
    uint32_t mtu = gateway->external_interface.mtu;
    uint16_t limit = gateway->config.mss == MSS_FIXED ? gateway->config.mss_limit : 0;

    if (gateway->config.mss == MSS_AUTO && mtu > headers && mtu <= UINT16_MAX)
        limit = (uint16_t)(mtu - headers);
    nat_set_mss_limit(gateway_lock(gateway), 0, limit);
    gateway_unlock(gateway);
    log_debug("%s: MTU %u, limit of the MSS %u (0: none)", gateway->config.external, mtu, limit);
}

static bool give_to_translator(struct gateway *gateway)
{
    const struct address *addresses = gateway->external;
    uint32_t index = gateway->external_interface.index;
    size_t given = gateway->external_count - gateway->external_resting;
    struct nat *nat = gateway_lock(gateway);
    bool complete = nat_set_external(nat, index, addresses, gateway->external_count);

    nat_rest_external(nat, addresses + given, gateway->external_resting);
    gateway_unlock(gateway);
    return complete;
}

/* Returns how many sessions have ended. */
static uint32_t set_external(struct gateway *gateway)
{
    bool complete = give_to_translator(gateway);
    uint32_t ended = gateway_review(gateway);

    if (!complete) /* new addresses need the slots of earlier ones, which are free now */
        give_to_translator(gateway);
    return ended;
}

static void log_interface(const struct gateway *gateway, const struct interface *before)
{
    const struct interface *now = &gateway->external_interface;

    if (now->index == before->index && strcmp(now->name, before->name) == 0)
        return;
    if (now->index != 0)
        log_info("external interface %s: %s, index %u", gateway->config.external, now->name,
                 now->index);
}

/*
 * The translator comes first: a packet that leaves by an interface whose index it does not know
 * would pass unchanged. Until the rules have the index, such packets do not get to it.
 */
static int apply(struct gateway *gateway, struct error *error)
{
    char text[ADDRESS_TEXT_MAX];
    uint32_t ended = set_external(gateway);

    for (size_t i = 0; i < gateway->external_count - gateway->external_resting; i++)
        log_info("external address %s on %s", text_format_address(&gateway->external[i], text),
                 gateway->config.external);
    if (ended > 0)
        log_notice("%u sessions ended: their external address no longer exists", ended);
    return !gateway->rules_installed ? 0
                                     : gateway_write_rules(gateway, gateway->active, false, error);
}

/* What the gateway uses, or is about to use. */
struct usage {
    struct interface interface;
    struct address address[EXTERNAL_ADDRESSES_MAX];
    size_t count, resting;
};

/* The name does not matter to the translator, but the rules have it. */
static bool differs(const struct gateway *gateway, const struct usage *next)
{
    return next->interface.index != gateway->external_interface.index ||
           strcmp(next->interface.name, gateway->external_interface.name) != 0 ||
           next->count != gateway->external_count || next->resting != gateway->external_resting ||
           memcmp(gateway->external, next->address, next->count * sizeof(next->address[0])) != 0;
}

static void use(struct gateway *gateway, const struct usage *next)
{
    const struct interface before = gateway->external_interface;

    memcpy(gateway->external, next->address, next->count * sizeof(next->address[0]));
    gateway->external_count = next->count;
    gateway->external_resting = next->resting;
    gateway->external_interface = next->interface;
    limit_mss(gateway);
    log_interface(gateway, &before);
}

/* `found`: what the interface has now. The addresses that rest come last. */
static void decide(struct gateway *gateway, const struct address *found, size_t count,
                   struct usage *next)
{
    struct grace_change change = {.before = gateway->external,
                                  .before_count =
                                      gateway->external_count - gateway->external_resting,
                                  .present = found,
                                  .present_count = count,
                                  .chosen = next->address};

    next->count = change.chosen_count = choose_addresses(gateway, found, count, next->address);
    notice_interface(gateway, &next->interface, next->count);
    follow_grace(gateway, &change);
    next->resting = gateway->grace.count;
    memcpy(next->address + next->count, gateway->grace.address,
           next->resting * sizeof(next->address[0]));
    next->count += next->resting;
}

int gateway_refresh_addresses(struct gateway *gateway, struct error *error)
{
    struct address found[FOUND_MAX];
    struct usage next = {0};
    int result = addresses_read(gateway->addresses, 0, &next.interface, found, FOUND_MAX, error);

    if (result < 0 && result != -ENODEV)
        return result;
    if (result < 0) /* it may come, or come back; then a notification arrives */
        *error = (struct error){0};
    decide(gateway, found, result < 0 ? 0 : (size_t)result, &next);
    if (differs(gateway, &next))
        gateway->addresses_are_stale = true;
    use(gateway, &next);
    if (!gateway->addresses_are_stale)
        return 0;
    result = apply(gateway, error);
    gateway->addresses_are_stale = result < 0; /* the next event, or a reload, tries again */
    return result;
}

void gateway_check_grace(struct gateway *gateway)
{
    struct error error = {0};

    if (grace_is_due(&gateway->grace, gateway_now()) &&
        gateway_refresh_addresses(gateway, &error) < 0)
        log_error("%s", error.text);
}
