/*
 * promise_check.c - whether a configuration keeps its own promises
 */
#include "promise_check.h"

#include "keys.h"
#include "place.h"
#include "portreeve/promise.h"
#include "portreeve/promise_words.h"
#include "report.h"

#include <string.h>

static bool is_promise(const struct section *section)
{
    return !section->ignored && (section->kind == &section_kinds[SECTION_NEVER] ||
                                 section->kind == &section_kinds[SECTION_ALWAYS]);
}

/* Without `protocol`, a promise is about both. */
static bool add_promise(struct reading *reading, struct section *section)
{
    struct promise *promise = &section->promise;

    memcpy(promise->name, section->name, sizeof(promise->name));
    promise->is_always = section->kind == &section_kinds[SECTION_ALWAYS];
    if (promise->protocols == 0)
        promise->protocols = FORWARD_TCP | FORWARD_UDP;
    (void)place_of(reading, section->line, &promise->line);
    promise->file = place_file(reading, section->line);
    return policy_add_promise(reading->config->policy, promise);
}

static const struct section *section_of(const struct reading *reading, const char *name)
{
    for (size_t i = 0; i < reading->section_count; i++) {
        const struct section *section = reading->sections[i];

        if (section->kind == &section_kinds[SECTION_FORWARD] && !section->ignored &&
            strcmp(section->name, name) == 0)
            return section;
    }
    return NULL;
}

/* With the line of the promise, and that of the forward that breaks it. */
static void check_one(struct reading *reading, const struct section *section, size_t index)
{
    const struct policy *policy = reading->config->policy;
    const struct section *forward;
    struct breach breach;
    char title[TITLE_MAX], place[PLACE_MAX], words[PROMISE_WORDS_MAX];

    if (!promise_is_broken(policy, policy_promise(policy, index), &breach))
        return;
    promise_words(&breach, words);
    config_title(section, title);
    forward = breach.forward != NULL ? section_of(reading, breach.forward->name) : NULL;
    if (forward != NULL)
        config_problem(reading, section->line, "%s is broken by [forward %s] at %s: %s", title,
                       breach.forward->name, place_text(reading, forward->line, place), words);
    else
        config_problem(reading, section->line, "%s is broken: %s", title, words);
}

bool config_check_promises(struct reading *reading)
{
    size_t count = 0;

    for (size_t i = 0; i < reading->section_count; i++) {
        if (!is_promise(reading->sections[i]))
            continue;
        if (policy_promise_count(reading->config->policy) == POLICY_PROMISES_MAX) {
            config_problem(reading, reading->sections[i]->line,
                           "there are too many promises; expected at most %d", POLICY_PROMISES_MAX);
            return true;
        }
        if (!add_promise(reading, reading->sections[i]))
            return false;
        check_one(reading, reading->sections[i], count++);
    }
    return true;
}
