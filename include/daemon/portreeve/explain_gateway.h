/*
 * explain_gateway.h - what becomes of a connection and why, from the rules of the configuration to
 * the host at its end
 *
 * Steps, in the order in which a packet meets them. Each says whether it is in order; one that is
 * not has a cause. Main thread only.
 */
#ifndef PORTREEVE_EXPLAIN_GATEWAY_H
#define PORTREEVE_EXPLAIN_GATEWAY_H

#include "portreeve/gateway.h"

/* What is wrong: the word, and what to do next. doc/control-protocol.md has them all. */
#define EXPLAIN_CAUSES(X)                                                                          \
    X(HEALTHY, "healthy", "")                                                                      \
    X(NO_FORWARD, "no-forward", "add it to the configuration, or use 'portreeve forward add'")     \
    X(EXPIRED, "expired", "set a new time in 'expires', if it is still wanted")                    \
    X(NOT_ALLOWED, "not-allowed", "add the caller to 'allow', if it may connect")                  \
    X(FILTERED, "filtered", "the host inside must send to the caller first, or needs a forward")   \
    X(FORWARDING_OFF, "forwarding-off", "switch it on: sysctl net.ipv4.ip_forward=1")              \
    X(INTERFACE_DOWN, "interface-down", "look at the cable, and at 'ip link'")                     \
    X(NO_ADDRESS, "no-address", "look at 'ip address', and at the DHCP client")                    \
    X(NO_ROUTE, "no-route", "look at 'ip route' on this gateway")                                  \
    X(NEIGHBOUR_FAILS, "neighbour-fails", "is the host up, and is that its address?")              \
    X(TARGET_REFUSES, "target-refuses",                                                            \
      "nothing listens there, or only on 127.0.0.1: look with 'ss -ltnu' on the target")           \
    X(TARGET_SILENT, "target-silent", "look at the firewall of the target")                        \
    X(TARGET_ELSEWHERE, "target-answers-elsewhere",                                                \
      "look at the default gateway of the target, and at its firewall")                            \
    X(HOST_FIREWALL, "host-firewall", "allow it in that chain of this gateway's firewall")         \
    X(REVERSE_PATH, "reverse-path", "see sysctl net.ipv4.conf.*.rp_filter, and 'ip route'")        \
    X(HIDDEN_LISTENER, "hidden-listener", "give the forward or the program another port")          \
    X(KERNEL_NAT, "kernel-nat", "delete that rule, or limit it to other sources")                  \
    X(FLOWTABLE, "flowtable", "delete the flowtable")                                              \
    X(POOL_DRY, "pool-dry", "give the share more ports, or look at 'portreeve sessions'")          \
    X(LIMIT, "limit", "look at 'portreeve status', and at [limits] in the configuration")          \
    X(RULES_MISSING, "rules-missing", "look at the log: another program removes them")

enum explain_cause {
#define X(symbol, ...) EXPLAIN_##symbol,
    EXPLAIN_CAUSES(X)
#undef X
        EXPLAIN_CAUSE_COUNT
};

const char *explain_cause_name(enum explain_cause cause);
const char *explain_cause_advice(enum explain_cause cause);

enum explain_result {
    EXPLAIN_OK,
    EXPLAIN_WARN,    /* not the reason, but worth a look */
    EXPLAIN_FAIL,    /* the reason */
    EXPLAIN_UNKNOWN, /* it cannot be told; with a cause other than healthy, it may be the reason */
};

const char *explain_result_name(enum explain_result result);

struct explain_step {
    const char *check; /* what was looked at: "forward" */
    enum explain_result result;
    enum explain_cause cause;
    char text[256];
};

/* What became of an attempt to reach the target, made from this host. */
enum explain_probe {
    EXPLAIN_PROBE_NONE, /* there was none */
    EXPLAIN_PROBE_ANSWERED,
    EXPLAIN_PROBE_REFUSED,
    EXPLAIN_PROBE_SILENT,
    EXPLAIN_PROBE_UNREACHABLE,
    EXPLAIN_PROBE_COUNT
};

const char *explain_probe_name(enum explain_probe probe);

/*
 * A connection: to an external port, or from a host inside to the outside. An address of zeros
 * (::) is any: as `from`, somebody who may connect; as `to`, the first external address.
 */
struct explain_request {
    uint8_t protocol;
    struct endpoint from, to;
    enum explain_probe probe;
};

#define EXPLAIN_STEPS_MAX 24

struct explain_report {
    struct explain_step step[EXPLAIN_STEPS_MAX];
    size_t count;
    enum explain_cause cause; /* HEALTHY: none was found for sure */
    enum explain_cause candidate[EXPLAIN_STEPS_MAX];
    size_t candidate_count; /* 0 when there is a cause */
    struct endpoint from;   /* as it was taken */
    struct endpoint target; /* what a probe should try; port 0: nothing */
};

void gateway_explain(struct gateway *gateway, const struct explain_request *request,
                     struct explain_report *report);

#endif
