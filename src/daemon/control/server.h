/*
 * server.h - the control server and its clients
 *
 * control.c   opens and closes the socket, and serves the clients that are ready
 * client.c    one connection: it reads lines, sends bytes, and ends if the client does not read
 * request.c   one line: the rules of JSON-RPC, parameters, permission
 * methods.c   the table of methods, and the methods that are answered at once
 * job.c       methods that walk the translation table: sessions, mappings, forwards, kill
 * events.c    clients that follow events
 * status.c    the answer to `status`
 * filter.c    FILTER words
 * answer.c, stream.c, json.c   answers, stream lines and values as JSON
 * words.c     a list of words in a sentence
 * output.c    bytes that wait for a client
 * peer.c      the user at the other end
 *
 * Each uses only files below it: listener -> clients -> requests -> methods -> answers -> bytes.
 *
 * Nothing waits, and everything is bounded. A step for a client is one read, one request, or one
 * slice of a walk. A client has at most one request in progress. While OUTPUT_MARK bytes wait for
 * it, nothing is added. So it needs at most the memory of OUTPUT_MARK, one slice and one answer.
 */
#ifndef PORTREEVE_CONTROL_SERVER_H
#define PORTREEVE_CONTROL_SERVER_H

#include "output.h"
#include "peer.h"
#include "portreeve/control.h"
#include "portreeve/filter.h"

#define CONTROL_CLIENTS_MAX  32
#define CONTROL_CLIENTS_ROOT 4     /* of these, reserved for root */
#define CONTROL_LINE_MAX     65536 /* bytes of a request, without the newline */
#define CONTROL_STALL_MS                                                                           \
    10000 /* the connection of a client that does not read for this time is closed */
#define CONTROL_TURN_MS     5   /* time of one control_serve */
#define CONTROL_SLICE       256 /* table slots that are read at a time, with the lock */
#define CONTROL_KILL_SLICE  32  /* sessions that are ended at a time, with the lock */
#define CONTROL_EVENT_SLICE 64

struct job;

struct client {
    struct control *control;
    int socket;
    uint32_t interest; /* the events that epoll waits for */
    struct peer peer;

    char *input; /* CONTROL_LINE_MAX + 1 bytes: room for the newline */
    size_t input_start, input_used;
    /* of the complete line at input_start, without its newline; valid if has_line */
    size_t line_length;
    bool has_line;
    bool input_ended; /* the client sends no more, but may still read */

    struct output output;
    uint64_t moved; /* when it last read something, or when output began to wait */
    int unread;     /* bytes in its socket at the last check */
    bool closing;   /* will be closed when the output has been sent */

    struct job *job; /* a request in progress; owned */
    bool subscribed;
    bool behind; /* more events wait in the ring */
    uint64_t next_event;
    struct filter event_filter;
};

struct control {
    int listener, epoll, lock_file;
    char path[108], lock_path[128];
    char group[33];        /* empty: only root */
    gid_t gid;             /* of the group */
    uint64_t listen_again; /* when to accept again after descriptors have run out; 0: accepting */
    struct client *client[CONTROL_CLIENTS_MAX]; /* NULL: free; owned */
    size_t client_count;
    struct session_view view[CONTROL_SLICE]; /* of the current slice */
    uint32_t slot[CONTROL_SLICE];
    struct event event[CONTROL_EVENT_SLICE];
};

#endif
