/*
 * upgrade.h - replacing the running program by the one that is installed now
 *
 * The process stays, and with it all that handover.h keeps: the new program takes over the rules,
 * the queues with their packets, the clients that wait, and the sessions. First it is asked to
 * check itself and the configuration (-t). If it then fails to start all the same, it gives
 * everything back to the former program, which goes on and says why.
 *
 * The state of this module is that of the process. Main thread only.
 */
#ifndef PORTREEVE_UPGRADE_H
#define PORTREEVE_UPGRADE_H

#include "portreeve/error.h"

#include <stdbool.h>

/*
 * Remembers which file the program is from. `arguments` and `config_path` must stay valid. Call it
 * after handover_begin.
 */
void upgrade_begin(char *const *arguments, const char *config_path);

/* Why the last upgrade has failed; NULL if it has not. */
const char *upgrade_problem(void);

/*
 * Asks the installed program to check itself and the configuration; waits for it, ten seconds at
 * most. Returns 0: upgrade_is_due is true from now on. Otherwise -errno and a sentence, and nothing
 * has changed.
 */
int upgrade_request(struct error *error);
bool upgrade_is_due(void);

/*
 * Replaces the program. What it holds must be closed first (GATEWAY_UPGRADE, control_leave). If the
 * new program cannot be executed, the former one is, and says so. Returns only if both fail.
 */
void upgrade_exec(void);

/*
 * Begins anew with the program that runs: nothing is closed, as after a crash, and the new process
 * takes over what is kept. `still` is the name of the thread that makes it necessary. Returns only
 * if that fails.
 */
void upgrade_restart(const char *still);

/*
 * The start has failed, and all that was taken over is as it was: gives it back to the former
 * program. Does nothing if there is none, and returns if that fails.
 */
void upgrade_give_back(const char *reason);

/* The start is complete: the former program is not needed any more. */
void upgrade_settle(void);

#endif
