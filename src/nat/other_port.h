/*
 * other_port.h - a remote's other source port, for a target that could not tell two sessions apart
 */
#ifndef NAT_OTHER_PORT_H
#define NAT_OTHER_PORT_H

#include "nat_internal.h"

/*
 * `answer` is what an internal endpoint would send to the remote, and a session has this tuple
 * already. Gives its destination another port, of the same class (system ports up to 1023, or the
 * others) and, if possible, the same parity (RFC 4787 section 4.2), under which no session is
 * known. False when none of some random tries was free; then nothing has changed.
 */
bool other_port_choose(struct nat *nat, struct tuple *answer);

#endif
