/*
 * notices.h - what is wrong around the gateway now, for the log and for status
 *
 * A notice is about something that another program or the administrator has done to the host, and
 * that this program cannot put right: another program's rules, a missing interface, a sysctl. It
 * stays until it is no longer true. Its name says the kind, in lower case with hyphens; several
 * notices may have one name (two flowtables, say). The log says once that a notice appears, and
 * once that it is gone.
 *
 * Main thread only. A name needs no registration; portreeved(8) has a line for each, under
 * "Notices".
 */
#ifndef PORTREEVE_GATEWAY_NOTICES_H
#define PORTREEVE_GATEWAY_NOTICES_H

#include "portreeve/gateway.h"

struct notices {
    struct notice list[NOTICES_MAX];
    bool said_again[NOTICES_MAX]; /* since notices_begin; of the notices of that name */
    size_t count;
    bool overflows; /* the log has said that there are more */
};

/*
 * All notices of one name, found anew: begin, add each one that is true, end. What was not added
 * again is gone. The text of a notice tells it from others of its name, so it must not contain
 * numbers that change while the notice stays true. What does not fit is not shown; the log says
 * once that there is more.
 */
void notices_begin(struct notices *notices, const char *name);
void notices_add(struct notices *notices, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void notices_end(struct notices *notices, const char *name);

/* The same for a name that has one notice: it is there with this text, or it is not there. */
void notices_set(struct notices *notices, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void notices_clear(struct notices *notices, const char *name);

#endif
