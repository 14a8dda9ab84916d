/*
 * ctl.h - the portreeve client: a verb asks the daemon one thing and shows the answer
 *
 * main.c reads the command line and finds the verb; rpc.c talks; format.c and table.c write; a file
 * for each family of verbs. Whatever comes from the socket is shown with its unprintable characters
 * replaced, for it may hold what others wrote.
 */
#ifndef PORTREEVE_CTL_H
#define PORTREEVE_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DEFAULT_SOCKET "/run/portreeve/control.sock"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1, /* by the daemon; or nothing matched */
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 3,
    EXIT_NOT_PERMITTED = 4,
};

/* ---- the command line (main.c) ---- */

enum option_bit {
    OPTION_JSON = 1,
    OPTION_ALL = 2,
    OPTION_ALLOW = 4,
    OPTION_OWNER = 8,
    OPTION_NOTE = 16,
    OPTION_FOR = 32,
    OPTION_EXPIRES = 64,
};

struct options {
    const char *socket;
    unsigned given; /* enum option_bit, or-ed */
    const char *allow, *owner, *note, *duration, *expires;
    char **words; /* after the verb */
    int count;
};

/* The verbs; each returns an exit code. */
int run_status(const struct options *options);
int run_sessions(const struct options *options);
int run_mappings(const struct options *options);
int run_forwards(const struct options *options);
int run_forward_add(const struct options *options);
int run_forward_remove(const struct options *options);
int run_events(const struct options *options);
int run_kill(const struct options *options);
int run_reload(const struct options *options);

/* ---- the daemon (rpc.c) ---- */

struct rpc {
    FILE *stream;
    const char *socket;
    char *line;
    size_t line_size;
};

/* Told each line of a streamed answer. */
typedef void rpc_line(void *context, const char *method, const json_t *params);

/*
 * EXIT_DONE, or another code after saying what is wrong. Then rpc_close is not needed, but does no
 * harm.
 */
int rpc_open(struct rpc *rpc, const char *socket);
void rpc_close(struct rpc *rpc);

/*
 * Asks and waits for the answer: EXIT_DONE and *result (a new reference), or another code after
 * saying why. `params` is released; `line` may be NULL for methods that do not stream.
 */
int rpc_call(struct rpc *rpc, const char *method, json_t *params, rpc_line *line, void *context,
             json_t **result);

/*
 * Waits for one more line of a subscription, however long that takes. EXIT_DONE, or another code
 * after saying why.
 */
int rpc_follow(struct rpc *rpc, rpc_line *line, void *context);

/* rpc_open, rpc_call, rpc_close. */
int rpc_ask(const struct options *options, const char *method, json_t *params, rpc_line *line,
            void *context, json_t **result);

/* {"filter": [words]} */
json_t *filter_params(const struct options *options);

/* Members of an answer; what is missing or of another type is "" or 0. */
const char *member_text(const json_t *object, const char *name);
int64_t member_number(const json_t *object, const char *name);
double member_seconds(const json_t *object, const char *name);

/* ---- writing (format.c) ---- */

#define CELL_MAX 256

/* Ends the program. */
void give_up(void) __attribute__((noreturn));

/* "portreeve: ..." on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));


/* A text of the daemon's, cut and fit to print. */
struct shown {
    char text[CELL_MAX];
};
const char *show(struct shown *shown, const char *text);

/* Each writes at most CELL_MAX bytes and returns `buffer`. */
char *format_duration(double seconds, char buffer[CELL_MAX]); /* "4m12s", "2h4m", "3d2h" */
char *format_amount(int64_t number, char buffer[CELL_MAX]);   /* "950", "1.2M"; thousands */
char *format_endpoint(const json_t *endpoint, const char *protocol, bool service,
                      char buffer[CELL_MAX]);
char *format_list(const json_t *array, const char *separator, char buffer[CELL_MAX]);
/*
 * The side of a session that was asked for, with the service's name: remote, or internal and
 * external.
 */
char *format_internal(const json_t *session, char buffer[CELL_MAX]);
char *format_external(const json_t *session, char buffer[CELL_MAX]);
char *format_remote(const json_t *session, char buffer[CELL_MAX]);

/* Prints a JSON value and a newline. */
void print_json(const json_t *json);

/*
 * An array whose elements come one by one, kept as text until it is complete: a pager that takes
 * its time must not make the daemon wait, and half an array is of no use to anybody. A very long
 * one is printed as it comes, so that a million elements take no more memory than some thousands;
 * then whoever reads must keep up.
 */
#define JSON_LIST_KEPT ((size_t)4 << 20) /* bytes */

struct json_list {
    bool begun;
    FILE *stream; /* what is kept; NULL: nothing */
    char *text;
    size_t length;
};
void json_list_add(struct json_list *list, const json_t *element);
void json_list_print(struct json_list *list);
void json_list_end(struct json_list *list);

/* ---- tables (table.c) ---- */

#define TABLE_COLUMNS 16
#define TABLE_KEY     40

struct column {
    const char *title;
    bool right; /* numbers */
    unsigned
        rank; /* 0: always shown; others as far as the terminal is wide enough, the lowest first */
};

struct row {
    uint8_t key[TABLE_KEY]; /* rows are sorted by it */
    char *cell[TABLE_COLUMNS];
};

struct table {
    const struct column *columns;
    size_t column_count;
    struct row *rows; /* owned */
    size_t row_count, row_capacity;
};

void table_begin(struct table *table, const struct column *columns, size_t count);
/*
 * A new row with the key (all zeros, to be filled) and no cells; ends the program without memory.
 */
struct row *table_add(struct table *table);
void row_set(struct row *row, size_t column, const char *text);
/* The usual key: protocol, one endpoint, another. */
void row_set_key(struct row *row, const char *protocol, const json_t *first, const json_t *second);
void table_print(struct table *table);
void table_end(struct table *table);

#endif
