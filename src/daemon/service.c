/*
 * service.c - service names in /etc/services
 */
#include "portreeve/service.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stddef.h>

uint16_t service_port(const char *service, const char *protocol)
{
    struct servent entry, *found = NULL;
    char buffer[4096];

    if (getservbyname_r(service, protocol, &entry, buffer, sizeof(buffer), &found) != 0 ||
        found == NULL)
        return 0;
    return ntohs((uint16_t)found->s_port);
}
