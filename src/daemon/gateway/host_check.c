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
    const char *name = config->external;
    struct addresses *addresses;
    struct interface interface;
    struct error error = {0};
    int count;

    if (config->external_address_count > 0) {
        memcpy(out, config->external_address, sizeof(config->external_address));
        return config->external_address_count;
    }
    if (addresses_open(&addresses, &name, 1, &error) < 0)
        return 0;
    count = addresses_read(addresses, 0, &interface, out, max, &error);
    addresses_close(addresses);
    return count > 0 ? (size_t)count : 0;
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
