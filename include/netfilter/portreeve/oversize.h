/*
 * oversize.h - datagrams that are longer than a queue carries, rewritten by the kernel itself
 *
 * A queue carries 65531 bytes of a packet, and a reassembled UDP datagram may have 65535. What is
 * missing cannot be sent back. So the daemon decides about such a packet by its header, puts one
 * element into a map (oversize_in, oversize_out), and lets the packet pass the rules once more
 * (NF_REPEAT): there the element rewrites it. Then the element goes again, so that later packets
 * are decided about and counted as well. (Those that come before it has gone are rewritten alike,
 * and are not counted.) An element that stays because the table was in use times out after a
 * second.
 */
#ifndef PORTREEVE_OVERSIZE_H
#define PORTREEVE_OVERSIZE_H

#include "portreeve/packet.h"

struct ruleset;

/*
 * For the packets of a batch whose verdict is VERDICT_REPEAT, if there are any: adds their elements
 * before queue_reply, and removes them after it. The ruleset is installed. Any thread may call
 * them. Both return 0 or -errno; -EAGAIN: the table has been in use for 50 milliseconds; packets
 * that pass the rules again nevertheless come back to the queue.
 */
int oversize_add(const struct ruleset *ruleset, const struct packet *packets, size_t count);
int oversize_remove(const struct ruleset *ruleset, const struct packet *packets, size_t count);

#endif
