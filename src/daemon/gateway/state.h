/*
 * state.h - the sessions' memory as a file, so that they outlive the process
 *
 * DIRECTORY/sessions is mapped shared: what the translator writes is in the file at once, without a
 * system call. After a crash or a restart the next daemon maps it again and adopts what is still
 * valid (nat_adopt). The file is only for the same boot (times count from boot), the same version,
 * and the same size of the table; any other starts empty.
 */
#ifndef PORTREEVE_STATE_H
#define PORTREEVE_STATE_H

#include "portreeve/error.h"
#include "portreeve/nat.h"

#include <limits.h>

/* Room for the path of a file in [state] directory. */
#define STATE_PATH_MAX (PATH_MAX + 32)

/* The files tell who talks to whom: only root may read them. */
#define STATE_FILE_MODE 0600

struct state;

/*
 * Maps room for `capacity` sessions in `directory`, which is made if it is missing. *is_fresh:
 * nothing was left there. -EBUSY when another daemon has it, with a sentence.
 */
int state_open(struct state **state, const char *directory, uint32_t capacity, bool *is_fresh,
               struct error *error);

/* The room itself, for nat_new. */
void *state_sessions(struct state *state);

/* Unmaps; the file stays for the next start. NULL is fine. */
void state_close(struct state *state);

#endif
