/*
 * confine.h - the system calls that each thread of the daemon may make (seccomp(2)), and the
 * files that it may open or change (landlock(7))
 *
 * A list of what is allowed for each of them, so that a mistake in the parsing of packets, requests
 * or configurations is worth little. Everything else fails with ENOSYS, which libc takes for an old
 * kernel: a call that a new libc prefers is not worth an outage. Calls by which a program is
 * started, a process is looked into or the system is changed end the process in the threads that
 * read packets, and in the privileged process everything that is not allowed does: no mistake of
 * ours makes them, and sessions outlive the process.
 *
 * A filter outlives exec(2), so the main thread's must let a whole start of a program pass
 * that is not written yet: it has no such calls, and everything fails softly.
 */
#ifndef PORTREEVE_CONFINE_H
#define PORTREEVE_CONFINE_H

#include <limits.h>
#include <stdbool.h>

enum confine_role {
    CONFINE_MAIN,       /* when the start is complete */
    CONFINE_WORKER,     /* reads and answers packets */
    CONFINE_OFFLOAD,    /* also reads the kernel's counters in /proc */
    CONFINE_PRIVILEGED, /* a process of its own */
};

/*
 * Confines the calling thread for good: its system calls, and the files that a worker or the
 * offload thread may open. Without such filters in the kernel, the log says so and the thread goes
 * on. Nothing happens where a sanitizer is built in, which makes calls of its own.
 */
void confine_thread(enum confine_role role);

/* Where the daemon keeps files: of the state, and of the control socket. Two may be the same. */
struct confine_paths {
    char state[PATH_MAX];
    char lasting[PATH_MAX];
    char control[PATH_MAX];
};

void confine_paths_set(struct confine_paths *paths, const char *state_directory,
                       const char *lasting_directory, const char *control_socket);

/*
 * The calling thread, which is the main one, can from now on change, create and remove files in
 * these directories only, and write net.ipv4.ip_local_reserved_ports. The directories must
 * exist. A program that replaces this one keeps these limits. Nothing happens on a kernel without
 * Landlock (5.13).
 */
void confine_files(const struct confine_paths *paths);

/* True if this process, the program that it has replaced, or its parent is limited so. */
bool confine_was_limited(void);

/*
 * Which of these directories cannot be changed because of such limits; NULL if there are none. A
 * directory that was removed and made again is another one.
 */
const char *confine_refused_directory(const struct confine_paths *paths);

/* False where a sanitizer is built in. */
bool confine_is_built_in(void);

#endif
