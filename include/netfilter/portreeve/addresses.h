/*
 * addresses.h - the addresses of interfaces, and changes of them (rtnetlink)
 */
#ifndef PORTREEVE_ADDRESSES_H
#define PORTREEVE_ADDRESSES_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"
#include "portreeve/interface.h"

#include <stddef.h>

#define ADDRESSES_INTERFACES_MAX 16

struct addresses;

/*
 * Opens a socket that receives changes of links and IPv4 addresses in the caller's network
 * namespace. `names` are the names of the interfaces, or alternative names; they need not exist
 * yet. At most ADDRESSES_INTERFACES_MAX. Returns 0, or -errno and a sentence.
 */
int addresses_open(struct addresses **addresses, const char *const *names, size_t count,
                   struct error *error);
void addresses_close(struct addresses *addresses); /* NULL is fine */

/* Poll it for reading, then call addresses_changed. */
int addresses_descriptor(const struct addresses *addresses);

/*
 * Reads all waiting notifications. True if one may be about our interfaces, or if some were lost.
 * While an interface is not known by its name, every new link may be it.
 */
bool addresses_changed(struct addresses *addresses);

/*
 * Reads interface `which` of `names`, and its IPv4 addresses of global scope, in the kernel's
 * order, at most `max`. An interface that was found under its name and is called otherwise now is
 * followed, until it is removed or another interface has the name. Returns how many addresses were
 * written, or -errno and a sentence; -ENODEV if there is no such interface (*interface is then all
 * zeros).
 */
int addresses_read(struct addresses *addresses, size_t which, struct interface *interface,
                   struct address *out, size_t max, struct error *error);

#endif
