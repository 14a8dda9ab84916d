/*
 * own_sockets.c - the ports of the gateway's own sockets, as last looked at
 */
#include "own_sockets.h"

#include "portreeve/privileged.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct own_sockets *sockets)
{
    size_t wanted = sockets->open_capacity > 0 ? sockets->open_capacity * 2 : 64;
    struct host_socket *grown;

    if (sockets->open_count < sockets->open_capacity)
        return true;
    grown = realloc(sockets->open, wanted * sizeof(*grown));
    if (grown == NULL)
        return false;
    sockets->open = grown;
    sockets->open_capacity = wanted;
    return true;
}

/* Without memory, the ports are noted all the same. */
static void take_socket(void *context, const struct host_socket *socket)
{
    enum protocol_index protocol = protocol_index(socket->protocol);
    struct own_sockets *sockets = context;

    sockets->count++;
    own_ports_add(&sockets->used[protocol], socket->port);
    if (socket->is_connected)
        return;
    if (!socket->takes_any_address)
        own_ports_add(&sockets->bound[protocol], socket->port);
    if (make_room(sockets))
        sockets->open[sockets->open_count++] = *socket;
}

int own_sockets_look(struct own_sockets *sockets, struct error *error)
{
    sockets->count = sockets->open_count = 0;
    memset(sockets->used, 0, sizeof(sockets->used));
    memset(sockets->bound, 0, sizeof(sockets->bound));
    return host_ports_in_use(take_socket, sockets, error);
}

void own_sockets_free(struct own_sockets *sockets)
{
    free(sockets->open);
    *sockets = (struct own_sockets){0};
}

/*
 * The sockets whose programs have been looked for last, because the same few are described again
 * and again. An unknown name is kept, too: empty.
 */
static const char *program_of(const struct host_socket *socket)
{
    static struct {
        uint32_t inode;
        char name[HOST_PROGRAM_MAX];
    } known[32];
    static size_t next;
    const size_t size = sizeof(known) / sizeof(known[0]);

    for (size_t i = 0; i < size; i++) {
        if (known[i].inode == socket->inode)
            return known[i].name;
    }
    next = (next + 1) % size;
    known[next].inode = socket->inode;
    if (!privileged_program(socket->inode, known[next].name))
        known[next].name[0] = '\0';
    return known[next].name;
}

char *own_socket_describe(const struct host_socket *socket, char buffer[OWN_SOCKET_TEXT_MAX])
{
    if (socket->inode == 0)
        snprintf(buffer, OWN_SOCKET_TEXT_MAX, "the kernel itself (WireGuard, a tunnel)");
    else if (*program_of(socket) != '\0')
        snprintf(buffer, OWN_SOCKET_TEXT_MAX, "%s (user %u)", program_of(socket), socket->user);
    else
        snprintf(buffer, OWN_SOCKET_TEXT_MAX, "a program of user %u", socket->user);
    return buffer;
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
