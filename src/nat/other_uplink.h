/*
 * other_uplink.h - interfaces that lead outside and are not external
 */
#ifndef NAT_OTHER_UPLINK_H
#define NAT_OTHER_UPLINK_H

#include "nat_internal.h"

/*
 * The uplink that the packet would leave by with a source that must not be seen there; NULL: it may
 * leave. Of a packet at the outbound hook without an external source.
 */
struct other_uplink *other_uplink_of(struct nat *nat, const struct packet *packet,
                                     const struct address *source,
                                     const struct address *destination);

#endif
