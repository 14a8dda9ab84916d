/*
 * account.c - a user that the daemon may become, with the groups that it needs
 */
#include "account.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ENTRY_TEXT (64 * 1024) /* bytes of an entry; that of a group has its members */

static void find_groups(struct account *account, const char *control_group, char *text)
{
    struct group entry, *found = NULL;

    account->groups[0] = 0;
    account->group_count = 1;
    if (getgrnam_r(control_group, &entry, text, ENTRY_TEXT, &found) == 0 && found != NULL)
        account->groups[account->group_count++] = found->gr_gid;
}

bool account_find(struct account *account, const char *name, const char *control_group)
{
    char *text = malloc(ENTRY_TEXT);
    struct passwd entry, *found = NULL;

    *account = (struct account){.name = name};
    if (text == NULL)
        return false;
    if (getpwnam_r(name, &entry, text, ENTRY_TEXT, &found) == 0 && found != NULL) {
        account->user = found->pw_uid;
        account->group = found->pw_gid;
    }
    find_groups(account, control_group, text);
    free(text);
    return found != NULL;
}

/* The effective ids decide; the real and the saved ones lead back. */
int account_may(const struct account *account, const char *path, int mode)
{
    const uid_t user = geteuid();
    const gid_t group = getegid();
    int result = 0;

    if (setgroups(account->group_count, account->groups) < 0 || setegid(account->group) < 0 ||
        seteuid(account->user) < 0)
        return -errno;
    if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) < 0)
        result = -errno;
    if (seteuid(user) < 0 || setegid(group) < 0)
        abort(); /* not reached: the ids are those that the process has had */
    return result;
}

static int fail(struct error *error, const char *what)
{
    int result = -errno;

    error_set(error, "cannot change the %s of the process: %s", what, strerror(-result));
    return result;
}

int account_become(const struct account *account, struct error *error)
{
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return fail(error, "capabilities");
    if (setgroups(account->group_count, account->groups) < 0 ||
        setresgid(account->group, account->group, account->group) < 0)
        return fail(error, "groups");
    if (setresuid(account->user, account->user, account->user) < 0)
        return fail(error, "user");
    return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ? fail(error, "capabilities") : 0;
}
