/*
 * uplinks.c - interfaces that lead outside and are not external
 */
#include "uplinks.h"

#include "portreeve/log.h"
#include "portreeve/routes.h"
#include "rules.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#define NOTICE "other-uplink"

/*
 * A routing table may have a million routes, and all of them are read. So a reading is followed by
 * a pause this many times as long; changes meanwhile are read at the next tick.
 */
#define PAUSE_FACTOR 20

static bool is_known(const struct gateway *gateway, uint32_t interface_index)
{
    const struct config *config = &gateway->config;

    for (size_t i = 0; i < config->external_count; i++) {
        if (interface_index == gateway->uplink[i].interface.index ||
            if_nametoindex(config->external[i]) == interface_index)
            return true;
    }
    for (size_t i = 0; i < config->untranslated_count; i++) {
        if (if_nametoindex(config->untranslated[i]) == interface_index)
            return true;
    }
    return false;
}

static void log_uplinks(const struct gateway *gateway)
{
    char name[IF_NAMESIZE];

    for (size_t i = 0; i < gateway->other_uplink_count; i++) {
        if (if_indextoname(gateway->other_uplink[i], name) != NULL)
            log_info("%s holds a default route and is not external: what shares send by it with "
                     "their own addresses is dropped",
                     name);
    }
}

static size_t read_uplinks(struct gateway *gateway, uint32_t *uplinks, int *result,
                           struct error *error)
{
    uint32_t found[NAT_OTHER_UPLINKS_MAX + 1];
    const int max = NAT_OTHER_UPLINKS_MAX + 1;
    uint64_t begin = gateway_now();
    size_t count = 0;

    *result = routes_read(gateway->routes, found, (size_t)max, error);
    gateway->routes_due = gateway_now() + (gateway_now() - begin) * PAUSE_FACTOR;
    gateway->routes_are_stale = false;
    for (int i = 0; i < *result && i < max && count < NAT_OTHER_UPLINKS_MAX; i++) {
        if (!is_known(gateway, found[i]))
            uplinks[count++] = found[i];
    }
    if (*result > max)
        log_warning("%d interfaces hold a default route: packets of shares are kept from %d of "
                    "them only",
                    *result, NAT_OTHER_UPLINKS_MAX);
    return count;
}

int gateway_refresh_uplinks(struct gateway *gateway, struct error *error)
{
    uint32_t uplinks[NAT_OTHER_UPLINKS_MAX];
    int result;
    size_t count = read_uplinks(gateway, uplinks, &result, error);

    if (result < 0)
        return result;
    if (count == gateway->other_uplink_count &&
        memcmp(uplinks, gateway->other_uplink, count * sizeof(*uplinks)) == 0)
        return 0;
    memcpy(gateway->other_uplink, uplinks, count * sizeof(*uplinks));
    gateway->other_uplink_count = count;
    nat_set_other_uplinks(gateway_lock(gateway), uplinks, count);
    gateway_unlock(gateway);
    log_uplinks(gateway);
    return !gateway->rules_installed ? 0
                                     : gateway_write_rules(gateway, gateway->active, false, error);
}

static void refresh_or_log(struct gateway *gateway)
{
    struct error error = {0};

    if (gateway_refresh_uplinks(gateway, &error) < 0)
        log_error("%s", error.text);
}

int gateway_routes_descriptor(const struct gateway *gateway)
{
    return routes_descriptor(gateway->routes);
}

void gateway_routes_ready(struct gateway *gateway)
{
    if (!routes_changed(gateway->routes))
        return;
    if (gateway_now() >= gateway->routes_due)
        refresh_or_log(gateway);
    gateway->routes_are_stale = true; /* routes.h: the change may not be complete */
}

/* An interface that no packet was kept from needs no one's attention. */
static void note_drops(struct gateway *gateway)
{
    const struct nat *nat = gateway_lock(gateway);
    bool dropped[NAT_OTHER_UPLINKS_MAX] = {false};
    char name[IF_NAMESIZE];

    for (size_t i = 0; i < gateway->other_uplink_count; i++)
        dropped[i] = nat_other_uplink_drops(nat, gateway->other_uplink[i]) > 0;
    gateway_unlock(gateway);
    notices_begin(&gateway->notices, NOTICE);
    for (size_t i = 0; i < gateway->other_uplink_count; i++) {
        if (dropped[i] && if_indextoname(gateway->other_uplink[i], name) != NULL)
            notices_add(&gateway->notices, NOTICE,
                        "packets of shares are dropped (other-uplink): their route leads outside "
                        "by %s, which is not external; list it in [gateway] external, or in "
                        "untranslated if they may leave as they are",
                        name);
    }
    notices_end(&gateway->notices, NOTICE);
}

void gateway_check_uplinks(struct gateway *gateway)
{
    if (gateway->routes_are_stale)
        refresh_or_log(gateway);
    note_drops(gateway);
}
