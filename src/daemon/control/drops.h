/*
 * drops.h - the method that lists the latest dropped packets
 */
#ifndef PORTREEVE_CONTROL_DROPS_H
#define PORTREEVE_CONTROL_DROPS_H

#include "method.h"

void run_drops(struct request *request);

#endif
