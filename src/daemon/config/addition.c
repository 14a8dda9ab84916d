/*
 * addition.c - one forward from the control socket, with the keys, checks and messages of the file
 */
#include "check.h"
#include "forward.h"
#include "keys.h"
#include "portreeve/names.h"
#include "portreeve/promise.h"
#include "portreeve/promise_words.h"
#include "report.h"
#include "value.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void take_texts(struct reading *reading, struct section *section,
                       const struct forward_text *text)
{
    const char *const values[FORWARD_KEYS] = {
        [FORWARD_LISTEN] = text->listen,     [FORWARD_TO] = text->to,
        [FORWARD_ALLOW] = text->allow,       [FORWARD_OWNER] = text->owner,
        [FORWARD_NOTE] = text->note,         [FORWARD_EXPIRES] = text->expires,
        [FORWARD_SESSIONS] = text->sessions, [FORWARD_NEW_SESSIONS] = text->new_sessions,
    };

    for (size_t i = 0; i < FORWARD_KEYS; i++) {
        if (values[i] != NULL)
            config_take_value(reading, section, i, values[i]);
        else if (forward_keys[i].flags & KEY_REQUIRED)
            config_problem(reading, 0, "%s: missing; expected %s", forward_keys[i].name,
                           forward_keys[i].expected);
    }
}

static void check_against(struct reading *reading, const struct policy *policy,
                          const struct forward *forward)
{
    const struct forward *other = policy_find_conflict(policy, forward);

    if (policy_find_forward(policy, forward->name) != NULL)
        config_problem(reading, 0,
                       "name = %s: a forward with this name already exists; expected another name",
                       forward->name);
    if (other != NULL && other->listen.first == other->listen.last)
        config_problem(reading, 0,
                       "listen: port %u is already used by the forward '%s'; expected a free port",
                       other->listen.first, other->name);
    else if (other != NULL)
        config_problem(
            reading, 0,
            "listen: ports %u-%u are already used by the forward '%s'; expected free ports",
            other->listen.first, other->listen.last, other->name);
}

/* Adds the forward of a complete section, unless there are errors; reports them. */
static bool add_section(struct reading *reading, struct policy *policy, struct section *section,
                        config_report *report, void *context)
{
    char words[PROMISE_WORDS_MAX];
    struct breach breach;
    bool added = false;

    if (!reading->failed)
        config_check_target(reading, section);
    if (!reading->failed)
        check_against(reading, policy, &section->forward);
    if (!reading->failed && promise_forbids(policy, &section->forward, &breach))
        config_problem(reading, 0, "[never %s] of the configuration forbids it: %s",
                       breach.promise->name, promise_words(&breach, words));
    if (!reading->failed) {
        added = policy_add_forward(policy, &section->forward);
        if (!added)
            config_problem(reading, 0, "there are too many forwards; expected at most %d",
                           POLICY_FORWARDS_MAX);
    }
    config_report_all(reading, report, NULL, context);
    config_section_free(section);
    return added;
}

bool config_add_forward(struct policy *policy, const struct forward_text *text, bool runtime,
                        config_report *report, void *context)
{
    struct reading reading = {.now = time(NULL)};
    struct section *section = config_section_new(&section_kinds[SECTION_FORWARD], 0);

    if (section == NULL) {
        report(context, "not enough memory");
        return false;
    }
    if (text->name == NULL || !config_name_is_good(text->name))
        config_problem(&reading, 0,
                       "name = %.200s: expected at most %d letters, digits, '.', '_' and '-', "
                       "starting with a letter or digit",
                       text->name != NULL ? text->name : "", POLICY_NAME_MAX - 1);
    else
        strcpy(section->forward.name, text->name);
    take_texts(&reading, section, text);
    section->forward.runtime = runtime;
    return add_section(&reading, policy, section, report, context);
}

/* Takes a value away. */
static void clear_value(struct forward *forward, size_t key)
{
    switch (key) {
    case FORWARD_ALLOW:
        free(forward->allow);
        forward->allow = NULL;
        forward->allow_count = 0;
        break;
    case FORWARD_OWNER:
        forward->owner[0] = '\0';
        break;
    case FORWARD_NOTE:
        forward->note[0] = '\0';
        break;
    case FORWARD_EXPIRES:
        forward->expires = 0;
        break;
    case FORWARD_SESSIONS:
        forward->sessions = 0;
        break;
    default:
        forward->new_sessions = 0;
    }
}

static void change_texts(struct reading *reading, struct section *section,
                         const struct forward_text *text)
{
    const struct {
        size_t key;
        const char *value, *none; /* a word for no value */
    } changes[] = {
        {FORWARD_ALLOW, text->allow, "anyone"}, {FORWARD_OWNER, text->owner, ""},
        {FORWARD_NOTE, text->note, ""},         {FORWARD_EXPIRES, text->expires, "never"},
        {FORWARD_SESSIONS, text->sessions, ""}, {FORWARD_NEW_SESSIONS, text->new_sessions, ""},
    };

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const char *value = changes[i].value;

        if (value == NULL)
            continue;
        clear_value(&section->forward, changes[i].key);
        if (*value != '\0' && strcmp(value, changes[i].none) != 0)
            config_take_value(reading, section, changes[i].key, value);
    }
}

bool config_change_forward(struct policy *policy, const struct forward *before,
                           const struct forward_text *text, config_report *report, void *context)
{
    struct reading reading = {.now = time(NULL)};
    struct section *section = config_section_new(&section_kinds[SECTION_FORWARD], 0);
    size_t size = before->allow_count * sizeof(*before->allow);
    struct prefix *allow = malloc(size + 1);

    if (section == NULL || allow == NULL) {
        free(allow);
        if (section != NULL)
            config_section_free(section);
        report(context, "not enough memory");
        return false;
    }
    if (size > 0)
        memcpy(allow, before->allow, size);
    section->forward = *before;
    section->forward.allow = allow;
    change_texts(&reading, section, text);
    return add_section(&reading, policy, section, report, context);
}
