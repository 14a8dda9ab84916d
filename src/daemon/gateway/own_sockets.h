/*
 * own_sockets.h - the ports of the gateway's own sockets, as last looked at
 */
#ifndef PORTREEVE_OWN_SOCKETS_H
#define PORTREEVE_OWN_SOCKETS_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

#define OWN_PORTS 65536 /* port 0 included */

struct own_ports {
    uint64_t words[OWN_PORTS / 64]; /* bit p: port p */
};

/* By enum protocol_index. A socket that takes packets of one remote only is connected. */
struct own_sockets {
    size_t count;
    struct own_ports used[PROTOCOL_PORTS_COUNT];  /* of any socket */
    struct own_ports bound[PROTOCOL_PORTS_COUNT]; /* not connected, with one local address */
};

/* Looks at all sockets of this network namespace. Returns 0, or -errno and a sentence. */
int own_sockets_look(struct own_sockets *sockets, struct error *error);

static inline bool own_ports_has(const struct own_ports *ports, uint16_t port)
{
    return ports->words[port / 64] >> (port % 64) & 1;
}

/* The ports as sorted ranges, at most `max`. Returns how many there are. */
size_t own_ports_ranges(const struct own_ports *ports, struct port_range *ranges, size_t max);

#endif
