/*
 * netlink.h - for all modules of this directory: open a netlink socket, send a request, read the
 * answer
 *
 * Internal to src/netfilter.
 */
#ifndef PORTREEVE_NETFILTER_NETLINK_H
#define PORTREEVE_NETFILTER_NETLINK_H

#include "portreeve/error.h"

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

/* Holds one datagram of a dump: the kernel sends up to 32 KiB if the buffer is that large. */
#define NETLINK_BUFFER 32768

/* Holds one request: the headers and a few short attributes. */
#define NETLINK_REQUEST 256

/*
 * How often a dump is requested if changes disturb it. After that the answer is used as it is:
 * where something changes all the time, every answer would be disturbed.
 */
#define NETLINK_DUMP_TRIES 5

/*
 * Opens and binds a close-on-exec socket of this netlink family that receives the multicast groups
 * in `groups` (the old bit mask: 1 << (RTNLGRP_x - 1)). Returns 0, or -errno and a sentence that
 * begins with `purpose`.
 */
int netlink_open(struct mnl_socket **socket, int family, unsigned int groups, const char *purpose,
                 struct error *error);

/*
 * Sends one request and passes the messages of the answer to `each`, until the last one
 * (NLMSG_DONE, or the acknowledgement). NULL for `each`: only an acknowledgement is expected.
 * Returns 0 or -errno: the kernel's errno, or -EINTR if a change has disturbed a dump and it must
 * be requested again.
 */
int netlink_ask(struct mnl_socket *socket, struct nlmsghdr *request, mnl_cb_t each, void *context);

/*
 * The attributes of a message of netfilter, or of a nest (NULL is fine), by their types:
 * `attributes` has NETLINK_ATTRIBUTES of them, NULL where there is none. Larger types are not
 * looked at. The first one returns false if the message is not of this type (subsystem << 8 |
 * message), or is damaged.
 */
#define NETLINK_ATTRIBUTES 32
bool netlink_read_message(const struct nlmsghdr *message, uint16_t type, uint8_t *family,
                          const struct nlattr **attributes);
void netlink_read_nested(const struct nlattr *nest, const struct nlattr **attributes);

/*
 * Sets the size of a socket buffer, beyond net.core.[rw]mem_max if we are permitted to, otherwise
 * up to that. `option` is SO_RCVBUF or SO_SNDBUF; the kernel doubles `bytes` for its own overhead.
 */
void netlink_size_buffer(const struct mnl_socket *socket, int option, size_t bytes);

#endif
