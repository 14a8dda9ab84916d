/*
 * addition.c - one forward from the control socket, with the keys, checks and messages of the file
 */
#include "check.h"
#include "forward.h"
#include "keys.h"
#include "portreeve/names.h"
#include "report.h"
#include "value.h"

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

bool config_add_forward(struct policy *policy, const struct forward_text *text, bool runtime,
                        config_report *report, void *context)
{
    struct reading reading = {.now = time(NULL)};
    struct section *section = config_section_new(&section_kinds[SECTION_FORWARD], 0);
    bool added = false;

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
    if (!reading.failed)
        config_check_target(&reading, section);
    if (!reading.failed)
        check_against(&reading, policy, &section->forward);
    section->forward.runtime = runtime;
    if (!reading.failed) {
        added = policy_add_forward(policy, &section->forward);
        if (!added)
            config_problem(&reading, 0, "there are too many forwards; expected at most %d",
                           POLICY_FORWARDS_MAX);
    }
    config_report_all(&reading, report, NULL, context);
    config_section_free(section);
    return added;
}
