/*
 * ownership.h - the directories that the daemon writes to, given to the user that it becomes
 */
#ifndef PORTREEVE_OWNERSHIP_H
#define PORTREEVE_OWNERSHIP_H

#include "account.h"
#include "portreeve/config.h"
#include "portreeve/error.h"

/*
 * Gives the directories of the state and of the control socket, if they are root's, to the account,
 * with our files in them; creates them if they are missing. It needs CAP_CHOWN. Returns 0 if the
 * account can work there; otherwise they stay root's, and -errno and a sentence are returned: a
 * directory has files of others, or others may write it, or the account cannot reach it.
 */
int ownership_give(const struct config *config, const struct account *account, struct error *error);

/* The other way: what is the account's becomes root's. What fails, stays. */
void ownership_take_back(const struct config *config, const struct account *account);

#endif
