/*
 * host_check.c - what a configuration does to the host, for portreeved -t
 */
#include "collisions.h"
#include "portreeve/addresses.h"
#include "portreeve/gateway.h"
#include "portreeve/report.h"
#include "reserved_ports.h"
#include "saved_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The external addresses that the configuration would have now. */
static size_t read_external(const struct config *config, struct address *out, size_t max)
{
    const char *names[CONFIG_UPLINKS_MAX];
    struct addresses *addresses;
    struct interface interface;
    struct error error = {0};
    size_t count = 0;

    if (config->external_address_count > 0) {
        memcpy(out, config->external_address, sizeof(config->external_address));
        return config->external_address_count;
    }
    for (size_t i = 0; i < config->external_count; i++)
        names[i] = config->external[i];
    if (addresses_open(&addresses, names, config->external_count, &error) < 0)
        return 0;
    for (size_t i = 0; i < config->external_count; i++) {
        int found = addresses_read(addresses, i, &interface, out + count, max - count, &error);

        count += found > 0 ? (size_t)found : 0;
    }
    addresses_close(addresses);
    return count;
}

/* If the sockets cannot be listed, nothing is said: the daemon will say it. */
static void warn_hidden(const struct config *config, const char *path, config_report *warn,
                        void *context)
{
    struct address external[EXTERNAL_ADDRESSES_MAX];
    struct policy *policy = policy_copy(config->policy);
    struct own_sockets *sockets = calloc(1, sizeof(*sockets));
    struct error error = {0};
    char prefix[PATH_MAX + 2];

    snprintf(prefix, sizeof(prefix), "%s: ", path);
    if (policy != NULL && sockets != NULL && policy_seal(policy) &&
        own_sockets_look(sockets, &error) == 0)
        collisions_report_hidden(sockets, policy, NULL, external,
                                 read_external(config, external, EXTERNAL_ADDRESSES_MAX), prefix,
                                 warn, context);
    if (sockets != NULL)
        own_sockets_free(sockets);
    free(sockets);
    policy_free(policy);
}

bool gateway_check_host(const struct config *config, const char *path, config_report *report,
                        config_report *warn, void *context)
{
    if (!reserved_ports_leave_room(config->state_directory, path, config->policy, report, context))
        return false;
    warn_hidden(config, path, warn, context);
    if (saved_rules_find() != NULL)
        report_format(warn, context, SAVED_RULES_TEXT, saved_rules_find());
    return true;
}
