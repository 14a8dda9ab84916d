/*
 * options.h - the command line, without the meaning of its words
 */
#ifndef PORTREEVE_CTL_OPTIONS_H
#define PORTREEVE_CTL_OPTIONS_H

#include <stdbool.h>

/* The options that only some verbs accept. */
enum verb_option {
    OPTION_JSON,
    OPTION_ALL,
    OPTION_ALLOW,
    OPTION_OWNER,
    OPTION_NOTE,
    OPTION_FOR,
    OPTION_EXPIRES,
    OPTION_FORCE,
    OPTION_SESSIONS,
    OPTION_NEW_SESSIONS,
    OPTION_FORMAT,
    OPTION_WIDE,
    OPTION_COLUMNS,
    OPTION_SORT,
    OPTION_LIMIT,
    OPTION_NUMERIC,
    OPTION_DIFF,
    OPTION_FAIL_ON,
    OPTION_PROBE,
    OPTION_BY,
    OPTION_COUNT
};

#define OPTION_BIT(option) (1u << (option))

/* Of every verb that prints a table. */
#define OPTIONS_TABLE                                                                              \
    (OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_FORMAT) | OPTION_BIT(OPTION_WIDE) |               \
     OPTION_BIT(OPTION_COLUMNS) | OPTION_BIT(OPTION_SORT) | OPTION_BIT(OPTION_LIMIT) |             \
     OPTION_BIT(OPTION_NUMERIC))

struct options {
    const char *socket;
    bool help;
    unsigned given;                  /* OPTION_BIT of each option on the command line */
    const char *value[OPTION_COUNT]; /* NULL: not given, or takes no value */
    char **words;                    /* after the verb */
    int count;
};

/*
 * Reads the options; the other words are left for the verb. False if nothing is left to do: then
 * *code is the exit code.
 */
bool options_parse(struct options *options, int argc, char **argv, int *code);

bool options_has(const struct options *options, enum verb_option option);

/* "json", without the dashes */
const char *options_name(enum verb_option option);

#endif
