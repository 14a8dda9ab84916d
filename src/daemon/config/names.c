/*
 * names.c - names of shares and forwards, and suggestions for mistyped words
 */
#include "portreeve/names.h"

#include "portreeve/policy.h"

#include <string.h>

#define WORD_MAX 40 /* longer words get no suggestion */

static bool is_name_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool config_name_is_good(const char *name)
{
    size_t length = strlen(name);

    if (length >= POLICY_NAME_MAX || !is_name_letter(name[0]))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_name_letter(name[i]) && strchr("._-", name[i]) == NULL)
            return false;
    }
    return true;
}

static size_t smallest(size_t one, size_t other)
{
    return one < other ? one : other;
}

/*
 * How many letters must be inserted, removed, changed or exchanged with their neighbour to turn one
 * word into the other (optimal string alignment). Both are shorter than WORD_MAX.
 */
static size_t distance(const char *typed, const char *word)
{
    size_t cost[WORD_MAX + 1][WORD_MAX + 1];
    size_t rows = strlen(typed), columns = strlen(word);

    for (size_t i = 0; i <= rows; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= columns; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        for (size_t j = 1; j <= columns; j++) {
            size_t changed = cost[i - 1][j - 1] + (typed[i - 1] != word[j - 1]);

            cost[i][j] = smallest(changed, smallest(cost[i - 1][j], cost[i][j - 1]) + 1);
            if (i > 1 && j > 1 && typed[i - 1] == word[j - 2] && typed[i - 2] == word[j - 1])
                cost[i][j] = smallest(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost[rows][columns];
}

const char *config_suggest(const char *typed, const char *const *words, size_t count)
{
    size_t length = strlen(typed);
    size_t best_cost = length < 4 ? 1 : length < 8 ? 2 : 3; /* beyond this it is another word */
    const char *best = NULL;

    if (length == 0 || length >= WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t cost = distance(typed, words[i]);

        if (cost < best_cost || (cost == best_cost && best == NULL)) {
            best = words[i];
            best_cost = cost;
        }
    }
    return best;
}
