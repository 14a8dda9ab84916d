/*
 * privileges.c - the daemon keeps two capabilities, and gives up the rest before the first packet
 */
#include "portreeve/privileges.h"

#include "account.h"
#include "ownership.h"
#include "portreeve/acl.h"
#include "portreeve/log.h"

#include <cap-ng.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CAPABILITIES 2

static const unsigned int needed[CAPABILITIES] = {CAP_NET_ADMIN, CAP_NET_RAW};

static int fail(struct error *error, const char *what)
{
    int result = -errno;

    error_set(error, "cannot %s: %s", what, strerror(-result));
    return result;
}

/* The user */

static bool has(capng_type_t set, unsigned int capability)
{
    return capng_have_capability(set, capability) == 1;
}

static bool may_change_user(void)
{
    return geteuid() == 0 && has(CAPNG_EFFECTIVE, CAP_SETUID) && has(CAPNG_EFFECTIVE, CAP_SETGID) &&
           has(CAPNG_EFFECTIVE, CAP_CHOWN);
}

/* A user that the administrator has named. Returns 0, or -errno and a sentence. */
static int prepare_named(const struct config *config, const struct account *account, bool exists,
                         struct error *error)
{
    if (!exists) {
        error_set(error, "there is no user '%s' (--user)", account->name);
        return -EINVAL;
    }
    if (geteuid() == account->user)
        return 0;
    if (!may_change_user()) {
        error_set(error,
                  "cannot become user '%s' (--user): needs root with CAP_SETUID, CAP_SETGID and "
                  "CAP_CHOWN",
                  account->name);
        return -EPERM;
    }
    return ownership_give(config, account, error);
}

/*
 * The user that is taken by default. Without it, or where it could not work, the gateway is more
 * important than the user. False: the process keeps its user.
 */
static bool prepare_default(const struct config *config, const struct account *account, bool exists)
{
    struct error error = {0};

    if (geteuid() != 0)
        return false;
    if (exists && may_change_user() && ownership_give(config, account, &error) == 0)
        return true;
    if (!exists)
        log_info("there is no user '%s': the daemon stays root, with two capabilities",
                 account->name);
    else if (!may_change_user())
        log_info("the daemon stays root, with two capabilities: without CAP_SETUID it cannot "
                 "become user '%s'",
                 account->name);
    else
        log_warning("the daemon stays root, with two capabilities, because user '%s' could not "
                    "work: %s",
                    account->name, error.text);
    return false;
}

/* *changes: whether to become the account. */
static int choose_account(const struct config *config, const char *user, struct account *account,
                          bool *changes, struct error *error)
{
    const char *name = user != NULL ? user : PRIVILEGES_USER;
    bool exists = account_find(account, name, config->control_group);
    struct account usual;
    int result = 0;

    *changes = false;
    if (user == NULL)
        *changes = prepare_default(config, account, exists);
    else
        result = prepare_named(config, account, exists, error);
    if (user != NULL && result == 0)
        *changes = geteuid() != account->user;
    /* an earlier run may have given the directories away */
    if (user != NULL && account->user == 0 && may_change_user() &&
        account_find(&usual, PRIVILEGES_USER, config->control_group))
        ownership_take_back(config, &usual);
    return result;
}

/* The capabilities */

static bool is_needed(unsigned int capability)
{
    for (size_t i = 0; i < CAPABILITIES; i++) {
        if (needed[i] == capability)
            return true;
    }
    return false;
}

/* A service manager that has given just these may forbid capset(2), too. */
static bool has_more_than_needed(void)
{
    for (unsigned int i = 0; i <= CAP_LAST_CAP; i++) {
        if (!is_needed(i) && (has(CAPNG_PERMITTED, i) || has(CAPNG_INHERITABLE, i)))
            return true;
        if (has(CAPNG_PERMITTED, i) != has(CAPNG_EFFECTIVE, i) ||
            has(CAPNG_PERMITTED, i) != has(CAPNG_INHERITABLE, i))
            return true;
    }
    return false;
}

/* Of the two that are needed those that it has, and nothing else. */
static void choose_capabilities(void)
{
    bool permitted[CAPABILITIES];

    for (size_t i = 0; i < CAPABILITIES; i++)
        permitted[i] = has(CAPNG_PERMITTED, needed[i]);
    capng_clear(CAPNG_SELECT_ALL);
    for (size_t i = 0; i < CAPABILITIES; i++) {
        if (permitted[i])
            capng_update(CAPNG_ADD,
                         CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
                             CAPNG_BOUNDING_SET | CAPNG_AMBIENT,
                         needed[i]);
    }
}

/*
 * The bounding set comes first, because it needs CAP_SETPCAP. Where a service manager has not given
 * that, it has reduced the bounding set itself.
 */
static int keep_two(const struct account *account, struct error *error)
{
    bool may_bound = has(CAPNG_EFFECTIVE, CAP_SETPCAP), changes = has_more_than_needed();
    int result = 0;

    choose_capabilities();
    if (may_bound && capng_apply(CAPNG_SELECT_BOUNDS) < 0)
        return fail(error, "reduce the bounding set of capabilities");
    if (account != NULL)
        result = account_become(account, error);
    if (result < 0)
        return result;
    if ((changes || account != NULL) && capng_apply(CAPNG_SELECT_CAPS) < 0) {
        result = fail(error, "give up capabilities");
        if (account != NULL)
            return result; /* a change of user has left none that works */
        log_warning("%s; the daemon goes on with those that it was given", error->text);
        *error = (struct error){0};
    }
    if (capng_apply(CAPNG_SELECT_AMBIENT) < 0)
        log_info("without ambient capabilities: an upgrade of the running program needs root");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(error, "forbid new privileges");
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the change of user has switched core dumps off */
    return 0;
}

int privileges_drop(const struct config *config, const char *user, struct error *error)
{
    struct account account;
    bool changes;
    int result;

    errno = EIO;
    if (capng_get_caps_process() < 0)
        return fail(error, "read the capabilities of the process");
    result = choose_account(config, user, &account, &changes, error);
    if (result == 0)
        result = keep_two(changes ? &account : NULL, error);
    if (result == 0)
        log_debug("runs as user %u, with CAP_NET_ADMIN and CAP_NET_RAW at most",
                  (unsigned)geteuid());
    return result;
}

/* Before the service manager starts the daemon as its user */

/* Returns 0, or -errno and a sentence. */
static int let_do(const struct account *account, const char *path, int mode, struct error *error)
{
    int result = account_may(account, path, mode);

    if (result != -EACCES)
        return 0; /* it may, or nothing here helps */
    result = acl_allow(path, ACL_FOR_USER, account->user, (unsigned int)mode);
    if (result < 0)
        error_set(error,
                  "user '%s' may not read %s, and cannot be allowed to: %s; do so by group "
                  "or mode",
                  account->name, path, strerror(-result));
    else
        log_notice("user '%s' may read %s now, by its access list", account->name, path);
    return result;
}

int privileges_let_read(const char *config_path, const char *user, struct error *error)
{
    char directory[PATH_MAX];
    struct account account;
    char *end;
    int result = 0;

    if (geteuid() != 0 || !account_find(&account, user != NULL ? user : PRIVILEGES_USER, ""))
        return 0;
    snprintf(directory, sizeof(directory), "%s", config_path);
    end = strrchr(directory, '/');
    if (end != NULL && end != directory) {
        *end = '\0';
        result = let_do(&account, directory, X_OK, error);
    }
    return result < 0 ? result : let_do(&account, config_path, R_OK, error);
}

int privileges_prepare(const struct config *config, const char *user, struct error *error)
{
    struct account account;

    if (capng_get_caps_process() < 0 || !may_change_user() ||
        !account_find(&account, user != NULL ? user : PRIVILEGES_USER, config->control_group))
        return 0;
    return ownership_give(config, &account, error);
}
