/*
 * shortage.h - pools, the session table and the limits of hosts that are nearly used up
 */
#ifndef PORTREEVE_GATEWAY_SHORTAGE_H
#define PORTREEVE_GATEWAY_SHORTAGE_H

#include "notices.h"

/* What one notice says. It is written down, so that the text of a notice stays the same. */
struct shortage {
    bool is_high;
    uint64_t said; /* milliseconds */
    uint32_t used, size;
    struct address address; /* of a pool: the external address */
    struct nat_most most;
    bool most_from_inside; /* of the table: hosts of shares have opened most sessions */
};

struct shortages {
    struct shortage pool[POLICY_SHARES_MAX][PROTOCOL_COUNT];
    struct shortage table, host_sessions, host_mappings, remote, outside, forward;
    char forward_name[POLICY_NAME_MAX]; /* that `forward` is about */
};

/*
 * Once a second: notices about what is used to 80 %, until it is used to less than 70 %. Each says
 * who holds most. A notice stays for a minute at least, so the log has few lines however much the
 * use goes up and down.
 */
void shortages_check(struct shortages *shortages, struct gateway *gateway, struct notices *notices,
                     uint64_t now);

#endif
