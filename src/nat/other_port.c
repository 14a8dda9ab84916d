/*
 * other_port.c - a remote's other source port, for a target that could not tell two sessions apart
 *
 * Two forwards may lead to one internal endpoint (WireGuard on 51820 and on 443), and a remote may
 * call both from one port. The target would see the same remote endpoint twice, and its answers
 * would be those of one session. So the second session gets another source port on the inside, as
 * the kernel's NAT does (nf_nat_l4proto_unique_tuple). It is the last resort: the target sees every
 * other remote as it is.
 *
 * The remote may later use that very port itself. Then its new session is the one that is in the
 * way, and gets another port in turn. Nothing is reserved: what is taken is what the table knows.
 */
#include "other_port.h"

#define TRIES                                                                                      \
    64 /* half of them with the parity; in a port range of which half is taken, all fail           \
         once in 2^32 */
#define SYSTEM_LAST 1023

static uint16_t draw(struct nat *nat, uint16_t like, bool keep_parity)
{
    uint32_t first = like <= SYSTEM_LAST ? 1 : SYSTEM_LAST + 1,
             last = like <= SYSTEM_LAST ? SYSTEM_LAST : UINT16_MAX,
             port = first + random_below(&nat->random, last - first + 1);

    if (keep_parity && (port ^ like) & 1)
        port = port == last ? port - 1 : port + 1;
    return (uint16_t)port;
}

bool other_port_choose(struct nat *nat, struct tuple *answer)
{
    struct tuple tried = *answer;
    enum role role;

    for (int i = 0; i < TRIES; i++) {
        tried.destination.port = draw(nat, answer->destination.port, i < TRIES / 2);
        if (table_find(&nat->table, &tried, &role) == INDEX_NONE) {
            *answer = tried;
            return true;
        }
    }
    return false;
}
