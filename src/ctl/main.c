/*
 * main.c - portreeve: the command line, and the table of verbs
 */
#include "ctl.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_ANY 1000

static const struct verb {
    const char *name; /* one word, or two */
    const char *arguments;
    int min, max; /* words after the name */
    unsigned options;
    const char *summary;
    const char *help;
    int (*run)(const struct options *options);
} verbs[] = {
    {"status", "[--json]", 0, 0, OPTION_JSON,
     "how the gateway is: warnings, sessions, pools, traffic, drops", "", run_status},
    {"sessions", "[FILTER...] [--json]", 0, WORDS_ANY, OPTION_JSON, "the live translation table",
     "Exit status 1 when a filter matches nothing (with --json: an empty array, and 0).\n",
     run_sessions},
    {"mappings", "[--json]", 0, 0, OPTION_JSON,
     "which internal endpoint is seen as which external one", "", run_mappings},
    {"forwards", "[--json]", 0, 0, OPTION_JSON,
     "the forwards, of the configuration and added at run time", "", run_forwards},
    {"forward add", "NAME LISTEN TO [OPTION...]", 3, 3,
     OPTION_ALLOW | OPTION_OWNER | OPTION_NOTE | OPTION_FOR | OPTION_EXPIRES,
     "add a forward at run time (root)",
     "LISTEN is a port, a range or a service, and the protocol: 2222/tcp, 8000-8099/udp, "
     "domain/tcp+udp.\n"
     "TO is the internal address and port: 10.0.0.22:22.\n"
     "\n"
     "  --allow PREFIX,...  who may come in (default: anyone)\n"
     "  --owner TEXT        whose it is\n"
     "  --note TEXT         what it is for\n"
     "  --for DURATION      gone after that: 30m, 2h, 1d12h\n"
     "  --expires TIME      gone then: 2026-12-31T18:00:00Z\n",
     run_forward_add},
    {"forward remove", "NAME", 1, 1, 0, "remove a forward that was added at run time (root)",
     "Its sessions end. Forwards of the configuration are taken out there, followed by 'portreeve "
     "reload'.\n",
     run_forward_remove},
    {"events", "[FILTER...] [--json]", 0, WORDS_ANY, OPTION_JSON,
     "sessions as they open, are established and close",
     "Ends with Ctrl-C. --json: an object in a line.\n", run_events},
    {"kill", "FILTER... | --all", 0, WORDS_ANY, OPTION_ALL, "end the sessions that match (root)",
     "Exit status 1 when no session matches.\n", run_kill},
    {"reload", "", 0, 0, 0, "read the configuration again (root)",
     "With an error in it nothing changes, and every error is shown.\n", run_reload},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const char filter_help[] = "FILTER: words that must all hold\n"
                                  "  tcp udp icmp                     the protocol\n"
                                  "  10.0.0.7 10.0.0.0/24 :443 :https\n"
                                  "                                   any endpoint; of one only: "
                                  "internal=, external=, remote= before it\n"
                                  "  state=established                unanswered answered opening "
                                  "established closing closed reset\n"
                                  "  direction=inbound                outbound inbound hairpin\n"
                                  "  share=NAME forward=NAME id=NUMBER offloaded\n";

static void print_usage(FILE *out)
{
    fprintf(out, "usage: portreeve [-s SOCKET] VERB ...\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-15s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out,
            "\n"
            "  -s, --socket SOCKET  the daemon's control socket (default " DEFAULT_SOCKET ")\n"
            "  -h, --help           this text; after a verb: about the verb\n"
            "  -V, --version        the version\n"
            "\n"
            "%s\n"
            "Exit status: 0 done, 1 refused or nothing matched, 2 wrong usage, 3 the daemon cannot "
            "be reached,\n"
            "4 not permitted. See portreeve(1).\n",
            filter_help);
}

static void print_verb_help(const struct verb *verb)
{
    printf("usage: portreeve [-s SOCKET] %s%s%s\n\n%s\n", verb->name, verb->arguments[0] ? " " : "",
           verb->arguments, verb->summary);
    if (verb->help[0])
        printf("\n%s", verb->help);
    if (strstr(verb->arguments, "FILTER"))
        printf("\n%s", filter_help);
}

/* The verb that the first words name; *used is how many they are. */
static const struct verb *find_verb(char **words, int count, int *used)
{
    for (size_t i = 0; i < VERB_COUNT && count > 0; i++) {
        const char *space = strchr(verbs[i].name, ' ');
        size_t length = space ? (size_t)(space - verbs[i].name) : strlen(verbs[i].name);

        if (strlen(words[0]) != length || strncmp(words[0], verbs[i].name, length) != 0)
            continue;
        if (space && (count < 2 || strcmp(words[1], space + 1) != 0))
            continue;
        *used = space ? 2 : 1;
        return &verbs[i];
    }
    return NULL;
}

static const struct option long_options[] = {
    {"socket", required_argument, NULL, 's'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"json", no_argument, NULL, 'j'},
    {"all", no_argument, NULL, 'a'},
    {"allow", required_argument, NULL, 'A'},
    {"owner", required_argument, NULL, 'o'},
    {"note", required_argument, NULL, 'n'},
    {"for", required_argument, NULL, 'f'},
    {"expires", required_argument, NULL, 'e'},
    {NULL, 0, NULL, 0},
};

static void take_option(struct options *options, int option, const char *value)
{
    const struct {
        int option;
        enum option_bit bit;
        const char **value;
    } known[] = {
        {'j', OPTION_JSON, NULL},
        {'a', OPTION_ALL, NULL},
        {'A', OPTION_ALLOW, &options->allow},
        {'o', OPTION_OWNER, &options->owner},
        {'n', OPTION_NOTE, &options->note},
        {'f', OPTION_FOR, &options->duration},
        {'e', OPTION_EXPIRES, &options->expires},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].option != option)
            continue;
        options->given |= (unsigned)known[i].bit;
        if (known[i].value != NULL)
            *known[i].value = value;
    }
}

/* True for -h; *code is set, to -1 to go on. */
static bool parse_options(int argc, char **argv, struct options *options, int *code)
{
    bool help = false;
    int option;

    *code = -1;
    while ((option = getopt_long(argc, argv, "s:hV", long_options, NULL)) != -1) {
        switch (option) {
        case 's':
            options->socket = optarg;
            break;
        case 'h':
            help = true;
            break;
        case 'V':
            puts("portreeve " PORTREEVE_VERSION);
            *code = EXIT_DONE;
            return help;
        case '?':
            fprintf(stderr, "'portreeve --help' lists the options\n");
            *code = EXIT_USAGE;
            return help;
        default:
            take_option(options, option, optarg);
        }
    }
    options->words = argv + optind;
    options->count = argc - optind;
    return help;
}

static int unknown_verb(const struct options *options)
{
    if (options->count == 0)
        print_usage(stderr);
    else if (strcmp(options->words[0], "forward") == 0)
        complain("expected 'forward add' or 'forward remove'; 'forwards' lists them");
    else
        complain("there is no verb '%s'; 'portreeve --help' lists them", options->words[0]);
    return EXIT_USAGE;
}

static int check_usage(const struct verb *verb, const struct options *options)
{
    static const char *const names[] = {"--json", "--all", "--allow",  "--owner",
                                        "--note", "--for", "--expires"};
    unsigned strange = options->given & ~verb->options;

    if (strange != 0) {
        complain("'%s' takes no %s", verb->name, names[__builtin_ctz(strange)]);
        return EXIT_USAGE;
    }
    if (options->count < verb->min || options->count > verb->max) {
        complain("%s: expected: portreeve %s%s%s",
                 options->count < verb->min ? "too few words" : "too many words", verb->name,
                 verb->arguments[0] ? " " : "", verb->arguments);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

static int run_verb(struct options *options, bool help)
{
    int used = 0, code;
    const struct verb *verb = find_verb(options->words, options->count, &used);

    if (verb == NULL && help && options->count == 0) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (verb == NULL)
        return unknown_verb(options);
    if (help) {
        print_verb_help(verb);
        return EXIT_DONE;
    }
    options->words += used;
    options->count -= used;
    code = check_usage(verb, options);
    return code != EXIT_DONE ? code : verb->run(options);
}

/* A full disk is an error; a reader that has had enough (head) is none. */
static int close_stdout(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno == EPIPE)
        return code;
    complain("cannot write the output: %s", strerror(errno));
    return code == EXIT_DONE ? EXIT_REFUSED : code;
}

int main(int argc, char **argv)
{
    struct options options = {.socket = DEFAULT_SOCKET};
    int code;
    bool help;

    setlocale(LC_CTYPE,
              "C.UTF-8"); /* for the width of characters; names and notes are UTF-8 in any locale */
    help = parse_options(argc, argv, &options, &code);
    if (code < 0)
        code = run_verb(&options, help);
    return close_stdout(code);
}
