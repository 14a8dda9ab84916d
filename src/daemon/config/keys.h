/*
 * keys.h - the tables of sections and keys
 */
#ifndef PORTREEVE_CONFIG_KEYS_H
#define PORTREEVE_CONFIG_KEYS_H

#include "section.h"

enum section_id {
    SECTION_GATEWAY,
    SECTION_SHARE,
    SECTION_FORWARD,
    SECTION_NEVER,
    SECTION_ALWAYS,
    SECTION_TIMEOUTS,
    SECTION_LIMITS,
    SECTION_PERFORMANCE,
    SECTION_CONTROL,
    SECTION_STATE,
    SECTION_LOG,
    SECTION_COUNT,
};

/* Indexes of keys that checks use; those of [gateway] and [forward] are in headers of their own. */
enum {
    SHARE_SOURCE,
    SHARE_PORTS,
    SHARE_FILTERING,
    SHARE_FILTERING_TCP,
    SHARE_FILTERING_UDP,
    SHARE_OVERLOAD,
    SHARE_PARITY,
    SHARE_PAIRING,
    SHARE_REFRESH,
    SHARE_EXEMPT,
    SHARE_CLOSED,
    SHARE_KEYS
};
enum {
    LIMIT_SESSIONS,
    LIMIT_PER_HOST,
    LIMIT_NEW_PER_HOST,
    LIMIT_MAPPINGS,
    LIMIT_OUTSIDE,
    LIMIT_PER_REMOTE,
    LIMIT_NEW_PER_REMOTE
};

/* Until the size of the table is known. */
#define LIMIT_AUTO UINT32_MAX
enum { PERFORMANCE_WORKERS, PERFORMANCE_OFFLOAD, PERFORMANCE_OFFLOAD_AFTER, PERFORMANCE_QUEUE };

/* By enum section_id. The kind of a section points into it. */
extern const struct section_kind section_kinds[SECTION_COUNT];

#endif
