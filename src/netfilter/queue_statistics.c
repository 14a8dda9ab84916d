/*
 * queue_statistics.c - the kernel's counters of a queue, and which program it belongs to
 *
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
    int result = -ENOENT;
    char line[256];

    if (file == NULL)
        return -errno;
    while (result == -ENOENT && fgets(line, sizeof(line), file) != NULL) {
        unsigned int found, port, waiting, full, user;

        if (sscanf(line, "%u %u %u %*u %*u %u %u", &found, &port, &waiting, &full, &user) != 5 ||
            found != number)
            continue;
        *owner = port;
        *statistics = (struct queue_statistics){
            .waiting = waiting, .dropped_full = full, .dropped_user = user};
        result = 0;
    }
    fclose(file);
    return result;
}

int queue_read_statistics(uint16_t number, struct queue_statistics *statistics)
{
    uint32_t unused;

    return queue_find_owner(number, &unused, statistics);
}
