/*
 * job.c - methods that walk the translation table
 *
 * A job walks over the slots of the table. Each step copies one slice while it holds the lock, and
 * does the rest without it. The next step follows when the client has read enough. A session keeps
 * its slot, so a session that exists during the whole walk is seen exactly once. A session that
 * opens or closes meanwhile may be seen or not.
 */
#include "job.h"

#include "answer.h"
#include "json.h"
#include "portreeve/log.h"
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    const struct job_kind *kind;
    struct client *client;
    struct output *output; /* the client's */
    json_t *id;
    struct filter filter;
    uint32_t slot;  /* beginning of the next slice */
    uint64_t count; /* sessions or mappings listed, sessions ended */
    /* of forwards: */
    json_t *sessions;        /* name of a forward -> number of its sessions */
    struct policy *snapshot; /* what is listed: the policy at the end of the walk */
    size_t forward;          /* the next forward to list */
    /* of kill: */
    char described[JOB_DESCRIBED_MAX];
};

struct job_kind {
    /* True if the job is done: its answer is queued. */
    bool (*step)(struct job *job, struct gateway *gateway);
    /* Called once, also for a job that is not done. NULL: nothing to do. */
    void (*end)(struct job *job);
};

/* Begins a job for the request. NULL if there is not enough memory: the answer says so. */
static struct job *job_begin(struct request *request, const struct job_kind *kind)
{
    struct job *job = calloc(1, sizeof(*job));

    if (job == NULL) {
        answer_result(request->output, request->id, NULL);
        return NULL;
    }
    job->kind = kind;
    job->client = request->client;
    job->output = request->output;
    job->id = json_incref(request->id);
    request->client->job = job;
    return job;
}

void job_end(struct job *job)
{
    if (job == NULL)
        return;
    if (job->kind->end != NULL)
        job->kind->end(job);
    policy_free(job->snapshot);
    json_decref(job->sessions);
    json_decref(job->id);
    free(job);
}

void job_step(struct client *client, struct gateway *gateway)
{
    struct job *job = client->job;

    if (!job->kind->step(job, gateway))
        return;
    client->job = NULL;
    job_end(job);
}

/* ---- walking ---- */

/* Moves job->slot to the end of this slice, and returns it. */
static uint32_t next_slice(struct job *job, const struct nat *nat)
{
    uint32_t left = nat_slots(nat) - job->slot;

    return job->slot += left < CONTROL_SLICE ? left : CONTROL_SLICE;
}

/* Copies the sessions of the next slice to control->view. False if no slice is left. */
static bool walk_sessions(struct job *job, struct gateway *gateway, size_t *count)
{
    struct control *control = job->client->control;
    uint64_t now = gateway_now();
    const struct nat *nat = gateway_lock(gateway);
    uint32_t slot = job->slot, end = next_slice(job, nat);
    bool any = slot < end;

    *count = 0;
    for (; slot < end; slot++) {
        if (nat_view(nat, slot, now, &control->view[*count]))
            control->slot[(*count)++] = slot;
    }
    gateway_unlock(gateway);
    return any;
}

/* ---- sessions ---- */

static bool step_sessions(struct job *job, struct gateway *gateway)
{
    const struct control *control = job->client->control;
    size_t count;

    if (!walk_sessions(job, gateway, &count)) {
        answer_result(job->output, job->id, json_pack("{s:I}", "count", (json_int_t)job->count));
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (filter_matches(&job->filter, &control->view[i])) {
            stream_session(job->output, gateway_config(gateway), &control->view[i]);
            job->count++;
        }
    }
    return false;
}

void job_begin_sessions(struct request *request, const struct filter *filter)
{
    static const struct job_kind kind = {step_sessions, NULL};
    struct job *job = job_begin(request, &kind);

    if (job == NULL)
        return;
    job->filter = *filter;
    gateway_fold_offloaded(request->gateway);
}

/* ---- mappings ---- */

static bool step_mappings(struct job *job, struct gateway *gateway)
{
    const struct policy *policy = gateway_policy(gateway);
    struct mapping_view found[CONTROL_SLICE];
    uint64_t now = gateway_now();
    const struct nat *nat = gateway_lock(gateway);
    uint32_t slot = job->slot, end = next_slice(job, nat);
    bool any = slot < end;
    size_t count = 0;

    for (; slot < end; slot++) {
        count += nat_view_mapping(nat, slot, now, &found[count]);
    }
    gateway_unlock(gateway);
    if (!any) {
        answer_result(job->output, job->id, json_pack("{s:I}", "count", (json_int_t)job->count));
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        bool shared = found[i].share < policy_share_count(policy);

        answer_notice(job->output, "mapping",
                      json_mapping(&found[i],
                                   shared ? policy_share(policy, found[i].share)->name : "",
                                   config_external(gateway_config(gateway), found[i].uplink)));
    }
    job->count += count;
    return false;
}

void job_begin_mappings(struct request *request)
{
    static const struct job_kind kind = {step_mappings, NULL};

    job_begin(request, &kind);
}

/* ---- forwards: counts the sessions of each, then lists them ---- */

static void count_forwards(struct job *job, const struct session_view *view, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_t *known = json_object_get(job->sessions, view[i].forward);

        if (view[i].forward[0] == '\0')
            continue;
        if (known != NULL)
            json_integer_set(known, json_integer_value(known) + 1);
        else
            json_object_set_new(job->sessions, view[i].forward, json_integer(1));
    }
}

/*
 * The list is one line, but it is written in pieces, because it may be much longer than
 * OUTPUT_MARK.
 */
static void begin_list(struct job *job)
{
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":",
                      list[] = ",\"result\":{\"forwards\":[";

    output_write(job->output, head, strlen(head));
    output_write_json(job->output, job->id);
    output_write(job->output, list, strlen(list));
}

static void write_forward(struct job *job)
{
    const struct forward *forward = policy_forward(job->snapshot, job->forward);
    json_t *json = json_forward(
        forward, (uint64_t)json_integer_value(json_object_get(job->sessions, forward->name)));

    if (job->forward++ > 0)
        output_write(job->output, ",", 1);
    output_write_json(job->output, json);
    json_decref(json);
}

static bool step_forwards(struct job *job, struct gateway *gateway)
{
    static const char tail[] = "]}}\n";
    size_t count;

    if (job->snapshot == NULL) {
        if (walk_sessions(job, gateway, &count)) {
            count_forwards(job, job->client->control->view, count);
            return false;
        }
        job->snapshot = policy_copy(gateway_policy(gateway));
        if (job->snapshot == NULL) {
            answer_result(job->output, job->id, NULL);
            return true;
        }
        begin_list(job);
        return false;
    }
    for (int n = 0; n < CONTROL_SLICE && job->forward < policy_forward_count(job->snapshot); n++)
        write_forward(job);
    if (job->forward < policy_forward_count(job->snapshot))
        return false;
    output_write(job->output, tail, strlen(tail));
    return true;
}

void job_begin_forwards(struct request *request)
{
    static const struct job_kind kind = {step_forwards, NULL};
    struct job *job = job_begin(request, &kind);

    if (job != NULL)
        job->sessions = json_object();
}

/* ---- kill ---- */

/*
 * Ends the sessions with these slots and ids, and returns their number. A slot may have another
 * session by now, because the lock was released after they were found.
 */
static uint64_t kill_slots(struct gateway *gateway, const uint32_t *slots, const uint64_t *ids,
                           size_t count)
{
    uint64_t now = gateway_now(), ended = 0;
    struct nat *nat = gateway_lock(gateway);

    for (size_t i = 0; i < count; i++)
        ended += nat_kill(nat, slots[i], ids[i], now);
    gateway_unlock(gateway);
    return ended;
}

static bool step_kill(struct job *job, struct gateway *gateway)
{
    const struct control *control = job->client->control;
    uint32_t slots[CONTROL_KILL_SLICE];
    uint64_t ids[CONTROL_KILL_SLICE];
    size_t count, found = 0;

    if (!walk_sessions(job, gateway, &count)) {
        gateway_flush_offloaded(gateway);
        answer_result(job->output, job->id, json_pack("{s:I}", "killed", (json_int_t)job->count));
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (filter_matches(&job->filter, &control->view[i])) {
            slots[found] = control->slot[i];
            ids[found++] = control->view[i].id;
        }
        if (found == CONTROL_KILL_SLICE || i + 1 == count) {
            job->count += kill_slots(gateway, slots, ids, found);
            found = 0;
        }
    }
    return false;
}

/* Also if the client has closed the connection before the end: some sessions have ended. */
static void end_kill(struct job *job)
{
    char who[PEER_TEXT_MAX];

    log_change("%s: kill %s: %llu sessions ended", peer_describe(&job->client->peer, who),
               job->described, (unsigned long long)job->count);
}

void job_begin_kill(struct request *request, const struct filter *filter, const char *described)
{
    static const struct job_kind kind = {step_kill, end_kill};
    struct job *job = job_begin(request, &kind);

    if (job == NULL)
        return;
    job->filter = *filter;
    snprintf(job->described, sizeof(job->described), "%s", described);
    gateway_fold_offloaded(request->gateway); /* so that the last event has all counters */
}
