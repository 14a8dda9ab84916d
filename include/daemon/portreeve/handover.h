/*
 * handover.h - descriptors that outlive the process: the next run of the daemon takes them over
 *
 * The nf_tables table belongs to a netlink socket, packets wait in a queue as long as its socket is
 * open, and clients wait in the backlog of the control socket. So whoever keeps these sockets keeps
 * everything going while the daemon is replaced. Two can do that:
 *
 *   a service manager with a descriptor store (sd_notify(3), FDSTORE=1): it keeps copies from one
 *   start to the next, also after a crash, and closes them when the service is stopped
 *   exec(2): the program is replaced, its descriptors stay open
 *
 * Both hand them over in the same way (sd_listen_fds(3)): descriptors from 3 up, their number in
 * $LISTEN_FDS, their names in $LISTEN_FDNAMES, the process they are meant for in $LISTEN_PID.
 *
 * The state of this module is that of the process. Main thread only.
 */
#ifndef PORTREEVE_HANDOVER_H
#define PORTREEVE_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

/* Names of descriptors. The queues are HANDOVER_QUEUE and their number. */
#define HANDOVER_RULES      "rules"
#define HANDOVER_LOCK       "namespace-lock"
#define HANDOVER_CONTROL    "control"
#define HANDOVER_QUEUE      "queue-"
#define HANDOVER_PROGRAM    "former-program" /* the file of the program that has called exec */
#define HANDOVER_PRIVILEGED "privileged" /* the socket of the privileged process (privileged.h) */

/* Descriptors from this number up stay as they are when handover_exec fails. */
#define HANDOVER_ABOVE 80

/* A name; no colon, because $LISTEN_FDNAMES is a list with colons. */
struct handover_name {
    char text[32];
};

struct handover_name handover_queue_name(uint16_t number);

/* Reads what an earlier run has left to us, and removes it from the environment. Call it once. */
void handover_begin(void);

/* True if an earlier run has left anything to us. */
bool handover_is_continuation(void);

/*
 * True if a service manager keeps descriptors for us: $NOTIFY_SOCKET, and $FDSTORE is not 0.
 * (systemd sets $FDSTORE since version 254; our unit sets it, too.)
 */
bool handover_has_store(void);

/*
 * The descriptor with this name that an earlier run has left, or -1. The caller owns it. It is
 * close-on-exec.
 */
int handover_take(const char *name);

/*
 * Closes what an earlier run has left under names with this beginning and nobody has taken and
 * kept, in the store as well: it is in the way, because the configuration has changed. False if
 * there is none.
 */
bool handover_forget(const char *beginning);

/*
 * Keeps this descriptor, in a copy, for the next run: in the store if there is one, and for
 * handover_exec. What an earlier run has left under the same name is forgotten.
 */
void handover_keep(const char *name, int descriptor);

/* The same, but only for handover_exec: it is of no use to another process. */
void handover_keep_for_exec(const char *name, int descriptor);

/*
 * The start is complete: closes what nobody has taken, in the store as well. Until then a failed
 * start leaves everything as it was.
 */
void handover_settle(void);

/*
 * Replaces the program by the one at `path`, which gets all kept descriptors and, as
 * HANDOVER_PROGRAM, the descriptor `program`. Returns only if that fails: -errno. Then only
 * handover_exec_back is left.
 */
int handover_exec(const char *path, int program, char *const *arguments);

/*
 * The way back, if the start fails: replaces the program by the one in the file `program`. It gets
 * what the earlier run has left to us. Returns only if that fails: -errno.
 */
int handover_exec_back(int program, char *const *arguments);

#endif
