/*
 * own_sockets.c - the ports of the gateway's own sockets, as last looked at
 */
#include "own_sockets.h"

#include "portreeve/host_ports.h"

#include <string.h>

static void add(struct own_ports *ports, uint16_t port)
{
    ports->words[port / 64] |= UINT64_C(1) << (port % 64);
}

static void take_socket(void *context, const struct host_socket *socket)
{
    enum protocol_index protocol = protocol_index(socket->protocol);
    struct own_sockets *sockets = context;

    sockets->count++;
    add(&sockets->used[protocol], socket->port);
    if (!socket->is_connected && !socket->takes_any_address)
        add(&sockets->bound[protocol], socket->port);
}

int own_sockets_look(struct own_sockets *sockets, struct error *error)
{
    memset(sockets, 0, sizeof(*sockets));
    return host_ports_in_use(take_socket, sockets, error);
}

size_t own_ports_ranges(const struct own_ports *ports, struct port_range *ranges, size_t max)
{
    size_t count = 0;
    bool inside = false;

    for (uint32_t port = 0; port < OWN_PORTS; port++) {
        bool has = own_ports_has(ports, (uint16_t)port);

        if (has && !inside && count++ < max)
            ranges[count - 1].first = (uint16_t)port;
        if (has && count <= max)
            ranges[count - 1].last = (uint16_t)port;
        inside = has;
    }
    return count;
}
