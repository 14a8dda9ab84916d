/*
 * /proc/net/netfilter/nfnetlink_queue: a line per bound queue (net/netfilter/nfnetlink_queue.c,
 * seq_show)
 *
 *   queue number, port id of the owner, packets waiting, copy mode, copy range,
 *   dropped because the queue was full, dropped because the socket was full, last packet id, 1
 */
#include "queue_internal.h"

#include <errno.h>
#include <stdio.h>

#define STATISTICS "/proc/net/netfilter/nfnetlink_queue"

int queue_find_owner(uint16_t number, uint32_t *owner, struct queue_statistics *statistics)
{
    FILE *file = fopen(STATISTICS, "re");
    int code = -ENOENT;
    char line[256];

    if (!file)
        return -errno;
    while (code == -ENOENT && fgets(line, sizeof(line), file)) {
        unsigned int found, port, waiting, full, user;

        if (sscanf(line, "%u %u %u %*u %*u %u %u", &found, &port, &waiting, &full, &user) != 5 ||
            found != number)
            continue;
        *owner = port;
        *statistics = (struct queue_statistics){
            .waiting = waiting, .dropped_full = full, .dropped_user = user};
        code = 0;
    }
    fclose(file);
    return code;
}

int queue_read_statistics(uint16_t number, struct queue_statistics *statistics)
{
    uint32_t unused;

    return queue_find_owner(number, &unused, statistics);
}
