/*
 * hash.h - SipHash-1-3 with a secret key, for every index and every random choice of the core
 *
 * Remote parties choose what is hashed, so an unkeyed hash would let them fill one bucket. SipHash
 * is Aumasson and Bernstein's (2012); one compression and three finalization rounds are what hash
 * tables need.
 */
#ifndef PORTREEVE_HASH_H
#define PORTREEVE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t words[2];
};

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t length);

/*
 * A stream of numbers that no one can guess without the key (RFC 6056 section 3.3): SipHash of a
 * counter.
 */
struct random {
    struct hash_key key;
    uint64_t counter;
};

/* Uniform in [0, bound); bound > 0. */
uint32_t random_below(struct random *random, uint32_t bound);

#endif
