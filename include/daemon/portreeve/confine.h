/*
 * confine.h - the system calls that each thread of the daemon may make (seccomp(2))
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

#include <stdbool.h>

enum confine_role {
    CONFINE_MAIN,       /* when the start is complete */
    CONFINE_WORKER,     /* reads and answers packets */
    CONFINE_OFFLOAD,    /* also reads the kernel's counters in /proc */
    CONFINE_PRIVILEGED, /* a process of its own */
};

/*
 * Confines the calling thread for good. Without such filters in the kernel, the log says so and the
 * thread goes on. Nothing happens where a sanitizer is built in, which makes calls of its own.
 */
void confine_thread(enum confine_role role);

/* False where a sanitizer is built in. */
bool confine_is_built_in(void);

#endif
