/*
 * options.c - the command line, without the meaning of its words
 */
#include "options.h"

#include "exit_code.h"
#include "portreeve/control_protocol.h"

#include <getopt.h>
#include <stdio.h>

/* What getopt_long returns for an enum verb_option: more than any letter of a short option. */
#define LONG_OPTION(option) (256 + (option))

static const struct option long_options[] = {
    [OPTION_JSON] = {"json", no_argument, NULL, LONG_OPTION(OPTION_JSON)},
    [OPTION_ALL] = {"all", no_argument, NULL, LONG_OPTION(OPTION_ALL)},
    [OPTION_ALLOW] = {"allow", required_argument, NULL, LONG_OPTION(OPTION_ALLOW)},
    [OPTION_OWNER] = {"owner", required_argument, NULL, LONG_OPTION(OPTION_OWNER)},
    [OPTION_NOTE] = {"note", required_argument, NULL, LONG_OPTION(OPTION_NOTE)},
    [OPTION_FOR] = {"for", required_argument, NULL, LONG_OPTION(OPTION_FOR)},
    [OPTION_EXPIRES] = {"expires", required_argument, NULL, LONG_OPTION(OPTION_EXPIRES)},
    [OPTION_FORCE] = {"force", no_argument, NULL, LONG_OPTION(OPTION_FORCE)},
    [OPTION_SESSIONS] = {"sessions", required_argument, NULL, LONG_OPTION(OPTION_SESSIONS)},
    [OPTION_NEW_SESSIONS] = {"new-sessions", required_argument, NULL,
                             LONG_OPTION(OPTION_NEW_SESSIONS)},
    [OPTION_FORMAT] = {"format", required_argument, NULL, LONG_OPTION(OPTION_FORMAT)},
    [OPTION_WIDE] = {"wide", no_argument, NULL, LONG_OPTION(OPTION_WIDE)},
    [OPTION_COLUMNS] = {"columns", required_argument, NULL, LONG_OPTION(OPTION_COLUMNS)},
    [OPTION_SORT] = {"sort", required_argument, NULL, LONG_OPTION(OPTION_SORT)},
    [OPTION_LIMIT] = {"limit", required_argument, NULL, LONG_OPTION(OPTION_LIMIT)},
    [OPTION_NUMERIC] = {"numeric", no_argument, NULL, LONG_OPTION(OPTION_NUMERIC)},
    [OPTION_DIFF] = {"diff", no_argument, NULL, LONG_OPTION(OPTION_DIFF)},
    [OPTION_FAIL_ON] = {"fail-on", required_argument, NULL, LONG_OPTION(OPTION_FAIL_ON)},
    [OPTION_PROBE] = {"probe", no_argument, NULL, LONG_OPTION(OPTION_PROBE)},
    [OPTION_BY] = {"by", required_argument, NULL, LONG_OPTION(OPTION_BY)},
    /* accepted with every verb */
    {"socket", required_argument, NULL, 's'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* The short options of some verbs are long ones, too. */
static int long_form(int letter)
{
    return letter == 'n'   ? LONG_OPTION(OPTION_NUMERIC)
           : letter == 'o' ? LONG_OPTION(OPTION_COLUMNS)
                           : letter;
}

bool options_parse(struct options *options, int argc, char **argv, int *code)
{
    int letter;

    *options = (struct options){.socket = CONTROL_SOCKET_DEFAULT};
    while ((letter = getopt_long(argc, argv, "s:hVno:", long_options, NULL)) != -1) {
        letter = long_form(letter);
        switch (letter) {
        case 's':
            options->socket = optarg;
            break;
        case 'h':
            options->help = true;
            break;
        case 'V':
            puts("portreeve " PORTREEVE_VERSION);
            *code = EXIT_DONE;
            return false;
        case '?':
            fprintf(stderr, "'portreeve --help' lists all options\n");
            *code = EXIT_USAGE;
            return false;
        default:
            options->given |= OPTION_BIT(letter - LONG_OPTION(0));
            options->value[letter - LONG_OPTION(0)] = optarg;
        }
    }
    options->words = argv + optind;
    options->count = argc - optind;
    return true;
}

bool options_has(const struct options *options, enum verb_option option)
{
    return options->given & OPTION_BIT(option);
}

const char *options_name(enum verb_option option)
{
    return long_options[option].name;
}
