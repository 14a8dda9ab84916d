/*
 * own_sockets.h - the ports of the gateway's own sockets, as last looked at
 */
#ifndef PORTREEVE_OWN_SOCKETS_H
#define PORTREEVE_OWN_SOCKETS_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"
#include "portreeve/host_ports.h"

#define OWN_PORTS 65536 /* port 0 included */

struct own_ports {
    uint64_t words[OWN_PORTS / 64]; /* bit p: port p */
};

/* A socket that takes packets of one remote only is connected; any other is open. */
struct own_sockets {
    size_t count;
    struct own_ports used[PROTOCOL_PORTS_COUNT];  /* of any socket; by enum protocol_index */
    struct own_ports bound[PROTOCOL_PORTS_COUNT]; /* open, with one local address */
    struct host_socket *open;
    size_t open_count, open_capacity;
};

/*
 * Looks at all sockets of this network namespace. Returns 0, or -errno and a sentence. With 10,000
 * sockets a look takes about 30 ms, nearly all of it in the kernel.
 */
int own_sockets_look(struct own_sockets *sockets, struct error *error);
void own_sockets_free(struct own_sockets *sockets);

/*
 * "sshd (user 0)", "a program of user 0" if its name is not known, or what the kernel's own sockets
 * are. `buffer` is returned. Main thread only.
 */
#define OWN_SOCKET_TEXT_MAX 96
char *own_socket_describe(const struct host_socket *socket, char buffer[OWN_SOCKET_TEXT_MAX]);

static inline bool own_ports_has(const struct own_ports *ports, uint16_t port)
{
    return ports->words[port / 64] >> (port % 64) & 1;
}

static inline void own_ports_add(struct own_ports *ports, uint16_t port)
{
    ports->words[port / 64] |= UINT64_C(1) << (port % 64);
}

/* The ports as sorted ranges, at most `max`. Returns how many there are. */
size_t own_ports_ranges(const struct own_ports *ports, struct port_range *ranges, size_t max);

#endif
