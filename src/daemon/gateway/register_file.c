/*
 * register_file.c - the register of open ports, kept across restarts and reboots
 */
#include "register_file.h"

#include "portreeve/log.h"
#include "portreeve/names.h"
#include "portreeve/text.h"
#include "state_file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

static void file_path(char path[STATE_PATH_MAX], const char *directory, const char *suffix)
{
    snprintf(path, STATE_PATH_MAX, "%s/register.json%s", directory, suffix);
}

/* ---- writing: an entry a line, because there may be many ---- */

static json_t *refused_json(const uint64_t refused[DROP_REASON_COUNT])
{
    json_t *object = json_object();

    for (int reason = 0; reason < DROP_REASON_COUNT; reason++) {
        if (refused[reason] > 0)
            json_object_set_new(object, drop_reason_name((enum drop_reason)reason),
                                json_integer((json_int_t)refused[reason]));
    }
    return object;
}

static json_t *entry_json(const struct register_entry *entry)
{
    const struct forward_use *use = &entry->use;

    return json_pack("{s:s,s:I,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:I,s:s,s:I}", "name", entry->name,
                     "opened", (json_int_t)use->opened, "refused", refused_json(use->refused),
                     "bytes_in", (json_int_t)use->bytes_in, "bytes_out", (json_int_t)use->bytes_out,
                     "first_used", (json_int_t)use->first_used, "last_used",
                     (json_int_t)use->last_used, "since", (json_int_t)entry->since, "added",
                     (json_int_t)entry->added, "added_by", entry->added_by, "changed",
                     (json_int_t)entry->changed, "changed_by", entry->changed_by, "values",
                     (json_int_t)entry->values);
}

static int write_entries(FILE *stream, const void *context)
{
    const struct forward_register *ports = context;
    int result = 0;

    fprintf(stream, "{\"version\": %d, \"ports\": [", VERSION);
    for (size_t i = 0; i < register_count(ports) && result == 0; i++) {
        json_t *json = entry_json(register_at(ports, i));

        fputs(i > 0 ? ",\n" : "\n", stream);
        errno = EIO;
        if (json == NULL || json_dumpf(json, stream, JSON_COMPACT) < 0)
            result = json == NULL ? -ENOMEM : -errno;
        json_decref(json);
    }
    fputs("\n]}\n", stream);
    return result < 0 || !ferror(stream) ? result : -EIO;
}

int register_file_save(const char *directory, struct forward_register *ports, struct error *error)
{
    char path[STATE_PATH_MAX];
    int result;

    if (!register_take_changed(ports))
        return 0;
    file_path(path, directory, "");
    result = state_file_replace(path, write_entries, ports, error);
    if (result < 0)
        register_set_changed(ports);
    return result;
}

/* ---- reading ---- */

/* Numbers are those of counters and times: never negative. */
static bool take_number(const json_t *object, const char *name, uint64_t *number)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *number = (uint64_t)json_integer_value(value);
    return true;
}

static bool take_time(const json_t *object, const char *name, int64_t *time)
{
    uint64_t number;
    bool taken = take_number(object, name, &number) && number <= INT32_MAX * UINT64_C(100);

    if (taken)
        *time = (int64_t)number;
    return taken;
}

static bool take_who(const json_t *object, const char *name, char who[REGISTER_WHO_MAX])
{
    const char *text = json_string_value(json_object_get(object, name));

    if (text == NULL || strlen(text) >= REGISTER_WHO_MAX)
        return false;
    strcpy(who, text);
    text_make_printable(who);
    return true;
}

/* Reasons that this version does not have are left out. */
static bool take_refused(const json_t *object, uint64_t refused[DROP_REASON_COUNT])
{
    const json_t *reasons = json_object_get(object, "refused");

    for (int reason = 0; reason < DROP_REASON_COUNT; reason++) {
        const char *name = drop_reason_name((enum drop_reason)reason);

        if (json_object_get(reasons, name) != NULL && !take_number(reasons, name, &refused[reason]))
            return false;
    }
    return json_is_object(reasons);
}

static bool take_entry(const json_t *object, struct register_entry *entry)
{
    struct forward_use *use = &entry->use;
    const char *name = json_string_value(json_object_get(object, "name"));
    int64_t first, last;

    *entry = (struct register_entry){0};
    if (name == NULL || !config_name_is_good(name) ||
        !take_number(object, "opened", &use->opened) || !take_refused(object, use->refused) ||
        !take_number(object, "bytes_in", &use->bytes_in) ||
        !take_number(object, "bytes_out", &use->bytes_out) ||
        !take_time(object, "first_used", &first) || !take_time(object, "last_used", &last) ||
        !take_time(object, "since", &entry->since) || !take_time(object, "added", &entry->added) ||
        !take_time(object, "changed", &entry->changed) ||
        !take_who(object, "added_by", entry->added_by) ||
        !take_who(object, "changed_by", entry->changed_by) ||
        !take_number(object, "values", &entry->values))
        return false;
    strcpy(entry->name, name);
    use->first_used = (uint64_t)first;
    use->last_used = (uint64_t)last;
    return true;
}

/* All entries, or none and a sentence. */
static bool take_all(const json_t *file, const char *path, struct forward_register *ports,
                     struct error *error)
{
    const json_t *list = json_object_get(file, "ports"), *object;
    const json_t *version = json_object_get(file, "version");
    struct register_entry entry;
    size_t index;

    if (!json_is_integer(version) || json_integer_value(version) != VERSION) {
        error_set(error, "%s: it is not of version %d", path, VERSION);
        return false;
    }
    if (!json_is_array(list) || json_array_size(list) > POLICY_FORWARDS_MAX) {
        error_set(error, "%s: ports: expected a list of at most %d", path, POLICY_FORWARDS_MAX);
        return false;
    }
    json_array_foreach(list, index, object)
    {
        if (!take_entry(object, &entry)) {
            error_set(error, "%s: entry %zu of ports does not make sense", path, index + 1);
            return false;
        }
    }
    json_array_foreach(list, index, object)
    {
        if (take_entry(object, &entry))
            (void)register_restore(ports, &entry);
    }
    return true;
}

/* Somebody may want to read it: the next save would replace it. */
static void set_aside(const char *directory, const char *path, const char *reason)
{
    char aside[STATE_PATH_MAX];

    file_path(aside, directory, ".unreadable");
    if (rename(path, aside) < 0)
        log_warning("cannot read the register of open ports: %s; cannot rename the file to %s: %s",
                    reason, aside, strerror(errno));
    else
        log_warning("cannot read the register of open ports, so counting begins anew: %s; the file "
                    "is now %s",
                    reason, aside);
}

void register_file_load(const char *directory, struct forward_register *ports)
{
    char path[STATE_PATH_MAX];
    struct error error = {0};
    json_error_t problem;
    json_t *file = NULL;
    FILE *stream;

    file_path(path, directory, "");
    stream = state_file_read(path, &error);
    if (stream != NULL) {
        file = json_loadf(stream, JSON_REJECT_DUPLICATES, &problem);
        fclose(stream);
        if (file == NULL)
            error_set(&error, "%s:%d: %s", path, problem.line, problem.text);
        else
            (void)take_all(file, path, ports, &error);
    }
    json_decref(file);
    if (error.text[0] != '\0')
        set_aside(directory, path, error.text);
}
