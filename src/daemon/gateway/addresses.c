/*
 * addresses.c - choosing the external addresses, and the MSS that fits their interface
 */
#include "addresses.h"

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

static size_t choose_addresses(struct gateway *gateway, struct address *found, size_t count)
{
    char text[ADDRESS_TEXT_MAX];
    size_t chosen = 0;

    gateway->has_address_problem = false;
    for (size_t i = 0; i < count; i++) {
        if (!is_configured(&gateway->config, &found[i])) {
            log_choice(gateway, &found[i], "not used, it is not in external-address");
            continue;
        }
        if (!is_internal(gateway->active, &found[i])) {
            log_choice(gateway, &found[i], "used as an external address");
            found[chosen++] = found[i];
            continue;
        }
        log_choice(gateway, &found[i], "not used, it is in the source of a share");
        error_set(&gateway->address_problem,
                  "%s on %s is in the source of a share: it is not used as an external address",
                  text_format_address(&found[i], text), gateway->config.external);
        gateway->has_address_problem = true;
    }
    if (chosen == 0 && !gateway->has_address_problem) {
        error_set(&gateway->address_problem,
                  "%s has no %s address: no packet can be translated until it gets one",
                  gateway->config.external,
                  gateway->config.external_address_count > 0 ? "configured external"
                                                             : "global IPv4");
        gateway->has_address_problem = true;
    }
    return chosen;
}

bool gateway_addresses_fit(const struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->external_count; i++) {
        if (is_internal(gateway->active, &gateway->external[i]))
            return false;
    }
    return !gateway->has_address_problem;
}

static void limit_mss(struct gateway *gateway)
{
    const uint32_t headers = 40; /* IPv4 and TCP, without options (RFC 9293 section 3.7.1) */
    uint32_t mtu = addresses_mtu(gateway->addresses);
    uint16_t limit = gateway->config.mss == MSS_FIXED ? gateway->config.mss_limit : 0;

    if (gateway->config.mss == MSS_AUTO && mtu > headers && mtu <= UINT16_MAX)
        limit = (uint16_t)(mtu - headers);
    nat_set_mss_limit(gateway_lock(gateway), limit);
    gateway_unlock(gateway);
    log_debug("%s: MTU %u, limit of the MSS %u (0: none)", gateway->config.external, mtu, limit);
}

/* Returns how many sessions have ended. */
static uint32_t set_external(struct gateway *gateway, const struct address *addresses, size_t count)
{
    bool complete =
        nat_set_external(gateway_lock(gateway), gateway->external_interface, addresses, count);
    uint32_t ended;

    gateway_unlock(gateway);
    ended = gateway_review(gateway);
    if (!complete) { /* new addresses need the slots of earlier ones, which are free now */
        nat_set_external(gateway_lock(gateway), gateway->external_interface, addresses, count);
        gateway_unlock(gateway);
    }
    return ended;
}

int gateway_refresh_addresses(struct gateway *gateway, struct error *error)
{
    struct address found[FOUND_MAX];
    char text[ADDRESS_TEXT_MAX];
    uint32_t ended;
    size_t count;
    bool differs;
    int read =
        addresses_read(gateway->addresses, found, FOUND_MAX, &gateway->external_interface, error);

    if (read < 0 && read != -ENODEV)
        return read;
    if (read < 0) /* it may come back; then a notification arrives */
        *error = (struct error){0};
    count = choose_addresses(gateway, found, read < 0 ? 0 : (size_t)read);
    if (count > EXTERNAL_ADDRESSES_MAX)
        count = EXTERNAL_ADDRESSES_MAX;
    differs = count != gateway->external_count ||
              memcmp(gateway->external, found, count * sizeof(*found)) != 0;
    memcpy(gateway->external, found, count * sizeof(*found));
    gateway->external_count = count;
    ended = set_external(gateway, found, count);
    limit_mss(gateway);
    if (gateway->has_address_problem)
        log_warning("%s", gateway->address_problem.text);
    for (size_t i = 0; differs && i < count; i++)
        log_info("external address %s on %s", text_format_address(&found[i], text),
                 gateway->config.external);
    if (ended > 0)
        log_notice("%u sessions ended: their external address no longer exists", ended);
    return !gateway->rules_installed ? 0
                                    : gateway_write_rules(gateway, gateway->active, false, error);
}
