/*
 * host_check.c - what a configuration does to the host, for portreeved -t
 */
#include "portreeve/gateway.h"
#include "reserved_ports.h"

bool gateway_check_host(const struct config *config, const char *path, config_report *report,
                        config_report *warn, void *context)
{
    (void)warn;
    return reserved_ports_leave_room(config->state_directory, path, config->policy, report,
                                     context);
}
