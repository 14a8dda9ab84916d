/*
 * probe.h - an attempt to reach a service, from this host
 */
#ifndef PORTREEVE_CTL_PROBE_H
#define PORTREEVE_CTL_PROBE_H

#include "portreeve/endpoint.h"

/*
 * TCP: connects, and closes at once. UDP: sends an empty datagram, and waits for any answer. The
 * word for what became of it: "answered", "refused", "silent" or "unreachable"; NULL if this host
 * could not even try. Takes three seconds at most.
 */
const char *probe(bool is_tcp, const struct endpoint *target);

#endif
