/*
 * words.c - a list of words in a sentence
 */
#include "words.h"

#include <stdio.h>

static const char *separator(size_t index, size_t count)
{
    if (index == 0)
        return "";
    return index + 1 < count ? ", " : " or ";
}

const char *words_list(const char *const *words, size_t count, char buffer[WORDS_TEXT_MAX])
{
    size_t used = 0;

    snprintf(buffer, WORDS_TEXT_MAX, "none");
    for (size_t i = 0; i < count && used < WORDS_TEXT_MAX; i++)
        used += (size_t)snprintf(buffer + used, WORDS_TEXT_MAX - used, "%s%s", separator(i, count),
                                 words[i]);
    return buffer;
}
