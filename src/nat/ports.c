/*
 * ports.c - which external ports are taken, which rest, and choosing one
 */
#include "ports.h"

#include <string.h>

#define RANDOM_TRIES 16

static bool is_taken(const struct port_space *space, uint32_t port)
{
    return space->taken[port / 64] >> (port % 64) & 1;
}

static void set_taken(struct port_space *space, uint32_t port)
{
    space->taken[port / 64] |= UINT64_C(1) << (port % 64);
    space->use[port] = HOLDER_SHARED;
    space->taken_count++;
}

static void set_free(struct port_space *space, uint32_t port)
{
    space->taken[port / 64] &= ~(UINT64_C(1) << (port % 64));
    space->taken_count--;
}

void ports_init(struct port_space *space)
{
    memset(space, 0, sizeof(*space));
    space->hold_ms = PORTS_HOLD_MS;
}

/*
 * A gap between two releases, in 16 bits: exact below 2^15 milliseconds, above that eleven bits,
 * the first of which is always set, and how far they are shifted. Rounded up; the longest hold-down
 * fits (LONGEST_TIMEOUT).
 */
#define GAP_COARSE UINT32_C(0x8000)

static uint32_t gap_expand(uint32_t gap)
{
    return gap < GAP_COARSE ? gap : (1024 + (gap & 1023)) << (5 + (gap >> 10 & 31));
}

static uint32_t gap_of(uint64_t milliseconds)
{
    uint32_t shift = 5;

    if (milliseconds < GAP_COARSE)
        return (uint32_t)milliseconds;
    while ((milliseconds + (UINT64_C(1) << shift) - 1) >> shift >= 2048)
        shift++;
    milliseconds = (milliseconds + (UINT64_C(1) << shift) - 1) >> shift;
    return GAP_COARSE | (shift - 5) << 10 | ((uint32_t)milliseconds - 1024);
}

/* Ports rest in the order of their release and all for the same time, so the first is due first. */
static void end_rests(struct port_space *space, uint64_t now)
{
    while (space->rest_count > 0 && space->first_released + space->hold_ms <= now) {
        uint16_t port = space->rest_first;

        space->rest_first = (uint16_t)space->use[port];
        space->resting[port / 64] &= ~(UINT64_C(1) << (port % 64));
        set_free(space, port);
        if (--space->rest_count > 0)
            space->first_released += gap_expand(space->use[space->rest_first] >> 16);
    }
}

static void begin_rest(struct port_space *space, uint16_t port, uint64_t now)
{
    uint32_t gap = 0;

    end_rests(space, now); /* no gap is longer than a rest */
    if (space->rest_count == 0) {
        space->rest_first = port;
        space->first_released = space->last_released = now;
    } else {
        gap = now > space->last_released ? gap_of(now - space->last_released) : 0;
        space->last_released += gap_expand(gap);
        space->use[space->rest_last] = (space->use[space->rest_last] & 0xffff0000) | port;
    }
    space->use[port] = gap << 16;
    space->resting[port / 64] |= UINT64_C(1) << (port % 64);
    space->rest_last = port;
    space->rest_count++;
}

/* Which ports of a pool are wanted. */
struct wish {
    uint16_t first, last;
    uint64_t parity; /* a mask for the words of the bit maps */
};

#define ANY_PARITY  UINT64_MAX
#define EVEN_PARITY UINT64_C(0x5555555555555555)

static bool is_wanted(const struct port_space *space, const struct pool *pool,
                      const struct wish *wish, uint32_t port)
{
    return pool_contains(pool, (uint16_t)port) && !is_taken(space, port) &&
           (wish->parity >> (port % 64) & 1) != 0;
}

/* The ports of one word that are free and wanted. */
static uint64_t open_ports(const struct port_space *space, const struct pool *pool,
                           const struct wish *wish, uint32_t word)
{
    uint64_t open = pool->members[word] & ~space->taken[word] & wish->parity;

    if (word == wish->first / 64)
        open &= UINT64_MAX << (wish->first % 64);
    if (word == wish->last / 64)
        open &= UINT64_MAX >> (63 - wish->last % 64);
    return open;
}

/* The port of this rank among those that are free and wanted, counted from the lowest. */
static uint16_t port_of_rank(const struct port_space *space, const struct pool *pool,
                             const struct wish *wish, uint32_t rank)
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

/*
 * Any of the ports that are free and wanted, each as likely as the others, however the pool is
 * made.
 */
static uint16_t sweep(const struct port_space *space, const struct pool *pool,
                      const struct wish *wish, struct random *random)
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
        uint32_t port =
            wish->first + random_below(random, (uint32_t)(wish->last - wish->first) + 1);

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

uint16_t ports_allocate(struct port_space *space, const struct pool *pool, struct random *random,
                        uint64_t now)
{
    const struct wish any = {pool->first, pool->last, ANY_PARITY};

    end_rests(space, now);
    return take(space, choose(space, pool, &any, random));
}

/* One of the wanted ports, of this parity if there is one. */
static uint16_t prefer(struct port_space *space, const struct pool *pool, struct wish wish,
                       uint64_t parity, struct random *random)
{
    const struct wish strict = {wish.first, wish.last, parity};
    uint16_t port = choose(space, pool, &strict, random);

    return port == 0 && parity != wish.parity ? choose(space, pool, &wish, random) : port;
}

uint16_t ports_allocate_like(struct port_space *space, const struct pool *pool,
                             uint16_t internal_port, bool keep_parity, struct random *random,
                             uint64_t now)
{
    const uint16_t system_last = 1023; /* RFC 6335 section 6 */
    const struct wish any = {pool->first, pool->last, ANY_PARITY};
    uint64_t parity = !keep_parity             ? ANY_PARITY
                      : internal_port % 2 == 0 ? EVEN_PARITY
                                               : ~EVEN_PARITY;
    struct wish same_class = any;
    uint16_t port;

    end_rests(space, now);
    if (internal_port <= system_last && any.last > system_last)
        same_class.last = system_last;
    else if (internal_port > system_last && any.first <= system_last)
        same_class.first = system_last + 1;
    port = prefer(space, pool, same_class, parity, random);
    if (port == 0 && (same_class.first != any.first || same_class.last != any.last))
        port = prefer(space, pool, any, parity, random);
    return take(space, port);
}

bool ports_is_taken(struct port_space *space, uint16_t port, uint64_t now)
{
    end_rests(space, now);
    return is_taken(space, port);
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
    if (hold)
        begin_rest(space, port, now);
    else
        set_free(space, port);
}

uint32_t ports_holder(const struct port_space *space, uint16_t port)
{
    bool is_held = is_taken(space, port) && !(space->resting[port / 64] >> (port % 64) & 1);

    return is_held ? space->use[port] : INDEX_NONE;
}

void ports_set_holder(struct port_space *space, uint16_t port, uint32_t holder)
{
    space->use[port] = holder;
}

bool ports_has_free(struct port_space *space, const struct pool *pool, uint32_t wanted,
                    uint64_t now)
{
    end_rests(space, now);
    if (wanted > pool->size)
        return false;
    return space->taken_count <= pool->size - wanted ||
           ports_used(space, pool, now) <= pool->size - wanted;
}

uint32_t ports_used(struct port_space *space, const struct pool *pool, uint64_t now)
{
    uint32_t used = 0;

    end_rests(space, now);
    for (uint32_t word = pool->first / 64; word <= pool->last / 64u; word++)
        used += (uint32_t)__builtin_popcountll(pool->members[word] & space->taken[word]);
    return used;
}
