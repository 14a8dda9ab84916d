/*
 * addresses.h - the addresses of the external interface, and changes of them (rtnetlink)
 */
#ifndef PORTREEVE_ADDRESSES_H
#define PORTREEVE_ADDRESSES_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

struct addresses;

/*
 * Opens a socket that receives changes of links and IPv4 addresses in the caller's network
 * namespace. Returns 0, or -errno and a sentence; -ENODEV if there is no such interface.
 */
int addresses_open(struct addresses **addresses, const char *interface, struct error *error);
void addresses_close(struct addresses *addresses); /* NULL is fine */

/* Poll it for reading, then call addresses_changed. */
int addresses_descriptor(const struct addresses *addresses);

/* Reads all waiting notifications. True if one was about the interface, or if some were lost. */
bool addresses_changed(struct addresses *addresses);

/*
 * Reads the interface's IPv4 addresses of global scope, in the kernel's order, at most `max`.
 * Returns how many were written, or -errno (-ENODEV if the interface no longer exists).
 * *interface_index is its ifindex.
 */
int addresses_read(struct addresses *addresses, struct address *out, size_t max,
                   uint32_t *interface_index, struct error *error);

/*
 * The interface's MTU in bytes, or 0 if it cannot be read. A change of the MTU counts as a change
 * of the addresses.
 */
uint32_t addresses_mtu(const struct addresses *addresses);

#endif
