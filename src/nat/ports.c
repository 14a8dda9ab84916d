#include "portreeve/ports.h"

#include <string.h>

#define RANDOM_TRIES 16

static bool is_taken(const struct port_space *space, uint32_t port)
{
    return space->taken[port / 64] >> (port % 64) & 1;
}

static void set_taken(struct port_space *space, uint32_t port)
{
    space->taken[port / 64] |= UINT64_C(1) << (port % 64);
}

static void set_free(struct port_space *space, uint32_t port)
{
    space->taken[port / 64] &= ~(UINT64_C(1) << (port % 64));
}

void ports_init(struct port_space *space)
{
    memset(space, 0, sizeof(*space));
}

/* Ports are held down in the order of their release and all for the same time, so the first is due first. */
static void end_holds(struct port_space *space, uint64_t now)
{
    while (space->held_count > 0 && space->released[space->held_first] + PORTS_HOLD_MS <= now) {
        set_free(space, space->held_first);
        space->held_first = space->held_next[space->held_first];
        space->held_count--;
    }
}

/* The free port of this rank among the pool's free ones, counted from the lowest. */
static uint16_t free_port(const struct port_space *space, const struct pool *pool, uint32_t rank)
{
    for (uint32_t word = pool->first / 64; word <= pool->last / 64u; word++) {
        uint64_t open = pool->members[word] & ~space->taken[word];
        uint32_t count = (uint32_t)__builtin_popcountll(open);

        if (rank < count) {
            for (; rank > 0; rank--)
                open &= open - 1;
            return (uint16_t)(word * 64 + (uint32_t)__builtin_ctzll(open));
        }
        rank -= count;
    }
    return 0;
}

/* Any of the free ports, each as likely as the others, however the pool is made. */
static uint16_t sweep(const struct port_space *space, const struct pool *pool, struct random *random)
{
    uint32_t count = 0;

    for (uint32_t word = pool->first / 64; word <= pool->last / 64u; word++)
        count += (uint32_t)__builtin_popcountll(pool->members[word] & ~space->taken[word]);
    return count == 0 ? 0 : free_port(space, pool, random_below(random, count));
}

uint16_t ports_allocate(struct port_space *space, const struct pool *pool, struct random *random, uint64_t now)
{
    uint16_t port = 0;

    end_holds(space, now);
    if (pool->size == 0)
        return 0;
    for (int tries = 0; tries < RANDOM_TRIES && port == 0; tries++) {
        uint32_t candidate = pool->first + random_below(random, (uint32_t)(pool->last - pool->first) + 1);

        if (pool_contains(pool, (uint16_t)candidate) && !is_taken(space, candidate))
            port = (uint16_t)candidate;
    }
    if (port == 0)
        port = sweep(space, pool, random);
    if (port != 0)
        set_taken(space, port);
    return port;
}

bool ports_take(struct port_space *space, uint16_t port)
{
    if (is_taken(space, port))
        return false;
    set_taken(space, port);
    return true;
}

void ports_release(struct port_space *space, uint16_t port, bool hold, uint64_t now)
{
    if (!hold) {
        set_free(space, port);
        return;
    }
    space->released[port] = now;
    if (space->held_count == 0)
        space->held_first = port;
    else
        space->held_next[space->held_last] = port;
    space->held_last = port;
    space->held_count++;
}

uint32_t ports_used(struct port_space *space, const struct pool *pool, uint64_t now)
{
    uint32_t used = 0;

    end_holds(space, now);
    for (uint32_t word = 0; word < 65536 / 64; word++)
        used += (uint32_t)__builtin_popcountll(pool->members[word] & space->taken[word]);
    return used;
}
