/*
 * policy_seen.c - which names and ports forwards of a policy may have: a quick "certainly none"
 */
#include "policy_seen.h"

/* Two bits for each name, from FNV-1a; who chooses the names may write the configuration as well.
 */
struct name_bits {
    uint32_t bit[2];
};

static struct name_bits bits_of(const char *name)
{
    uint64_t hash = 14695981039346656037u;

    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 1099511628211u;
    hash ^= hash >> 29;
    return (struct name_bits){
        {(uint32_t)hash % POLICY_SEEN_NAMES, (uint32_t)(hash >> 32) % POLICY_SEEN_NAMES}};
}

/* The bits of this word, the `word`th, that are in the range. */
static uint64_t bits_in(const struct port_range *range, uint32_t word)
{
    uint32_t first = word * 64, last = first + 63;
    uint64_t bits = UINT64_MAX;

    if (range->first > first)
        bits &= UINT64_MAX << (range->first - first);
    if (range->last < last)
        bits &= UINT64_MAX >> (last - range->last);
    return bits;
}

void policy_seen_add(struct policy_seen *seen, const struct forward *forward)
{
    const struct port_range *range = &forward->listen;
    struct name_bits name = bits_of(forward->name);

    for (size_t i = 0; i < 2; i++)
        seen->names[name.bit[i] / 64] |= UINT64_C(1) << name.bit[i] % 64;
    for (size_t i = 0; i < PROTOCOL_PORTS_COUNT; i++) {
        if ((forward->protocols & 1u << i) == 0)
            continue;
        for (uint32_t word = range->first / 64; word <= range->last / 64u; word++)
            seen->ports[i][word] |= bits_in(range, word);
    }
}

bool policy_seen_name(const struct policy_seen *seen, const char *name)
{
    struct name_bits bits = bits_of(name);
    bool first = (seen->names[bits.bit[0] / 64] >> bits.bit[0] % 64 & 1) != 0,
         second = (seen->names[bits.bit[1] / 64] >> bits.bit[1] % 64 & 1) != 0;

    return first && second;
}

bool policy_seen_ports(const struct policy_seen *seen, const struct forward *forward)
{
    const struct port_range *range = &forward->listen;
    uint64_t found = 0;

    for (size_t i = 0; i < PROTOCOL_PORTS_COUNT; i++) {
        if ((forward->protocols & 1u << i) == 0)
            continue;
        for (uint32_t word = range->first / 64u; word <= range->last / 64u; word++)
            found |= seen->ports[i][word] & bits_in(range, word);
    }
    return found != 0;
}
