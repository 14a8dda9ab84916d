/*
 * grace.c - external addresses that have gone a moment ago, and may come back
 */
#include "grace.h"

static bool contains(const struct address *addresses, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&addresses[i], address))
            return true;
    }
    return false;
}

void grace_end(struct grace *grace, size_t index)
{
    grace->count--;
    for (size_t i = index; i < grace->count; i++) {
        grace->address[i] = grace->address[i + 1];
        grace->end[i] = grace->end[i + 1];
    }
}

static bool has_a_new_one(const struct grace *grace, const struct grace_change *change)
{
    for (size_t i = 0; i < change->chosen_count; i++) {
        if (!contains(change->before, change->before_count, &change->chosen[i]) &&
            !contains(grace->address, grace->count, &change->chosen[i]))
            return true;
    }
    return false;
}

void grace_follow(struct grace *grace, const struct grace_change *change, uint32_t hold_ms,
                  uint64_t now)
{
    bool makes_way;

    if (has_a_new_one(grace, change)) {
        grace->count = 0;
        grace->new_until = change->before_count > 0 ? now + hold_ms : 0; /* not at the start */
        return;
    }
    makes_way = now < grace->new_until && change->chosen_count > 0;
    for (size_t i = grace->count; i-- > 0;) {
        if (grace->end[i] <= now ||
            contains(change->present, change->present_count, &grace->address[i]))
            grace_end(grace, i);
    }
    for (size_t i = 0; i < change->before_count; i++) {
        if (makes_way || contains(change->present, change->present_count, &change->before[i]) ||
            grace->count == EXTERNAL_ADDRESSES_MAX)
            continue;
        grace->address[grace->count] = change->before[i];
        grace->end[grace->count++] = now + hold_ms;
    }
}

bool grace_is_due(const struct grace *grace, uint64_t now)
{
    for (size_t i = 0; i < grace->count; i++) {
        if (grace->end[i] <= now)
            return true;
    }
    return false;
}
