/*
 * audit_risks.h - which services are a risk when their port is open to the outside
 */
#ifndef PORTREEVE_CTL_AUDIT_RISKS_H
#define PORTREEVE_CTL_AUDIT_RISKS_H

#include <stddef.h>
#include <stdint.h>

enum severity { SEVERITY_INFO, SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH, SEVERITY_COUNT };

enum risk_kind {
    RISK_EXPOSED,   /* management or data, open to everyone */
    RISK_CLEARTEXT, /* readable and changeable on the way; there is an encrypted way */
    RISK_AMPLIFIER, /* answers much more than it is asked, to a forged source */
};

struct risk {
    enum risk_kind kind;
    uint16_t first, last; /* ports of the service, not of the forward */
    uint8_t protocols;    /* enum forward_protocols, or-ed */
    enum severity severity;
    const char *service; /* "Redis" */
    const char *advice;
    const char *source; /* where the judgement is from */
};

extern const struct risk audit_risks[];
extern const size_t audit_risk_count;

#endif
