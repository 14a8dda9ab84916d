/*
 * explain_words.c - the words of an explanation
 */
#include "portreeve/explain_gateway.h"

const char *explain_cause_name(enum explain_cause cause)
{
    static const char *const names[EXPLAIN_CAUSE_COUNT] = {
#define X(symbol, name, advice) [EXPLAIN_##symbol] = name,
        EXPLAIN_CAUSES(X)
#undef X
    };

    return names[cause];
}

const char *explain_cause_advice(enum explain_cause cause)
{
    static const char *const advices[EXPLAIN_CAUSE_COUNT] = {
#define X(symbol, name, advice) [EXPLAIN_##symbol] = advice,
        EXPLAIN_CAUSES(X)
#undef X
    };

    return advices[cause];
}

const char *explain_result_name(enum explain_result result)
{
    static const char *const names[] = {"ok", "warn", "FAIL", "?"};

    return names[result];
}

const char *explain_probe_name(enum explain_probe probe)
{
    static const char *const names[EXPLAIN_PROBE_COUNT] = {"none", "answered", "refused", "silent",
                                                           "unreachable"};

    return names[probe];
}
