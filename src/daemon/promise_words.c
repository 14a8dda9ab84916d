/*
 * promise_words.c - why a promise does not hold, in a sentence
 */
#include "portreeve/promise_words.h"

#include "portreeve/text.h"

#include <stdio.h>

char *promise_words(const struct breach *breach, char buffer[PROMISE_WORDS_MAX])
{
    char from[ADDRESS_TEXT_MAX], internal[ENDPOINT_TEXT_MAX];
    const char *protocol = protocol_name(breach->protocol);

    text_format_address(&breach->from, from);
    text_format_endpoint(&breach->internal, internal);
    switch (breach->kind) {
    case BREACH_FILTERING:
        snprintf(buffer, PROMISE_WORDS_MAX,
                 "filtering of share '%s' is endpoint-independent: what %s (%s) sends opens it to "
                 "everyone",
                 breach->share->name, internal, protocol);
        break;
    case BREACH_NO_FORWARD:
        snprintf(buffer, PROMISE_WORDS_MAX, "no forward listens on %u/%s", breach->external_port,
                 protocol);
        break;
    case BREACH_NOT_ALLOWED:
        snprintf(buffer, PROMISE_WORDS_MAX, "%s may not send to %u/%s", from, breach->external_port,
                 protocol);
        break;
    case BREACH_EXPIRES:
        snprintf(buffer, PROMISE_WORDS_MAX, "the forward of %u/%s expires", breach->external_port,
                 protocol);
        break;
    default:
        snprintf(buffer, PROMISE_WORDS_MAX, "%s may send to %u/%s, which leads to %s", from,
                 breach->external_port, protocol, internal);
    }
    return buffer;
}
