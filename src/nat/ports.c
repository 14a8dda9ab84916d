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
    /* What is said of a port that is not held is never read, and there are 640 KB of it. */
    memset(space->taken, 0, sizeof(space->taken));
    space->held_count = 0;
    space->hold_ms = PORTS_HOLD_MS;
}

/* Ports are held down in the order of their release and all for the same time, so the first is due first. */
static void end_holds(struct port_space *space, uint64_t now)
{
    while (space->held_count > 0 && space->released[space->held_first] + space->hold_ms <= now) {
        set_free(space, space->held_first);
        space->held_first = space->held_next[space->held_first];
        space->held_count--;
    }
}

/* Which ports of a pool are wanted. */
struct wish {
    uint16_t first, last;
    uint64_t parity; /* a mask for the words of the bit maps */
};

#define ANY_PARITY  UINT64_MAX
#define EVEN_PARITY UINT64_C(0x5555555555555555)

static bool is_wanted(const struct port_space *space, const struct pool *pool, const struct wish *wish, uint32_t port)
{
    return pool_contains(pool, (uint16_t)port) && !is_taken(space, port) && (wish->parity >> (port % 64) & 1) != 0;
}

/* The ports of one word that are free and wanted. */
static uint64_t open_ports(const struct port_space *space, const struct pool *pool, const struct wish *wish,
                           uint32_t word)
{
    uint64_t open = pool->members[word] & ~space->taken[word] & wish->parity;

    if (word == wish->first / 64)
        open &= UINT64_MAX << (wish->first % 64);
    if (word == wish->last / 64)
        open &= UINT64_MAX >> (63 - wish->last % 64);
    return open;
}

/* The port of this rank among those that are free and wanted, counted from the lowest. */
static uint16_t port_of_rank(const struct port_space *space, const struct pool *pool, const struct wish *wish,
                             uint32_t rank)
{
    for (uint32_t word = wish->first / 64; word <= wish->last / 64u; word++) {
        uint64_t open = open_ports(space, pool, wish, word);
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

/* Any of the ports that are free and wanted, each as likely as the others, however the pool is made. */
static uint16_t sweep(const struct port_space *space, const struct pool *pool, const struct wish *wish,
                      struct random *random)
{
    uint32_t count = 0;

    for (uint32_t word = wish->first / 64; word <= wish->last / 64u; word++)
        count += (uint32_t)__builtin_popcountll(open_ports(space, pool, wish, word));
    return count == 0 ? 0 : port_of_rank(space, pool, wish, random_below(random, count));
}

/* A free port that fulfils the wish; 0 when there is none. */
static uint16_t choose(struct port_space *space, const struct pool *pool, const struct wish *wish,
                       struct random *random)
{
    if (pool->size == 0 || wish->first > wish->last)
        return 0;
    for (int tries = 0; tries < RANDOM_TRIES; tries++) {
        uint32_t port = wish->first + random_below(random, (uint32_t)(wish->last - wish->first) + 1);

        if (is_wanted(space, pool, wish, port))
            return (uint16_t)port;
    }
    return sweep(space, pool, wish, random);
}

static uint16_t take(struct port_space *space, uint16_t port)
{
    if (port != 0)
        set_taken(space, port);
    return port;
}

uint16_t ports_allocate(struct port_space *space, const struct pool *pool, struct random *random, uint64_t now)
{
    const struct wish any = {pool->first, pool->last, ANY_PARITY};

    end_holds(space, now);
    return take(space, choose(space, pool, &any, random));
}

/* One of the wanted ports, of this parity if there is one. */
static uint16_t prefer(struct port_space *space, const struct pool *pool, struct wish wish, uint64_t parity,
                       struct random *random)
{
    const struct wish strict = {wish.first, wish.last, parity};
    uint16_t port = choose(space, pool, &strict, random);

    return port == 0 && parity != wish.parity ? choose(space, pool, &wish, random) : port;
}

uint16_t ports_allocate_like(struct port_space *space, const struct pool *pool, uint16_t internal_port,
                             bool keep_parity, struct random *random, uint64_t now)
{
    const uint16_t system_last = 1023; /* RFC 6335 section 6 */
    const struct wish any = {pool->first, pool->last, ANY_PARITY};
    uint64_t parity = !keep_parity ? ANY_PARITY : internal_port % 2 == 0 ? EVEN_PARITY : ~EVEN_PARITY;
    struct wish same_class = any;
    uint16_t port;

    end_holds(space, now);
    if (internal_port <= system_last && any.last > system_last)
        same_class.last = system_last;
    else if (internal_port > system_last && any.first <= system_last)
        same_class.first = system_last + 1;
    port = prefer(space, pool, same_class, parity, random);
    if (port == 0 && (same_class.first != any.first || same_class.last != any.last))
        port = prefer(space, pool, any, parity, random);
    return take(space, port);
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
