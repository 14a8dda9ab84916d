/*
 * verbs.c - the verbs of portreeve, and their help
 *
 * A verb is the name of a method of the control protocol, with a space instead of the dot, but for
 * the last ones, which work with the answers of others.
 * tests/tables.py checks this, and that the verbs with "(root)" are the methods that change
 * something.
 */
#include "verbs.h"

#include "exit_code.h"
#include "portreeve/control_protocol.h"
#include "portreeve/view.h"
#include "run.h"
#include "say.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const struct verb {
    const char *name; /* one word, or two */
    const char *arguments;
    int min, max; /* words after the name */
    unsigned options;
    const char *summary;
    const char *help;
    int (*run)(const struct options *options);
} verbs[] = {
    {"status", "[--json]", 0, 0, OPTION_BIT(OPTION_JSON),
     "state of the gateway: warnings, sessions, pools and drops", "", run_status},
    {"sessions", "[FILTER...] [--json | TABLE-OPTION...]", 0, INT_MAX, OPTIONS_TABLE,
     "the live translation table",
     "Exit status 1 if no session matches the filter (with --json: an empty array\n"
     "and status 0).\n",
     run_sessions},
    {"mappings", "[--json | TABLE-OPTION...]", 0, 0, OPTIONS_TABLE,
     "the external endpoint of each internal endpoint", "", run_mappings},
    {"forwards", "[--json | TABLE-OPTION...]", 0, 0, OPTIONS_TABLE,
     "all forwards: those in the configuration and run-time forwards", "", run_forwards},
    {"events", "[FILTER... | drops] [--json]", 0, INT_MAX, OPTION_BIT(OPTION_JSON),
     "sessions as they open, are established and end; or dropped packets",
     "Stop it with Ctrl-C. --json: one object per line.\n"
     "drops: instead of sessions, what is dropped; once per second, at most 20 lines.\n",
     run_events},
    {"check", "[--json]", 0, 0, OPTION_BIT(OPTION_JSON),
     "whether the translation table of the running daemon adds up",
     "Exit status 1 if something does not.\n", run_check},
    {"drops", "[--by source] [--json | TABLE-OPTION...]", 0, 0,
     OPTIONS_TABLE | OPTION_BIT(OPTION_BY), "the latest dropped packets, and why",
     "--by source: who is dropped most, and at how many ports.\n", run_drops},
    {"listeners", "[--json | TABLE-OPTION...]", 0, 0, OPTIONS_TABLE,
     "programs of the gateway itself at the external addresses", "", run_listeners},
    {"explain", "CONNECTION... [--probe] [--json]", 1, 8,
     OPTION_BIT(OPTION_PROBE) | OPTION_BIT(OPTION_JSON),
     "what becomes of a connection, and why it does not work",
     "CONNECTION is one of\n"
     "  8443/tcp [from ADDRESS] [to ADDRESS]      from outside, to a port\n"
     "  tcp SOURCE:PORT DESTINATION:PORT          the same, or from inside\n"
     "  from [SHARE] HOST to ADDRESS:PORT/tcp     from a host inside\n"
     "\n"
     "  --probe  also try to reach the target from this host: a TCP connection, or\n"
     "           an empty datagram\n"
     "\n"
     "Exit status 1 if something is wrong for sure.\n",
     run_explain},
    {"forward add", "NAME LISTEN TO [OPTION...]", 3, 3,
     OPTION_BIT(OPTION_ALLOW) | OPTION_BIT(OPTION_OWNER) | OPTION_BIT(OPTION_NOTE) |
         OPTION_BIT(OPTION_FOR) | OPTION_BIT(OPTION_EXPIRES) | OPTION_BIT(OPTION_FORCE) |
         OPTION_BIT(OPTION_SESSIONS) | OPTION_BIT(OPTION_NEW_SESSIONS),
     "add a run-time forward (root)",
     "LISTEN is a port, a range or a service name, and the protocol:\n"
     "2222/tcp, 8000-8099/udp, domain/tcp+udp.\n"
     "TO is the internal address and port: 10.0.0.22:22. For a range, the next ports\n"
     "follow one to one.\n"
     "\n"
     "  --allow PREFIX,...     who may connect (default: anyone)\n"
     "  --owner TEXT           whose forward it is\n"
     "  --note TEXT            what it is for\n"
     "  --for DURATION         the forward ends after this time: 30m, 2h, 1d12h\n"
     "  --expires TIME         it ends at this time (UTC): 2026-12-31T18:00:00Z\n"
     "  --sessions NUMBER      how many sessions it may have at the same time\n"
     "  --new-sessions NUMBER  how many it may open per second\n"
     "  --force                also take ports that mappings have; their sessions end\n",
     run_forward_add},
    {"forward set", "NAME OPTION...", 1, 1,
     OPTION_BIT(OPTION_ALLOW) | OPTION_BIT(OPTION_OWNER) | OPTION_BIT(OPTION_NOTE) |
         OPTION_BIT(OPTION_FOR) | OPTION_BIT(OPTION_EXPIRES) | OPTION_BIT(OPTION_SESSIONS) |
         OPTION_BIT(OPTION_NEW_SESSIONS),
     "change a run-time forward (root)",
     "The options are those of 'forward add'; what is not given stays. An empty text\n"
     "takes a value away, as do --allow anyone and --expires never.\n"
     "Sessions that the forward does not allow any more end.\n",
     run_forward_set},
    {"forward remove", "NAME", 1, 1, 0, "remove a run-time forward (root)",
     "Its sessions end. To remove a forward of the configuration, delete it in the\n"
     "file, then use 'portreeve reload'.\n",
     run_forward_remove},
    {"kill", "FILTER... | --all", 0, INT_MAX, OPTION_BIT(OPTION_ALL),
     "end the sessions that match a filter (root)", "Exit status 1 if no session matches.\n",
     run_kill},
    {"reload", "[--diff [--json]]", 0, 0, OPTION_BIT(OPTION_DIFF) | OPTION_BIT(OPTION_JSON),
     "read the configuration again (root)",
     "If it has an error, nothing changes, and every error is shown.\n"
     "--diff: say what would be added, changed and removed, and how many sessions\n"
     "would end; nothing changes.\n",
     run_reload},
    {"upgrade", "", 0, 0, 0, "replace the running daemon by the installed program (root)",
     "Sessions, rules and waiting packets stay. The installed program first checks\n"
     "itself and the configuration; if it cannot start, the former one goes on.\n"
     "With the same program it is a restart without loss.\n",
     run_upgrade},
    {"audit", "[--fail-on SEVERITY] [--json]", 0, 0,
     OPTION_BIT(OPTION_FAIL_ON) | OPTION_BIT(OPTION_JSON),
     "what is risky or neglected about the open ports",
     "SEVERITY is info, low, medium or high.\n"
     "--fail-on: exit status 1 if there is a finding of this severity or a higher one.\n",
     run_audit},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

/* ---- help ---- */

static void print_states(FILE *out)
{
    const char *before = "";

    for (int state = 0; state < STATE_COUNT; state++) {
        const char *name = session_state_name((enum session_state)state);

        if (strcmp(name, before) != 0) /* neighbours share a name */
            fprintf(out, " %s", name);
        before = name;
    }
}

static void print_filter_help(FILE *out)
{
    fprintf(out, "FILTER: one or more words; a session matches if every word matches\n"
                 "  tcp udp icmp     the protocol\n"
                 "  10.0.0.7 10.0.0.0/24 :443 :https 10.0.0.7:443\n"
                 "                   address, prefix, port, or address and port, of any endpoint\n"
                 "  internal= external= remote=\n"
                 "                   before one of these: only that endpoint\n"
                 "  state=WORD      ");
    print_states(out);
    fprintf(out, "\n  direction=WORD  ");
    for (int direction = 0; direction < DIRECTION_COUNT; direction++)
        fprintf(out, " %s", direction_name((enum direction)direction));
    fprintf(out, "\n  share=NAME forward=NAME id=NUMBER offloaded\n");
}

static void print_table_help(FILE *out)
{
    fprintf(out, "TABLE-OPTION:\n"
                 "  --wide              all columns, however narrow the terminal is\n"
                 "  -o, --columns NAME,...\n"
                 "                      these columns, in this order\n"
                 "  --sort COLUMN       sort by it; -COLUMN: the other way round\n"
                 "  --limit NUMBER      only the first rows\n"
                 "  -n, --numeric       ports without the names of services\n"
                 "  --format FORMAT     table, csv, tsv, markdown or json\n");
}

static void print_exit_codes(FILE *out)
{
    fprintf(out, "Exit status:\n");
#define X(symbol, number, meaning) fprintf(out, "  %d  %s\n", EXIT_##symbol, meaning);
    EXIT_CODES(X)
#undef X
}

static void print_usage(FILE *out)
{
    fprintf(out, "usage: portreeve [-s SOCKET] VERB ...\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-15s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out, "\n"
                 "  -s, --socket SOCKET  the daemon's control socket\n"
                 "                       (default " CONTROL_SOCKET_DEFAULT ")\n"
                 "  -h, --help           show this help; after a verb: help for that verb\n"
                 "  -V, --version        show the version\n"
                 "\n");
    print_filter_help(out);
    fprintf(out, "\n");
    print_table_help(out);
    fprintf(out, "\n");
    print_exit_codes(out);
    fprintf(out, "\nSee portreeve(1).\n");
}

static void print_verb_help(const struct verb *verb)
{
    printf("usage: portreeve [-s SOCKET] %s%s%s\n\n%s\n", verb->name,
           *verb->arguments != '\0' ? " " : "", verb->arguments, verb->summary);
    if (*verb->help != '\0')
        printf("\n%s", verb->help);
    if (strstr(verb->arguments, "FILTER") != NULL) {
        printf("\n");
        print_filter_help(stdout);
    }
    if (strstr(verb->arguments, "TABLE-OPTION") != NULL) {
        printf("\n");
        print_table_help(stdout);
    }
}

/* ---- finding and running ---- */

/* The verb that the first words name; *used is the number of its words. */
static const struct verb *find_verb(char **words, int count, int *used)
{
    for (size_t i = 0; i < VERB_COUNT && count > 0; i++) {
        const char *space = strchr(verbs[i].name, ' ');
        size_t length = space != NULL ? (size_t)(space - verbs[i].name) : strlen(verbs[i].name);

        if (strlen(words[0]) != length || strncmp(words[0], verbs[i].name, length) != 0)
            continue;
        if (space != NULL && (count < 2 || strcmp(words[1], space + 1) != 0))
            continue;
        *used = space != NULL ? 2 : 1;
        return &verbs[i];
    }
    return NULL;
}

static int unknown_verb(const struct options *options)
{
    if (options->count == 0)
        print_usage(stderr);
    else if (strcmp(options->words[0], "forward") == 0)
        complain("expected 'forward add', 'forward set' or 'forward remove'; 'portreeve forwards' "
                 "lists all "
                 "forwards");
    else
        complain("unknown verb '%s'; 'portreeve --help' lists all verbs", options->words[0]);
    return EXIT_USAGE;
}

static int check_usage(const struct verb *verb, const struct options *options)
{
    bool few = options->count < verb->min;

    for (int option = 0; option < OPTION_COUNT; option++) {
        if (options->given & ~verb->options & OPTION_BIT(option)) {
            complain("'%s' does not accept --%s", verb->name,
                     options_name((enum verb_option)option));
            return EXIT_USAGE;
        }
    }
    if (few || options->count > verb->max) {
        complain("%s: expected: portreeve %s%s%s", few ? "too few words" : "too many words",
                 verb->name, *verb->arguments != '\0' ? " " : "", verb->arguments);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

int verbs_run(struct options *options)
{
    int used = 0, code;
    const struct verb *verb = find_verb(options->words, options->count, &used);

    if (verb == NULL && options->help && options->count == 0) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (verb == NULL)
        return unknown_verb(options);
    if (options->help) {
        print_verb_help(verb);
        return EXIT_DONE;
    }
    options->words += used;
    options->count -= used;
    code = check_usage(verb, options);
    return code != EXIT_DONE ? code : verb->run(options);
}
