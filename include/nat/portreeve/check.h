/*
 * check.h - does a translator add up? A walk over all that it knows, in steps
 *
 * Each step looks at some slots and tells what contradicts something else. Numbers that belong to
 * the whole table (how many sessions name a mapping) are counted again from the sessions, also
 * while sessions open and end between two steps: what changes in the part that was walked over
 * already changes the new count, too.
 *
 * Sessions of an older policy (nat_review) may have mappings that are found by nobody else any
 * more, so that is not looked for as long as there are some.
 */
#ifndef PORTREEVE_CHECK_H
#define PORTREEVE_CHECK_H

#include "portreeve/nat.h"

/* symbol, name for programs, what is wrong for people: "N ..." */
#define NAT_CHECKS(X)                                                                              \
    X(SESSION_SEAL, "session-seal", "sessions are not what they were when they opened")            \
    X(SESSION_INDEX, "session-index", "sessions are not found by what their sides send")           \
    X(SESSION_FILTER, "session-filter", "sessions are not found by the remote that they called")   \
    X(SESSION_TIMER, "session-timer", "sessions have no timer")                                    \
    X(SESSION_AGE, "session-age", "sessions are not in the list that a full table evicts from")    \
    X(SESSION_SIDES, "session-mapping",                                                            \
      "sessions have neither a mapping that exists nor a forward")                                 \
    X(SESSION_HOST, "session-host", "sessions are of a host that is not known")                    \
    X(SESSION_REMOTE, "session-remote",                                                            \
      "sessions from outside do not count as such, or others do")                                  \
    X(SESSION_OFFLOAD, "session-offload", "sessions and their entries for the kernel disagree")    \
    X(SESSION_FREE, "session-free", "free places of sessions are not free")                        \
    X(MAPPING_SESSIONS, "mapping-sessions", "mappings count other sessions than they have")        \
    X(MAPPING_INDEX, "mapping-index", "mappings are not found by their internal endpoint")         \
    X(MAPPING_PORT, "mapping-port", "mappings do not hold their port")                             \
    X(MAPPING_HOST, "mapping-host", "mappings are of a host that is not known")                    \
    X(HOST_COUNTS, "host-counts", "hosts count other sessions or mappings than they have")         \
    X(LEASE, "lease", "leases and their mappings disagree")                                        \
    X(PORT_HOLDER, "port-holder", "ports are held by a mapping that has another one")              \
    X(PORT_COUNTS, "port-counts", "port spaces count other ports than are taken or rest")          \
    X(OUTSIDE, "outside-counts", "counters of the outside give other sessions than it has")        \
    X(TOTALS, "totals", "totals (sessions, mappings, hosts, leases) are not what was counted")     \
    X(COUNTERS, "counters", "counters of opened and closed sessions do not give those that live")  \
    X(OFFLOAD_COUNTERS, "offload-counters",                                                        \
      "counters of offloaded sessions do not give those in the kernel")                            \
    X(KERNEL_MAPS, "kernel-maps", "elements of the kernel's maps are too many or missing")

enum nat_check_name {
#define X(symbol, ...) NAT_CHECK_##symbol,
    NAT_CHECKS(X)
#undef X
        NAT_CHECK_COUNT
};

/* "session-seal", and what it means, for people. */
const char *nat_check_name(enum nat_check_name name);
const char *nat_check_meaning(enum nat_check_name name);

struct nat_check_report {
    uint64_t sessions, mappings, hosts, leases, ports, offloaded; /* that were looked at */
    uint64_t wrong[NAT_CHECK_COUNT];                              /* how many of each kind */
    uint64_t first[NAT_CHECK_COUNT]; /* a session's id, or the slot of what else is wrong */
};

struct nat_check;

/* Bytes that a check of this translator needs, all zero. */
size_t nat_check_memory(const struct nat *nat);

/*
 * Begins a check in this memory, the caller's, which must stay until nat_check_end. One at a time:
 * false if there is one.
 */
bool nat_check_begin(struct nat *nat, struct nat_check *memory);

/* Looks at `budget` slots at most. True as long as there are more. */
bool nat_check_step(struct nat *nat, uint32_t budget);

/* Ends the check, complete or not. NULL: the report is not wanted. */
void nat_check_end(struct nat *nat, struct nat_check_report *report);

/*
 * With a complete check and no order about offloaded sessions in work: compares what the kernel's
 * maps have, by enum packet_hook, with the sessions that should be in it (nat_offload_in_kernel).
 */
void nat_check_kernel(struct nat *nat, uint32_t in_kernel, const uint32_t elements[2]);

#endif
