/*
 * host_ports.h - the gateway's own ports: ports in use by its sockets, and ports reserved for pools
 * and forwards
 *
 * The host must not take its ephemeral ports (net.ipv4.ip_local_port_range) from pools or forwards:
 * an answer to the gateway's own connection would be taken for a packet to a mapping, or delivered
 * to a forward's target. So the daemon adds these ports to net.ipv4.ip_local_reserved_ports, and
 * does not use ports of the pool that a socket already has.
 */
#ifndef PORTREEVE_HOST_PORTS_H
#define PORTREEVE_HOST_PORTS_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

/* A socket with a local port. */
struct host_socket {
    uint8_t protocol;
    uint16_t port;
    bool is_connected;      /* to one remote endpoint; otherwise it takes packets of all remotes */
    bool takes_any_address; /* not bound to one address of the host */
    struct address address; /* the local address, if there is one */
    uint32_t user;          /* whose it is */
    uint32_t inode;         /* 0: a socket of the kernel itself (WireGuard, VXLAN) */
};

typedef void host_socket_each(void *context, const struct host_socket *socket);

/*
 * Calls `each` for every TCP socket (any state but time-wait) and UDP socket of the caller's
 * network namespace that has a port: IPv4 sockets, and IPv6 sockets that also receive IPv4. Sockets
 * that are bound to a loopback address are skipped: no packet from outside reaches them. Uses
 * NETLINK_SOCK_DIAG. Returns 0, or -errno and a sentence.
 */
int host_ports_in_use(host_socket_each *each, void *context, struct error *error);

/*
 * The name of a program that has the socket with this inode, printable. False if it is not known:
 * the processes of other users and of other PID namespaces need not be visible to us. Looks at the
 * descriptors of all processes, which takes milliseconds, so do not ask often.
 */
#define HOST_PROGRAM_MAX 64 /* with the final NUL */
bool host_ports_program(uint32_t inode, char name[HOST_PROGRAM_MAX]);

/*
 * host_ports_reserve adds the ranges to net.ipv4.ip_local_reserved_ports; what was there stays, but
 * for `former`, which an earlier call had added: it is taken out in the same write. *added receives
 * the ranges that no other program has reserved (at most `max`), for the next call and for
 * host_ports_release, which removes them again. Returns how many these are, or -errno and a
 * sentence.
 */
int host_ports_reserve(const struct port_range *former, size_t former_count,
                       const struct port_range *ranges, size_t count, struct port_range *added,
                       size_t max, struct error *error);
int host_ports_release(const struct port_range *added, size_t count, struct error *error);

/*
 * Where the kernel takes the ports of the host's own connections from
 * (net.ipv4.ip_local_port_range), and how many of them other programs have not reserved: without
 * us, and when we have reserved our ports.
 */
struct host_ports_room {
    struct port_range ephemeral;
    uint32_t without_us, with_us;
};

/*
 * What reserving `ranges` would leave, if `former` is what we have reserved so far. Changes
 * nothing. Returns 0, or -errno and a sentence.
 */
int host_ports_room(const struct port_range *former, size_t former_count,
                    const struct port_range *ranges, size_t count, struct host_ports_room *room,
                    struct error *error);

#endif
