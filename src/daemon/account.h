/*
 * account.h - a user that the daemon may become, with the groups that it needs
 */
#ifndef PORTREEVE_ACCOUNT_H
#define PORTREEVE_ACCOUNT_H

#include "portreeve/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ACCOUNT_GROUPS_MAX 2

struct account {
    const char *name;
    uid_t user;
    gid_t group;
    /*
     * Supplementary: group 0, for which /proc/net/netfilter/nfnetlink_queue is readable, and that
     * of the control socket.
     */
    gid_t groups[ACCOUNT_GROUPS_MAX];
    size_t group_count;
};

/* False if there is no user of this name. A group that does not exist is left out. */
bool account_find(struct account *account, const char *name, const char *control_group);

/*
 * Whether this user may do with the file or directory what `mode` says (access(2)). Returns 0 or
 * -errno. It needs CAP_SETUID and CAP_SETGID, and a process without threads.
 */
int account_may(const struct account *account, const char *path, int mode);

/*
 * Becomes this user for good. The permitted capabilities stay; none is effective afterwards.
 * Returns 0, or -errno and a sentence.
 */
int account_become(const struct account *account, struct error *error);

#endif
