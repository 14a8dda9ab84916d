/*
 * state.h - the memory of the sessions is a file, so that sessions survive the process
 *
 * DIRECTORY/sessions is mapped shared: what the translator writes is in the file at once, without a
 * system call. After a crash or a restart the next daemon maps it again and adopts the sessions
 * that are still valid (nat_adopt), also if the table has another size or the program another
 * version by then. The file is only valid for the same boot (times count from boot) and the same
 * format (NAT_MEMORY_FORMAT); otherwise the table starts empty, and the log says why.
 */
#ifndef PORTREEVE_STATE_H
#define PORTREEVE_STATE_H

#include "portreeve/error.h"
#include "portreeve/nat.h"

struct state;

/*
 * Maps memory for `capacity` sessions in `directory`, which is created if it is missing. *is_fresh:
 * there are no sessions of an earlier run. Returns 0, or -errno and a sentence; -EBUSY if another
 * daemon uses the file.
 */
int state_open(struct state **state, const char *directory, uint32_t capacity, bool *is_fresh,
               struct error *error);

/* The memory, for nat_new. */
void *state_sessions(struct state *state);

/* Unmaps the memory; the file stays for the next start. NULL is fine. */
void state_close(struct state *state);

#endif
