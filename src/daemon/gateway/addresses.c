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

/* Keeps the addresses that may be used, in their order, and returns how many. */
static size_t choose_addresses(struct gateway *gateway, struct address *found, size_t count)
{
    char text[ADDRESS_TEXT_MAX];
    size_t chosen = 0;

    notices_begin(&gateway->notices, "internal-address");
    for (size_t i = 0; i < count; i++) {
        if (!is_configured(&gateway->config, &found[i])) {
            log_choice(gateway, &found[i], "not used, it is not in external-address");
        } else if (!is_internal(gateway->active, &found[i])) {
            log_choice(gateway, &found[i], "used as an external address");
            found[chosen++] = found[i];
        } else {
            log_choice(gateway, &found[i], "not used, it is in the source of a share");
            notices_add(
                &gateway->notices, "internal-address",
                "%s on %s is in the source of a share: it is not used as an external address",
                text_format_address(&found[i], text), gateway->config.external);
        }
    }
    notices_end(&gateway->notices, "internal-address");
    return chosen < EXTERNAL_ADDRESSES_MAX ? chosen : EXTERNAL_ADDRESSES_MAX;
}

/* What is wrong with the interface itself; `count` addresses of it are in use. */
static void notice_interface(struct gateway *gateway, const struct interface *interface,
                             size_t count)
{
    const char *name = gateway->config.external;
    struct notices *notices = &gateway->notices;

    if (interface->index == 0)
        notices_set(notices, "no-interface",
                    "there is no interface %s: no packet can be translated until there is one",
                    name);
    else
        notices_clear(notices, "no-interface");
    if (interface->index != 0 && count == 0)
        notices_set(notices, "no-external-address",
                    "%s has no %s address: no packet can be translated until it gets one", name,
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

/*
 * Returns how many sessions have ended. Without the interface, no packet is from it or to it; but
 * packets of the gateway itself arrive by interface 0.
 */
static uint32_t set_external(struct gateway *gateway)
{
    const struct address *addresses = gateway->external;
    uint32_t index = gateway->external_interface.index, ended;
    size_t count = gateway->external_count;
    bool complete;

    if (index == 0)
        index = UINT32_MAX;
    complete = nat_set_external(gateway_lock(gateway), index, addresses, count);

    gateway_unlock(gateway);
    ended = gateway_review(gateway);
    if (!complete) { /* new addresses need the slots of earlier ones, which are free now */
        nat_set_external(gateway_lock(gateway), index, addresses, count);
        gateway_unlock(gateway);
    }
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

    for (size_t i = 0; i < gateway->external_count; i++)
        log_info("external address %s on %s", text_format_address(&gateway->external[i], text),
                 gateway->config.external);
    if (ended > 0)
        log_notice("%u sessions ended: their external address no longer exists", ended);
    return !gateway->rules_installed ? 0
                                     : gateway_write_rules(gateway, gateway->active, false, error);
}

/* The name does not matter to the translator, but the rules have it. */
static bool differs(const struct gateway *gateway, const struct interface *interface,
                    const struct address *addresses, size_t count)
{
    return interface->index != gateway->external_interface.index ||
           strcmp(interface->name, gateway->external_interface.name) != 0 ||
           count != gateway->external_count ||
           memcmp(gateway->external, addresses, count * sizeof(*addresses)) != 0;
}

int gateway_refresh_addresses(struct gateway *gateway, struct error *error)
{
    const struct interface before = gateway->external_interface;
    struct address found[FOUND_MAX];
    struct interface interface;
    size_t count;
    int result = addresses_read(gateway->addresses, 0, &interface, found, FOUND_MAX, error);

    if (result < 0 && result != -ENODEV)
        return result;
    if (result < 0) /* it may come, or come back; then a notification arrives */
        *error = (struct error){0};
    count = choose_addresses(gateway, found, result < 0 ? 0 : (size_t)result);
    notice_interface(gateway, &interface, count);
    if (differs(gateway, &interface, found, count))
        gateway->addresses_are_stale = true;
    memcpy(gateway->external, found, count * sizeof(*found));
    gateway->external_count = count;
    gateway->external_interface = interface;
    limit_mss(gateway);
    log_interface(gateway, &before);
    if (!gateway->addresses_are_stale)
        return 0;
    result = apply(gateway, error);
    gateway->addresses_are_stale = result < 0; /* the next event, or a reload, tries again */
    return result;
}
