/*
 * server.h - what the control socket holds: the server and its clients
 *
 * control.c   the socket's life, the loop over whatever is ready
 * client.c    one connection: lines in, bytes out, when it is cut off
 * request.c   one line: JSON-RPC's rules, parameters, permission
 * methods.c   the table of methods, and those that are answered at once
 * job.c       those that walk the translation table: sessions, mappings, forwards, kill
 * events.c    who follows events, and what they have missed
 * status.c    the answer to `status`
 * filter.c    which sessions are meant
 * answer.c, stream.c, json.c   what is said, as JSON
 * output.c    bytes that wait for a client
 * peer.c      who is at the other end
 *
 * Each uses those below it: listener -> clients -> requests -> methods -> answers -> bytes.
 *
 * Nothing waits, and everything is bounded: a turn of a client is one read, one request, or one
 * slice of a walk. A client has at most one request in work; while more than OUTPUT_MARK bytes wait
 * for it, nothing more is made for it. So it holds at most the mark, one slice and one answer,
 * whatever it asks for.
 */
#ifndef PORTREEVE_CONTROL_SERVER_H
#define PORTREEVE_CONTROL_SERVER_H

#include "output.h"
#include "peer.h"
#include "portreeve/control.h"
#include "portreeve/filter.h"

#define CONTROL_CLIENTS_MAX  32
#define CONTROL_CLIENTS_ROOT 4     /* of these, kept for root */
#define CONTROL_LINE_MAX     65536 /* bytes of a request, without the newline */
#define CONTROL_STALL_MS     10000 /* a client that does not read for so long is cut off */
#define CONTROL_TURN_MS      5     /* of one control_serve */
#define CONTROL_SLICE        256   /* table slots under one hold of the lock */
#define CONTROL_KILL_SLICE   32    /* sessions ended under one hold of the lock */
#define CONTROL_EVENT_SLICE  64

struct job;

struct client {
    struct control *control;
    int socket;
    uint32_t interest; /* what epoll watches it for */
    struct peer peer;

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

#endif
