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

static uint16_t sweep(struct port_space *space, const struct pool *pool, struct random *random)
{
    uint32_t start = random_below(random, 65536 / 64);

    for (uint32_t i = 0; i < 65536 / 64; i++) {
        uint32_t word = (start + i) % (65536 / 64);
        uint64_t open = pool->members[word] & ~space->taken[word];

        if (open != 0) {
            /* Any of them, not the lowest: rotate by a random amount first. */
            uint32_t shift = random_below(random, 64);
            uint64_t rotated = shift == 0 ? open : open >> shift | open << (64 - shift);
            uint32_t bit = ((uint32_t)__builtin_ctzll(rotated) + shift) % 64;

            return (uint16_t)(word * 64 + bit);
        }
    }
    return 0;
}

uint16_t ports_allocate(struct port_space *space, const struct pool *pool, struct random *random, uint64_t now)
{
    uint16_t port = 0;

    end_holds(space, now);
    if (pool->size == 0)
        return 0;
    for (int tries = 0; tries < RANDOM_TRIES && port == 0; tries++) {
        uint32_t candidate = pool->first + random_below(random, (uint32_t)(pool->last - pool->first) + 1);

        if ((pool->members[candidate / 64] >> (candidate % 64) & 1) != 0 && !is_taken(space, candidate))
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
