/*
 * forward_words.c - a forward in the sentences of answers
 */
#include "portreeve/forward_words.h"

#include "portreeve/text.h"

#include <stdio.h>
#include <string.h>

char *forward_place(const struct config *config, const char *path, const struct forward *forward,
                    char buffer[FORWARD_WORDS_MAX])
{
    const char *file = config_file(config, path, forward->file), *slash = strrchr(file, '/');

    if (forward->line == 0)
        snprintf(buffer, FORWARD_WORDS_MAX, "run-time forward");
    else
        snprintf(buffer, FORWARD_WORDS_MAX, "%.64s:%u", slash != NULL ? slash + 1 : file,
                 forward->line);
    return buffer;
}

char *forward_allowed(const struct forward *forward, char buffer[FORWARD_WORDS_MAX])
{
    size_t used = (size_t)snprintf(buffer, FORWARD_WORDS_MAX, "%s",
                                   forward->allow_count == 0 ? "anyone" : "");

    for (size_t i = 0; i < forward->allow_count; i++) {
        char text[PREFIX_TEXT_MAX];

        text_format_prefix(&forward->allow[i], text);
        if (used + strlen(text) + 8 > FORWARD_WORDS_MAX) {
            snprintf(buffer + used, FORWARD_WORDS_MAX - used, ", ...");
            break;
        }
        used += (size_t)snprintf(buffer + used, FORWARD_WORDS_MAX - used, "%s%s", i > 0 ? ", " : "",
                                 text);
    }
    return buffer;
}
