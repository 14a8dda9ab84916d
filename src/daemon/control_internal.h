/*
 * control_internal.h - inside the control socket: listener -> clients -> requests -> methods ->
 * answers
 *
 * control.c          the socket's life, the loop over whatever is ready
 * control_client.c   one connection: who it is, lines in, bytes out, when it is cut off
 * control_request.c  one line: JSON-RPC's rules, parameters, permission
 * control_methods.c  the table of methods, and those that are answered at once
 * control_job.c      those that walk the translation table: sessions, mappings, forwards, kill
 * control_events.c   who follows events, and what they have missed
 * control_json.c, control_session.c, control_status.c   what is said, as JSON
 *
 * Nothing waits, and everything is bounded: a turn of a client is one read, one request, or one
 * slice of a walk. A client has at most one request in work; while more than CONTROL_OUTPUT_MARK
 * bytes wait for it, nothing more is made for it. So it holds at most the mark, one slice and one
 * answer, whatever it asks for.
 */
#ifndef PORTREEVE_CONTROL_INTERNAL_H
#define PORTREEVE_CONTROL_INTERNAL_H

#include "portreeve/control.h"
#include "portreeve/filter.h"

#include <jansson.h>
#include <sys/socket.h>

#define CONTROL_CLIENTS_MAX  32
#define CONTROL_CLIENTS_ROOT 4            /* of these, kept for root */
#define CONTROL_LINE_MAX     65536        /* bytes of a request, without the newline */
#define CONTROL_OUTPUT_MARK  (256 * 1024) /* bytes that wait for a client before it gets no more */
#define CONTROL_STALL_MS     10000        /* a client that does not read for so long is cut off */
#define CONTROL_TURN_MS      5            /* of one control_serve */
#define CONTROL_SLICE        256          /* table slots under one hold of the lock */
#define CONTROL_KILL_SLICE   32           /* sessions ended under one hold of the lock */
#define CONTROL_EVENT_SLICE  64

enum control_code {
    CONTROL_PARSE_ERROR = -32700,
    CONTROL_INVALID_REQUEST = -32600,
    CONTROL_UNKNOWN_METHOD = -32601,
    CONTROL_INVALID_PARAMS = -32602,
    CONTROL_INTERNAL_ERROR = -32603,
    CONTROL_NOT_PERMITTED = -32001,
    CONTROL_REFUSED = -32002, /* data.errors says why, a line each */
    CONTROL_BUSY = -32003,
};

struct control;
struct job;
struct method;

/* Bytes from `start` to `used` wait to be sent. */
struct output {
    char *data;
    size_t start, used, capacity;
};

struct client {
    struct control *control;
    int socket;
    uint32_t interest; /* what epoll watches it for */
    struct ucred peer;
    bool may_look;

    char *input; /* CONTROL_LINE_MAX + 1 bytes: room for the newline */
    size_t input_start, input_used;
    /* of the complete line at input_start, without newline; valid when has_line */
    size_t line_length;
    bool has_line;
    bool input_ended; /* the client has said everything; it may still listen */

    struct output output;
    uint64_t moved; /* when it last read something, or began to have to */
    int unread;     /* bytes in its socket at the last look */
    bool closing;   /* to be closed when the output has left */
    bool broken;    /* to be closed now */

    struct job *job; /* a request in work; owned */
    bool subscribed;
    bool behind; /* there are events for it that did not fit */
    uint64_t next_event;
    struct filter event_filter;
};

struct control {
    int listener, epoll, lock_file;
    char path[108], lock_path[128];
    char group[33];        /* empty: root alone */
    gid_t gid;             /* of the group */
    uint64_t listen_again; /* while out of descriptors: when to accept again; 0: accepting */
    struct client *client[CONTROL_CLIENTS_MAX]; /* NULL: free; owned */
    size_t client_count;
    struct session_view view[CONTROL_SLICE]; /* of the slice being worked on */
    uint32_t slot[CONTROL_SLICE];
    struct event event[CONTROL_EVENT_SLICE];
};

struct request {
    struct client *client;
    struct gateway *gateway;
    const struct method *method;
    json_t *id;     /* borrowed */
    json_t *params; /* an object of the method's parameters; borrowed */
};

enum parameter_type {
    PARAMETER_TEXT,
    PARAMETER_FLAG,
    PARAMETER_FILTER, /* an array of FILTER words */
};

struct parameter {
    const char *name;
    enum parameter_type type;
};

#define PARAMETERS_MAX 8

struct method {
    const char *name;
    bool changes;                                /* for root only, and logged */
    struct parameter parameters[PARAMETERS_MAX]; /* up to the first without a name */
    void (*run)(struct request *request);
};

/* control_client.c */

/* Accepts one connection. 0, or -errno: -EAGAIN when none waits. */
int client_accept(struct control *control);
/* Takes over a connected socket; closes it when there is no room. */
void client_add(struct control *control, int socket);
/* Frees everything; a job in work ends here. */
void client_close(struct client *client);
/*
 * One bounded step: send, go on with the job, serve a line, or read. The client may be closed by
 * it.
 */
void client_turn(struct client *client, struct gateway *gateway, uint32_t ready, uint64_t now);
/* Closes it when it has not read for too long. True when it was closed. */
bool client_cut_if_stalled(struct client *client, uint64_t now);
/* Sends what waits, as far as it goes, and watches for what comes next. */
void client_settle(struct client *client, uint64_t now);
/* Whether more may be made for it now. */
bool client_has_room(const struct client *client);

/*
 * "user 0 (process 4711)", for the log; the process is 0 when it lives in a pid namespace that ours
 * does not see.
 */
#define CLIENT_TEXT_MAX 64
const char *client_describe(const struct client *client, char buffer[CLIENT_TEXT_MAX]);

/* Queue bytes, JSON without newline, a JSON line (`line` is released; NULL: out of memory). */
void client_write(struct client *client, const char *bytes, size_t length);
void client_write_json(struct client *client, const json_t *json);
void client_write_line(struct client *client, json_t *line);

/* control_request.c */

/* Serves one line; it has no newline and is not NUL-terminated. */
void request_serve(struct client *client, struct gateway *gateway, const char *line, size_t length);
/*
 * The answers. `id` may be NULL (null); `result` and `errors` are released; `errors` may be NULL.
 */
void request_answer(struct client *client, json_t *id, json_t *result);
void request_refuse(struct client *client, json_t *id, enum control_code code, json_t *errors,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* A line of a stream: {"jsonrpc":"2.0","method":METHOD,"params":PARAMS}. `params` is released. */
void request_notify(struct client *client, const char *method, json_t *params);

/* control_methods.c: NULL for a name that is none. */
const struct method *method_find(const char *name);

/* control_job.c: begin a job for the request; filters are copied. */
void job_begin_sessions(struct request *request, const struct filter *filter);
void job_begin_mappings(struct request *request);
void job_begin_forwards(struct request *request);
void job_begin_kill(struct request *request, const struct filter *filter, const char *described);
/* One slice; ends and frees the job when it is done. */
void job_step(struct client *client, struct gateway *gateway);
/* Frees it, done or not. NULL is fine. */
void job_end(struct job *job);

/* control_events.c */
void events_subscribe(struct request *request, const struct filter *filter);
/* Queues events that the client has not had, as far as there is room. */
void events_pump(struct client *client, struct gateway *gateway);

/* control_json.c: new references, NULL without memory. */
json_t *json_text(const char *text);         /* what is not printable becomes '?' */
json_t *json_text_or_null(const char *text); /* empty: null */
json_t *json_address(const struct address *address);
json_t *json_prefixes(const struct prefix *prefixes, size_t count);
json_t *json_port_range(const struct port_range *range); /* "8000-8099" or "2222" */
json_t *json_time(int64_t seconds);                      /* RFC 3339, UTC */
json_t *json_both_ways(uint64_t out, uint64_t in);
json_t *json_mapping(const struct mapping_view *mapping, const char *share);
json_t *json_forward(const struct forward *forward, uint64_t sessions);

/*
 * control_session.c: the lines of streams that go by the million, written and not built as a tree
 * first
 */
void notify_session(struct client *client, const struct session_view *session);
/*
 * The core's clock does not go back but knows no dates: both clocks are read now, and the event's
 * age leads back.
 */
void notify_event(struct client *client, const struct event *event, uint64_t now,
                  int64_t now_epoch_ms);

/* control_status.c */
json_t *json_status(struct gateway *gateway);

#endif
