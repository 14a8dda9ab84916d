/*
 * drops.h - dropped packets, as they are dropped
 */
#ifndef PORTREEVE_CTL_DROPS_H
#define PORTREEVE_CTL_DROPS_H

#include "options.h"

/*
 * A line for each entry of the daemon's list that has new packets, once per second, at most twenty
 * of them. Returns an exit code when the connection has ended.
 */
int drops_follow(const struct options *options);

#endif
