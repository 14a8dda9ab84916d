/*
 * ports.h - which external ports of one address and protocol are taken, and choosing a free one
 *
 * A port space knows all 65536 ports, whatever the pools are: a reload that changes pools forgets nothing. A port is
 * free, taken by one mapping, or held down (RFC 6888 REQ-8: a released port rests, so that late packets of its
 * last owner do not reach its next).
 *
 * The choice is random (RFC 6056 section 3.3.1): some tries anywhere in the pool, then, where the pool is nearly dry or full
 * of gaps, one of the free ports by its rank. All free ports are equally likely. A look over a dry pool reads at most
 * 1024 words, less than a microsecond.
 */
#ifndef PORTREEVE_PORTS_H
#define PORTREEVE_PORTS_H

#include "portreeve/hash.h"
#include "portreeve/policy.h"

#define PORTS_HOLD_MS 120000 /* unless said otherwise: RFC 6888 REQ-8 */

struct port_space {
    uint64_t taken[65536 / 64]; /* by a mapping or held down */
    uint64_t released[65536];   /* of a held-down port: when, in milliseconds */
    uint16_t held_next[65536];  /* held-down ports in the order of their release */
    uint16_t held_first, held_last;
    uint32_t held_count;
    uint32_t hold_ms; /* how long a released port rests; PORTS_HOLD_MS after ports_init */
};

void ports_init(struct port_space *space);

/* A free port of the pool, now taken; 0 when the pool has none. Port 0 is never in a pool. */
uint16_t ports_allocate(struct port_space *space, const struct pool *pool, struct random *random, uint64_t now);

/*
 * The same with wishes (RFC 4787 REQ-3a, REQ-4): a port of `internal_port`'s class (0-1023 or 1024-65535) and, if asked for, of
 * its parity. A wish that no free port fulfils is given up: parity first, then the class, and parity with it only if it must be.
 */
uint16_t ports_allocate_like(struct port_space *space, const struct pool *pool, uint16_t internal_port,
                             bool keep_parity, struct random *random, uint64_t now);

/* Takes one certain port; false when it is taken or held down. */
bool ports_take(struct port_space *space, uint16_t port);

/* Gives a taken port back, after the hold-down or at once. */
void ports_release(struct port_space *space, uint16_t port, bool hold, uint64_t now);

/* How many ports of the pool are taken or held down at `now`. */
uint32_t ports_used(struct port_space *space, const struct pool *pool, uint64_t now);

#endif
