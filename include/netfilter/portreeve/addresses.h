/*
 * addresses.h - the addresses of the external interface, now and when they change (rtnetlink)
 */
#ifndef PORTREEVE_ADDRESSES_H
#define PORTREEVE_ADDRESSES_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

struct addresses;

/*
 * Opens a socket that is told of changes of links and IPv4 addresses in the caller's network
 * namespace. -ENODEV with a sentence when there is no such interface.
 */
int addresses_open(struct addresses **addresses, const char *interface, struct error *error);
void addresses_close(struct addresses *addresses); /* NULL is fine */

/* To poll for reading; then ask addresses_changed. */
int addresses_descriptor(const struct addresses *addresses);

/* Reads all waiting notifications; true when any was about the interface (or some were lost). */
bool addresses_changed(struct addresses *addresses);

/*
 * The interface's IPv4 addresses of global scope, in the kernel's order, at most `max`. Returns how
 * many are written or -errno (-ENODEV when the interface has gone). *interface_index is its
 * ifindex.
 */
int addresses_read(struct addresses *addresses, struct address *out, size_t max,
                   uint32_t *interface_index, struct error *error);

/*
 * The interface's MTU in bytes, or 0 when it cannot be told. A change of it counts as one of the
 * addresses.
 */
uint32_t addresses_mtu(const struct addresses *addresses);

#endif
