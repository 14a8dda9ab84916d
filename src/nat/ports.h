/*
 * ports.h - which external ports of one address and protocol are taken, and choosing a free one
 *
 * A port space knows all 65536 ports, independent of the pools, so a reload that changes pools
 * loses nothing. A port is free, taken by one mapping, or held down (RFC 6888 REQ-8: a released
 * port rests, so that late packets of its last owner do not reach its next).
 *
 * Each port has four bytes: its holder, or, while it rests, when it was released and which port was
 * released next. The time is stored as the gap to the port released before it: exact up to half a
 * minute, rounded up by less than a thousandth beyond that. The rounding is taken off the next gap,
 * so a port never rests less than it should, nor a thousandth longer.
 *
 * The choice is random (RFC 6056 section 3.3.1): some tries anywhere in the pool, then, if the pool
 * is nearly dry or has many gaps, one of the free ports by its rank. All free ports are equally
 * likely. Searching a dry pool reads at most 1024 words, which takes less than a microsecond.
 */
#ifndef PORTREEVE_PORTS_H
#define PORTREEVE_PORTS_H

#include "hash.h"
#include "portreeve/policy.h"
#include "wheel.h"

#define PORTS_HOLD_MS 120000 /* unless said otherwise: RFC 6888 REQ-8 */

struct port_space {
    uint64_t taken[65536 / 64];   /* by a mapping or resting */
    uint64_t resting[65536 / 64]; /* of those: released */
    uint32_t use[65536];          /* of a taken port: its holder; of a resting one: gap and next */
    uint32_t taken_count;
    uint16_t rest_first, rest_last; /* resting ports in the order of their release */
    uint32_t rest_count;
    uint64_t first_released, last_released; /* milliseconds */
    uint32_t hold_ms; /* how long a released port rests; PORTS_HOLD_MS after ports_init */
};

/*
 * The holder of a taken port: the index of the mapping that owns it, or HOLDER_SHARED + the number
 * of mappings that only share it (0 just after it was taken).
 */
#define HOLDER_SHARED UINT32_C(0x80000000)

void ports_init(struct port_space *space);

/* A free port of the pool, now taken; 0 when the pool has none. Port 0 is never in a pool. */
uint16_t ports_allocate(struct port_space *space, const struct pool *pool, struct random *random,
                        uint64_t now);

/*
 * The same with preferences (RFC 4787 REQ-3a, REQ-4): a port of the class of `internal_port`
 * (0-1023 or 1024-65535) and, if asked for, of its parity. When no free port has both, parity is
 * given up first, then the class (with the parity if possible).
 */
uint16_t ports_allocate_like(struct port_space *space, const struct pool *pool,
                             uint16_t internal_port, bool keep_parity, struct random *random,
                             uint64_t now);

/* True when the port is taken or held down at `now`. */
bool ports_is_taken(struct port_space *space, uint16_t port, uint64_t now);

/* Takes this port; false when it is taken or held down. */
bool ports_take(struct port_space *space, uint16_t port);

/*
 * The holder of a port that is taken and does not rest: a mapping's index, or HOLDER_SHARED + how
 * many. Others: INDEX_NONE.
 */
uint32_t ports_holder(const struct port_space *space, uint16_t port);
void ports_set_holder(struct port_space *space, uint16_t port, uint32_t holder);

/* Gives a taken port back, after the hold-down or at once. */
void ports_release(struct port_space *space, uint16_t port, bool hold, uint64_t now);

/*
 * True when at least `wanted` ports of the pool are neither taken nor held down at `now`. As a rule
 * this takes no time: the ports are counted only when those that are taken could all be of this
 * pool, and then too few would be left.
 */
bool ports_has_free(struct port_space *space, const struct pool *pool, uint32_t wanted,
                    uint64_t now);

/* How many ports of the pool are taken or held down at `now`. */
uint32_t ports_used(struct port_space *space, const struct pool *pool, uint64_t now);

#endif
