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
#include "portreeve/check.h"
#include "portreeve/log.h"
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct job {
    const struct job_kind *kind;
    struct client *client;
    struct output *output; /* the client's */
    json_t *id;
    struct filter filter;
    uint32_t slot;  /* beginning of the next slice */
    uint64_t count; /* sessions or mappings listed, sessions ended */
    /* of forwards: */
    json_t *sessions;                     /* name of a forward -> number of its sessions */
    struct policy *snapshot;              /* what is listed: the policy at the end of the walk */
    size_t forward;                       /* the next forward to list */
    const struct forward_register *ports; /* the gateway's */
    /* of kill: */
    char described[JOB_DESCRIBED_MAX];
    /* of check: */
    struct gateway *gateway;
    struct nat_check *check; /* begun */
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

static void write_forward(struct job *job, const struct gateway *gateway)
{
    const struct forward *forward = policy_forward(job->snapshot, job->forward);
    json_t *json = json_forward(
        forward, (uint64_t)json_integer_value(json_object_get(job->sessions, forward->name)),
        register_find(job->ports, forward->name),
        config_file(gateway_config(gateway), gateway_config_path(gateway), forward->file));

    if (job->forward++ > 0)
        output_write(job->output, ",", 1);
    output_write_json(job->output, json);
    json_decref(json);
}

static void add_expired(json_t *names, const struct policy *policy)
{
    const int64_t now = time(NULL);

    for (size_t i = 0; policy != NULL && i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);

        if (forward->expires != 0 && forward->expires <= now)
            json_array_append_new(names, json_text(forward->name));
    }
}

/* After the list: which forwards of the configuration are not in use any more. */
static void end_list(struct job *job, const struct config *config)
{
    static const char middle[] = "],\"expired\":", tail[] = "}}\n";
    json_t *names = json_array();

    add_expired(names, config->expired);
    add_expired(names, config->policy);
    output_write(job->output, middle, strlen(middle));
    output_write_json(job->output, names);
    output_write(job->output, tail, strlen(tail));
    json_decref(names);
}

static bool step_forwards(struct job *job, struct gateway *gateway)
{
    size_t count;

    if (job->snapshot == NULL) {
        if (walk_sessions(job, gateway, &count)) {
            count_forwards(job, job->client->control->view, count);
            return false;
        }
        job->ports = gateway_read_register(gateway);
        job->snapshot = policy_copy(gateway_policy(gateway));
        if (job->snapshot == NULL) {
            answer_result(job->output, job->id, NULL);
            return true;
        }
        begin_list(job);
        return false;
    }
    for (int n = 0; n < CONTROL_SLICE && job->forward < policy_forward_count(job->snapshot); n++)
        write_forward(job, gateway);
    if (job->forward < policy_forward_count(job->snapshot))
        return false;
    end_list(job, gateway_config(gateway));
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

/* ---- check ---- */

/* Slots that a step looks at while it holds the lock: as many sessions, but more is looked up. */
#define CHECK_SLICE 64

static json_t *json_check(const struct nat_check_report *report, bool kernel)
{
    json_t *faults = json_array();

    for (int i = 0; i < NAT_CHECK_COUNT; i++) {
        const enum nat_check_name name = (enum nat_check_name)i;

        if (report->wrong[i] > 0)
            json_array_append_new(
                faults, json_pack("{s:s,s:I,s:s,s:I}", "check", nat_check_name(name), "count",
                                  (json_int_t)report->wrong[i], "text", nat_check_meaning(name),
                                  "first", (json_int_t)report->first[i]));
    }
    return json_pack("{s:b,s:{s:I,s:I,s:I,s:I,s:I,s:I},s:b,s:o}", "adds_up",
                     json_array_size(faults) == 0, "seen", "sessions", (json_int_t)report->sessions,
                     "mappings", (json_int_t)report->mappings, "hosts", (json_int_t)report->hosts,
                     "leases", (json_int_t)report->leases, "ports", (json_int_t)report->ports,
                     "offloaded", (json_int_t)report->offloaded, "kernel", kernel, "faults",
                     faults);
}

static void log_faults(const struct nat_check_report *report)
{
    for (int i = 0; i < NAT_CHECK_COUNT; i++) {
        if (report->wrong[i] > 0)
            log_error("the translation table does not add up: %llu %s (%s)",
                      (unsigned long long)report->wrong[i],
                      nat_check_meaning((enum nat_check_name)i),
                      nat_check_name((enum nat_check_name)i));
    }
}

/* Ends the check; `report` may be NULL. */
static void finish_check(struct job *job, struct nat_check_report *report)
{
    if (job->check == NULL)
        return;
    nat_check_end(gateway_lock(job->gateway), report);
    gateway_unlock(job->gateway);
    free(job->check);
    job->check = NULL;
}

static void end_check(struct job *job)
{
    finish_check(job, NULL);
}

static bool step_check(struct job *job, struct gateway *gateway)
{
    bool more = nat_check_step(gateway_lock(gateway), CHECK_SLICE), kernel;
    struct nat_check_report report;

    gateway_unlock(gateway);
    if (more)
        return false;
    kernel = gateway_check_kernel(gateway) == 0;
    finish_check(job, &report);
    log_faults(&report);
    answer_result(job->output, job->id, json_check(&report, kernel));
    return true;
}

/* False if there is another check. */
static bool begin_check(struct job *job, struct nat_check *memory)
{
    bool begun = nat_check_begin(gateway_lock(job->gateway), memory);

    gateway_unlock(job->gateway);
    if (begun)
        job->check = memory;
    return begun;
}

static void give_up_job(struct job *job)
{
    job->client->job = NULL;
    job_end(job);
}

void job_begin_check(struct request *request)
{
    static const struct job_kind kind = {step_check, end_check};
    struct job *job = job_begin(request, &kind);
    struct nat_check *memory;
    size_t size;

    if (job == NULL)
        return;
    job->gateway = request->gateway;
    size = nat_check_memory(gateway_lock(request->gateway));
    gateway_unlock(request->gateway);
    memory = calloc(1, size);
    if (memory == NULL) {
        answer_result(request->output, request->id, NULL);
        give_up_job(job);
    } else if (!begin_check(job, memory)) {
        answer_refusal(request->output, request->id, CONTROL_ERROR_REFUSED, NULL,
                       "another client is checking the table: ask again when that is done");
        free(memory);
        give_up_job(job);
    }
}
