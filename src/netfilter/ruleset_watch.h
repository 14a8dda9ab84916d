/*
 * ruleset_watch.h - news of changes that other programs make to our table
 *
 * Internal to src/netfilter. For tables without an owner: Linux before 5.12, and before 6.9 where
 * no service manager keeps the owner's socket.
 */
#ifndef PORTREEVE_RULESET_WATCH_H
#define PORTREEVE_RULESET_WATCH_H

#include "portreeve/error.h"

#include <stdbool.h>
#include <stdint.h>

struct ruleset_watch;

/*
 * Follows the notifications of nf_tables, but for the changes that the netlink socket with port id
 * `own_port` makes. Returns 0, or -errno and a sentence.
 */
int ruleset_watch_open(struct ruleset_watch **watch, uint32_t own_port, struct error *error);
void ruleset_watch_close(struct ruleset_watch *watch); /* NULL is fine, as below */

/* Poll it for reading, then call ruleset_watch_read; -1 for NULL. */
int ruleset_watch_get_descriptor(const struct ruleset_watch *watch);

/*
 * Reads what has arrived. True if another program has changed our table in any way; also if
 * notifications were lost, because then it may have.
 */
bool ruleset_watch_read(struct ruleset_watch *watch);

#endif
