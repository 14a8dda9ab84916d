/*
 * netlink.h - what the modules of this directory share: open a netlink socket, ask, read the answer
 *
 * Internal to src/netfilter.
 */
#ifndef PORTREEVE_NETFILTER_NETLINK_H
#define PORTREEVE_NETFILTER_NETLINK_H

#include "portreeve/error.h"

#include <libmnl/libmnl.h>

/* Holds one datagram of a dump: the kernel fills up to 32 KiB when it is offered that much. */
#define NETLINK_BUFFER 32768

/* Holds one request: the headers and a few short attributes. */
#define NETLINK_REQUEST 256

/*
 * How often a dump that a change has disturbed is requested again. After that the answer is taken
 * as it is: where something changes all the time, no answer would be undisturbed.
 */
#define NETLINK_DUMP_TRIES 5

/*
 * Opens and binds a close-on-exec socket of this netlink family, told of the multicast groups in
 * `groups` (the old bit mask: 1 << (RTNLGRP_x - 1)). Returns 0, or -errno and a sentence that
 * begins with `purpose`.
 */
int netlink_open(struct mnl_socket **socket, int family, unsigned int groups, const char *purpose,
                 struct error *error);

/*
 * Sends one request and hands the answer's messages to `each` until the last one (NLMSG_DONE, or
 * the acknowledgement). NULL for `each`: nothing but an acknowledgement is expected. Returns 0 or
 * -errno: the kernel's errno, -EINTR when a dump was disturbed by a change and has to be asked for
 * again.
 */
int netlink_ask(struct mnl_socket *socket, struct nlmsghdr *request, mnl_cb_t each, void *context);

/*
 * Sizes a socket buffer past net.core.[rw]mem_max where we may, up to it where we may not. `option`
 * is SO_RCVBUF or SO_SNDBUF; the kernel doubles `bytes` for its own overhead.
 */
void netlink_size_buffer(const struct mnl_socket *socket, int option, size_t bytes);

#endif
