/*
 * carry.c - sessions that an earlier run left, carried into a table of another size
 */
#include "nat_internal.h"
#include "portreeve/nat.h"

/*
 * Sessions that a full table would evict come last, in the opposite order of eviction, and what is
 * damaged after all others: nat_adopt counts it, and it takes no room from them.
 */
static uint32_t carry_sessions(const struct session *from, uint32_t from_sessions,
                               struct session *to, uint32_t to_sessions)
{
    static const struct {
        enum age_list list;
        bool is_whole;
    } turns[] = {{AGE_NONE, true}, {AGE_UNANSWERED, true}, {AGE_CLOSED, true}, {AGE_LISTS, false}};
    uint32_t carried = 0, found = 0;

    for (size_t turn = 0; turn < sizeof(turns) / sizeof(turns[0]); turn++) {
        for (uint32_t slot = 0; slot < from_sessions; slot++) {
            if (from[slot].live == SLOT_FREE ||
                table_is_whole(&from[slot]) != turns[turn].is_whole ||
                (turns[turn].is_whole && session_age_list(&from[slot]) != turns[turn].list))
                continue;
            if (found++ < to_sessions)
                to[carried++] = from[slot];
        }
    }
    return found - carried;
}

static void carry_leases(const struct lease *from, uint32_t from_leases, struct lease *to,
                         uint32_t to_leases)
{
    uint32_t carried = 0;

    for (uint32_t i = 0; i < from_leases && carried < to_leases; i++) {
        if (from[i].live != SLOT_FREE && lease_is_whole(&from[i]))
            to[carried++] = from[i];
    }
}

uint32_t nat_carry(const void *from, uint32_t from_sessions, void *to, uint32_t to_sessions)
{
    const struct session *from_session = from;
    struct session *to_session = to;

    carry_leases((const struct lease *)(const void *)(from_session + from_sessions),
                 table_leases(from_sessions), (struct lease *)(void *)(to_session + to_sessions),
                 table_leases(to_sessions));
    return carry_sessions(from_session, from_sessions, to_session, to_sessions);
}
