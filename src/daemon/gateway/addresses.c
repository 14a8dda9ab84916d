/*
 * addresses.c - choosing the external addresses, and the MSS that fits their interfaces
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

/* At most this many addresses of an external interface are considered. */
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

static void log_choice(const char *name, const struct address *address, const char *choice)
{
    char text[ADDRESS_TEXT_MAX];

    log_debug("address %s on %s: %s", text_format_address(address, text), name, choice);
}

/* What an uplink has now, and what of it is used. */
struct decision {
    const char *name; /* as in the configuration */
    struct address found[FOUND_MAX];
    size_t found_count;
    struct uplink_usage next;
};

/* The addresses that may be used, in their order, of `most` at most. */
static void choose_addresses(struct gateway *gateway, struct decision *decision, size_t most)
{
    const struct address *found = decision->found;
    const char *name = decision->name;
    size_t chosen = 0;
    char text[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < decision->found_count; i++) {
        if (is_internal(gateway->active, &found[i]))
            decision->next.is_one_armed = true;
        if (!is_configured(&gateway->config, &found[i])) {
            log_choice(name, &found[i], "not used, it is not in external-address");
        } else if (!is_internal(gateway->active, &found[i])) {
            log_choice(name, &found[i], "used as an external address");
            if (chosen < most)
                decision->next.address[chosen++] = found[i];
        } else {
            log_choice(name, &found[i], "not used, it is in the source of a share");
            notices_add(
                &gateway->notices, "internal-address",
                "%s on %s is in the source of a share: it is not used as an external address",
                text_format_address(&found[i], text), name);
        }
    }
    decision->next.count = chosen;
}

static void log_grace(const struct gateway *gateway, const struct grace *grace, const char *name,
                      uint64_t end)
{
    char text[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < grace->count; i++) {
        if (grace->end[i] == end)
            log_notice("%s is no longer on %s: its sessions wait %u s for it ([timeouts] "
                       "address-hold)",
                       text_format_address(&grace->address[i], text), name,
                       policy_timeouts_const(gateway->active)->address_hold);
    }
}

/* True when an uplink has this address now. */
static bool is_chosen(const struct decision *decisions, size_t count, const struct address *address)
{
    for (size_t n = 0; n < count; n++) {
        for (size_t i = 0; i < decisions[n].next.count - decisions[n].next.resting; i++) {
            if (address_equal(&decisions[n].next.address[i], address))
                return true;
        }
    }
    return false;
}

/*
 * Follows the addresses of an uplink that have gone and may come back. The configuration may have
 * changed since they were chosen, and another uplink may have got them. Those that rest come last.
 */
static void follow_grace(struct gateway *gateway, struct decision *decisions, size_t which,
                         size_t most)
{
    const size_t count = gateway->config.external_count;
    const struct uplink_usage *before = &gateway->uplink[which];
    struct decision *decision = &decisions[which];
    struct uplink_usage *next = &decision->next;
    struct grace *grace = &gateway->grace[which];
    const struct grace_change change = {.before = before->address,
                                        .before_count = before->count - before->resting,
                                        .present = decision->found,
                                        .present_count = decision->found_count,
                                        .chosen = next->address,
                                        .chosen_count = next->count};
    uint32_t hold_ms = policy_timeouts_const(gateway->active)->address_hold * 1000;
    uint64_t now = gateway_now();

    grace_follow(grace, &change, hold_ms, now);
    for (size_t i = grace->count; i-- > 0;) {
        if (!is_configured(&gateway->config, &grace->address[i]) ||
            is_internal(gateway->active, &grace->address[i]) ||
            is_chosen(decisions, count, &grace->address[i]) || next->count + i >= most)
            grace_end(grace, i);
    }
    log_grace(gateway, grace, decision->name, now + hold_ms); /* those that have gone now */
    next->resting = grace->count;
    memcpy(next->address + next->count, grace->address, grace->count * sizeof(grace->address[0]));
    next->count += grace->count;
}

/* What is wrong with the interface itself. */
static void notice_interface(struct gateway *gateway, const struct decision *decision)
{
    const struct interface *interface = &decision->next.interface;
    const char *name = decision->name;
    struct notices *notices = &gateway->notices;

    if (interface->index == 0)
        notices_add(notices, "no-interface",
                    "there is no interface %s: no session can be opened until there is one", name);
    else if (decision->next.count == 0)
        notices_add(notices, "no-external-address",
                    "%s has no %s address: no session can be opened until it gets one", name,
                    gateway->config.external_address_count > 0 ? "configured external"
                                                               : "global IPv4");
    if (interface->renamed)
        notices_add(notices, "renamed-interface",
                    "%s is called %s now: it is still used, but a restart will not find it: change "
                    "[gateway] external",
                    name, interface->name);
}

static void limit_mss(struct gateway *gateway, uint8_t which)
{
    const uint32_t headers = 40; /* IPv4 and TCP, without options (RFC 9293 section 3.7.1) */
    uint32_t mtu = gateway->uplink[which].interface.mtu;
    uint16_t limit = gateway->config.mss == MSS_FIXED ? gateway->config.mss_limit : 0;

    if (gateway->config.mss == MSS_AUTO && mtu > headers && mtu <= UINT16_MAX)
        limit = (uint16_t)(mtu - headers);
    nat_set_mss_limit(gateway_lock(gateway), which, limit);
    gateway_unlock(gateway);
    log_debug("%s: MTU %u, limit of the MSS %u (0: none)", gateway->config.external[which], mtu,
              limit);
}

static bool give_to_translator(struct gateway *gateway)
{
    struct uplink uplinks[CONFIG_UPLINKS_MAX];
    struct address resting[EXTERNAL_ADDRESSES_MAX];
    size_t count = gateway->config.external_count, rests = 0;
    struct nat *nat;
    bool complete;

    for (size_t n = 0; n < count; n++) {
        const struct uplink_usage *usage = &gateway->uplink[n];

        uplinks[n] = (struct uplink){usage->interface.index, usage->address, usage->count};
        for (size_t i = usage->count - usage->resting; i < usage->count; i++)
            resting[rests++] = usage->address[i];
    }
    nat = gateway_lock(gateway);
    complete = nat_set_uplinks(nat, uplinks, count);
    nat_rest_external(nat, resting, rests);
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

static void log_interface(const char *name, const struct interface *before,
                          const struct interface *now)
{
    if (now->index == before->index && strcmp(now->name, before->name) == 0)
        return;
    if (now->index != 0)
        log_info("external interface %s: %s, index %u", name, now->name, now->index);
}

static void log_addresses(const char *name, const struct uplink_usage *usage)
{
    char text[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < usage->count - usage->resting; i++)
        log_info("external address %s on %s", text_format_address(&usage->address[i], text), name);
}

/*
 * The translator comes first: a packet that leaves by an interface whose index it does not know
 * would pass unchanged. Until the rules have the index, such packets do not get to it.
 */
static int apply(struct gateway *gateway, struct error *error)
{
    uint32_t ended = set_external(gateway);

    if (ended > 0)
        log_notice("%u sessions ended: their external address no longer exists", ended);
    return !gateway->rules_installed ? 0
                                     : gateway_write_rules(gateway, gateway->active, false, error);
}

/* The name does not matter to the translator, but the rules have it. */
static bool differs(const struct uplink_usage *now, const struct uplink_usage *next)
{
    return next->interface.index != now->interface.index ||
           strcmp(next->interface.name, now->interface.name) != 0 || next->count != now->count ||
           next->resting != now->resting ||
           memcmp(now->address, next->address, next->count * sizeof(next->address[0])) != 0;
}

static void use(struct gateway *gateway, const struct decision *decisions)
{
    gateway->external_count = 0;
    for (uint8_t n = 0; n < gateway->config.external_count; n++) {
        const struct uplink_usage *next = &decisions[n].next;
        struct uplink_usage *now = &gateway->uplink[n];

        if (differs(now, next)) {
            gateway->addresses_are_stale = true;
            log_addresses(decisions[n].name, next);
        }
        log_interface(decisions[n].name, &now->interface, &next->interface);
        *now = *next;
        limit_mss(gateway, n);
        memcpy(gateway->external + gateway->external_count, next->address,
               next->count * sizeof(next->address[0]));
        gateway->external_count += next->count;
    }
}

/* 0, or -errno and a sentence. */
static int read_uplink(struct gateway *gateway, size_t which, struct decision *decision,
                       struct error *error)
{
    int result = addresses_read(gateway->addresses, which, &decision->next.interface,
                                decision->found, FOUND_MAX, error);

    decision->name = gateway->config.external[which];
    decision->found_count = result < 0 ? 0 : (size_t)result;
    if (result < 0 && result != -ENODEV)
        return result;
    if (result < 0) /* it may come, or come back; then a notification arrives */
        *error = (struct error){0};
    return 0;
}

/* Two names may be one interface's. Then it is the first one of these uplinks. */
static void leave_out_twins(struct decision *decisions, size_t count)
{
    for (size_t n = 1; n < count; n++) {
        for (size_t before = 0; before < n && decisions[n].next.interface.index != 0; before++) {
            if (decisions[n].next.interface.index != decisions[before].next.interface.index)
                continue;
            decisions[n].next.interface = (struct interface){0};
            decisions[n].found_count = 0;
        }
    }
}

static void decide(struct gateway *gateway, struct decision *decisions)
{
    static const char *const names[] = {"internal-address", "no-interface", "no-external-address",
                                        "renamed-interface"};
    const size_t notices = sizeof(names) / sizeof(names[0]), count = gateway->config.external_count;
    const size_t most = EXTERNAL_ADDRESSES_MAX / count; /* so that each uplink gets its part */

    leave_out_twins(decisions, count);
    for (size_t i = 0; i < notices; i++)
        notices_begin(&gateway->notices, names[i]);
    for (size_t n = 0; n < count; n++) {
        choose_addresses(gateway, &decisions[n], most);
        notice_interface(gateway, &decisions[n]);
    }
    for (size_t i = 0; i < notices; i++)
        notices_end(&gateway->notices, names[i]);
    for (size_t n = 0; n < count; n++)
        follow_grace(gateway, decisions, n, most);
}

int gateway_refresh_addresses(struct gateway *gateway, struct error *error)
{
    struct decision decisions[CONFIG_UPLINKS_MAX] = {0};
    int result;

    for (size_t n = 0; n < gateway->config.external_count; n++) {
        result = read_uplink(gateway, n, &decisions[n], error);
        if (result < 0)
            return result;
    }
    decide(gateway, decisions);
    use(gateway, decisions);
    if (!gateway->addresses_are_stale)
        return 0;
    result = apply(gateway, error);
    gateway->addresses_are_stale = result < 0; /* the next event, or a reload, tries again */
    return result;
}

void gateway_check_grace(struct gateway *gateway)
{
    struct error error = {0};
    bool due = false;

    for (size_t n = 0; n < gateway->config.external_count; n++)
        due |= grace_is_due(&gateway->grace[n], gateway_now());
    if (due && gateway_refresh_addresses(gateway, &error) < 0)
        log_error("%s", error.text);
}
