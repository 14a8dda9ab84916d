/*
 * runtime_forwards.c - run-time forwards, kept across restarts of the daemon
 */
#include "runtime_forwards.h"

#include "portreeve/config.h"
#include "portreeve/log.h"
#include "portreeve/promise.h"
#include "portreeve/promise_words.h"
#include "portreeve/text.h"
#include "state_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void file_path(char path[STATE_PATH_MAX], const char *directory, const char *suffix)
{
    snprintf(path, STATE_PATH_MAX, "%s/forwards.json%s", directory, suffix);
}

/*
 * The values are the texts that a [forward] section would have, so the configuration's own code
 * reads them.
 */

static json_t *listen_text(const struct forward *forward)
{
    char protocols[PROTOCOLS_TEXT_MAX];

    text_format_protocols(forward->protocols, protocols);
    if (forward->listen.first == forward->listen.last)
        return json_sprintf("%u/%s", forward->listen.first, protocols);
    return json_sprintf("%u-%u/%s", forward->listen.first, forward->listen.last, protocols);
}

static json_t *allow_text(const struct forward *forward)
{
    char prefix[PREFIX_TEXT_MAX], *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    json_t *value = NULL;

    if (stream == NULL)
        return NULL;
    for (size_t i = 0; i < forward->allow_count; i++)
        fprintf(stream, "%s%s", i > 0 ? ", " : "", text_format_prefix(&forward->allow[i], prefix));
    if (fclose(stream) == 0)
        value = json_string(text);
    free(text);
    return value;
}

static json_t *expires_text(const struct forward *forward)
{
    char text[TIME_TEXT_MAX];

    return json_string(text_format_time(forward->expires, text));
}

static json_t *number_text(uint32_t number)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", (unsigned)number);
    return json_string(text);
}

/*
 * NULL without memory: a forward that is saved only in part would be another forward, possibly open
 * to anyone.
 */
static json_t *to_json(const struct forward *forward)
{
    char to[ENDPOINT_TEXT_MAX];
    json_t *object =
        json_pack("{s:s, s:o, s:s}", "name", forward->name, "listen", listen_text(forward), "to",
                  text_format_endpoint(&forward->target[0], to));

    if ((forward->allow_count > 0 &&
         json_object_set_new(object, "allow", allow_text(forward)) < 0) ||
        (forward->owner[0] != '\0' &&
         json_object_set_new(object, "owner", json_string(forward->owner)) < 0) ||
        (forward->note[0] != '\0' &&
         json_object_set_new(object, "note", json_string(forward->note)) < 0) ||
        (forward->expires != 0 &&
         json_object_set_new(object, "expires", expires_text(forward)) < 0) ||
        (forward->sessions != 0 &&
         json_object_set_new(object, "sessions", number_text(forward->sessions)) < 0) ||
        (forward->new_sessions != 0 &&
         json_object_set_new(object, "new_sessions", number_text(forward->new_sessions)) < 0)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* All run-time forwards, or NULL without memory. */
static json_t *list_of(const struct policy *policy)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < policy_forward_count(policy); i++) {
        if (policy_forward(policy, i)->runtime &&
            json_array_append_new(list, to_json(policy_forward(policy, i))) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static int write_list(FILE *stream, const void *list)
{
    errno = EIO;
    return json_dumpf(list, stream, JSON_INDENT(1)) < 0 ? -errno : 0;
}

int runtime_forwards_save(const char *directory, const struct policy *policy, struct error *error)
{
    char path[STATE_PATH_MAX];
    json_t *list = list_of(policy);
    int result = -ENOMEM;

    file_path(path, directory, "");
    if (list != NULL)
        result = state_file_replace(path, write_list, list, error);
    else
        error_set(error, "not enough memory to save the run-time forwards to %s", path);
    json_decref(list);
    return result;
}

static void warn(void *context, const char *message)
{
    log_warning("the saved run-time forward '%s' is not used: %s", (const char *)context, message);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void load_one(struct policy *saved, const struct policy *configured, const json_t *object)
{
    struct forward_text text = {
        .name = text_of(object, "name"),
        .listen = text_of(object, "listen"),
        .to = text_of(object, "to"),
        .allow = text_of(object, "allow"),
        .owner = text_of(object, "owner"),
        .note = text_of(object, "note"),
        .expires = text_of(object, "expires"),
        .sessions = text_of(object, "sessions"),
        .new_sessions = text_of(object, "new_sessions"),
    };
    size_t count = policy_forward_count(saved);
    char name[POLICY_NAME_MAX], words[PROMISE_WORDS_MAX];
    struct breach breach;
    int64_t expires;

    if (text.expires != NULL && text_parse_time(text.expires, &expires) && expires <= time(NULL))
        return; /* it has expired while no daemon was running */
    snprintf(name, sizeof(name), "%s", text.name != NULL ? text.name : "?");
    if (!config_add_forward(saved, &text, true, warn, name) || policy_forward_count(saved) == count)
        return;
    if (policy_find_forward(configured, name) != NULL ||
        policy_find_conflict(configured, policy_forward(saved, count)) != NULL) {
        warn(name, "the configuration now uses its name or its port");
        policy_remove_forward(saved, name);
    } else if (promise_forbids(configured, policy_forward(saved, count), &breach)) {
        warn(name, promise_words(&breach, words));
        policy_remove_forward(saved, name);
    }
}

/*
 * Somebody may want to read it: the next save would replace it.
 */
static void set_aside(const char *directory, const char *path, const char *reason)
{
    char aside[STATE_PATH_MAX];

    file_path(aside, directory, ".unreadable");
    if (rename(path, aside) < 0)
        log_warning("cannot read the saved run-time forwards: %s; cannot rename the file to %s: %s",
                    reason, aside, strerror(errno));
    else
        log_warning("cannot read the saved run-time forwards: %s; the file is now %s", reason,
                    aside);
}

/* A new reference to the list, or NULL. */
static json_t *read_list(const char *directory, const char *path)
{
    struct error error = {0};
    FILE *stream = state_file_read(path, &error);
    json_error_t problem;
    json_t *list;

    if (stream == NULL && error.text[0] != '\0')
        set_aside(directory, path, error.text);
    if (stream == NULL)
        return NULL;
    list = json_loadf(stream, JSON_REJECT_DUPLICATES, &problem);
    fclose(stream);
    if (list == NULL)
        error_set(&error, "%s:%d: %s", path, problem.line, problem.text);
    else if (!json_is_array(list))
        error_set(&error, "%s: not a list", path);
    if (error.text[0] != '\0') {
        set_aside(directory, path, error.text);
        json_decref(list);
        return NULL;
    }
    return list;
}

struct policy *runtime_forwards_load(const char *directory, const struct policy *configured)
{
    struct policy *saved = policy_new();
    char path[STATE_PATH_MAX];
    json_t *list, *object;
    size_t index;

    file_path(path, directory, "");
    list = saved == NULL ? NULL : read_list(directory, path);
    json_array_foreach(list, index, object) load_one(saved, configured, object);
    json_decref(list);
    return saved;
}
