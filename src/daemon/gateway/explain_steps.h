/*
 * explain_steps.h - what an explanation has found out so far
 */
#ifndef PORTREEVE_GATEWAY_EXPLAIN_STEPS_H
#define PORTREEVE_GATEWAY_EXPLAIN_STEPS_H

#include "lock.h"
#include "portreeve/explain.h"
#include "portreeve/explain_gateway.h"

struct explaining {
    struct gateway *gateway;
    const struct explain_request *request;
    struct explain_report *report;
    uint8_t uplink;
    struct endpoint from, to; /* as the packet is at the forward hook */
    uint32_t in, out;         /* ifindexes that it comes in and leaves by */
};

/* Adds a step. */
void explain_add(struct explaining *explaining, const char *check, enum explain_result result,
                 enum explain_cause cause, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* True if a step has failed: what comes behind it need not be looked at. */
bool explain_has_failed(const struct explaining *explaining);

#endif
