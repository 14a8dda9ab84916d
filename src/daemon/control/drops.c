/*
 * drops.c - the method that lists the latest dropped packets
 */
#include "drops.h"

#include "answer.h"
#include "json.h"
#include "portreeve/forward_words.h"
#include "portreeve/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WHY_MAX 256

/* The latest first. */
static int compare(const void *one, const void *other)
{
    uint64_t first = ((const struct refusal *)one)->last,
             second = ((const struct refusal *)other)->last;

    return first < second ? 1 : first > second ? -1 : 0;
}

static const struct forward *forward_of(const struct policy *policy, const struct refusal *refusal)
{
    uint16_t at = refusal->from_inside || !protocol_has_ports(refusal->protocol)
                      ? POLICY_NONE
                      : policy_forward_at(policy, refusal->protocol, refusal->to.port);

    return at != POLICY_NONE ? policy_forward(policy, at) : NULL;
}

static const struct share *share_of(const struct policy *policy, const struct refusal *refusal)
{
    uint16_t at = refusal->from_inside ? policy_share_of(policy, &refusal->from) : POLICY_NONE;

    return at != POLICY_NONE ? policy_share(policy, at) : NULL;
}

/* A sentence, with the line of the configuration that decides, if there is one. */
static const char *why(const struct request *request, const struct refusal *refusal,
                       const struct forward *forward, char buffer[WHY_MAX])
{
    enum drop_reason reason = (enum drop_reason)refusal->reason;
    char place[FORWARD_WORDS_MAX], allowed[FORWARD_WORDS_MAX];

    if (reason == DROP_NOT_ALLOWED && forward != NULL &&
        !policy_forward_allows(forward, &refusal->from))
        snprintf(buffer, WHY_MAX, "allow is %s (%s)", forward_allowed(forward, allowed),
                 forward_place(gateway_config(request->gateway),
                               gateway_config_path(request->gateway), forward, place));
    else if ((reason == DROP_FORWARD_LIMIT || reason == DROP_FORWARD_RATE) && forward != NULL)
        snprintf(buffer, WHY_MAX, "%s = %u (%s)",
                 reason == DROP_FORWARD_LIMIT ? "sessions" : "new-sessions",
                 reason == DROP_FORWARD_LIMIT ? forward->sessions : forward->new_sessions,
                 forward_place(gateway_config(request->gateway),
                               gateway_config_path(request->gateway), forward, place));
    else
        snprintf(buffer, WHY_MAX, "%s", drop_reason_text(reason));
    return buffer;
}

static json_t *time_of(uint64_t then, uint64_t now)
{
    return json_time(time(NULL) - (int64_t)((now - then) / 1000));
}

static json_t *refusal_json(const struct request *request, const struct refusal *refusal,
                            uint64_t now)
{
    const struct policy *policy = gateway_policy(request->gateway);
    const struct forward *forward = forward_of(policy, refusal);
    const struct share *share = share_of(policy, refusal);
    char text[WHY_MAX];

    return json_pack("{s:s,s:s,s:o,s:{s:o,s:i},s:s?,s:s?,s:I,s:o,s:o,s:o}", "reason",
                     drop_reason_name((enum drop_reason)refusal->reason), "protocol",
                     protocol_name(refusal->protocol), "from", json_address(&refusal->from), "to",
                     "address", json_address(&refusal->to.address), "port", (int)refusal->to.port,
                     "forward", forward != NULL ? forward->name : NULL, "share",
                     share != NULL ? share->name : NULL, "count", (json_int_t)refusal->count,
                     "first", time_of(refusal->first, now), "last", time_of(refusal->last, now),
                     "why", json_text(why(request, refusal, forward, text)));
}

void run_drops(struct request *request)
{
    struct refusal *refusals = malloc(REFUSALS_MAX * sizeof(*refusals));
    json_t *drops = json_array();
    uint64_t others = 0, now = gateway_now();
    size_t count = 0;

    if (refusals != NULL) {
        count = nat_refusals(gateway_lock(request->gateway), refusals, &others);
        gateway_unlock(request->gateway);
        qsort(refusals, count, sizeof(*refusals), compare);
    }
    for (size_t i = 0; i < count; i++)
        json_array_append_new(drops, refusal_json(request, &refusals[i], now));
    answer_result(request->output, request->id,
                  refusals == NULL
                      ? NULL
                      : json_pack("{s:O,s:I}", "drops", drops, "others", (json_int_t)others));
    json_decref(drops);
    free(refusals);
}
