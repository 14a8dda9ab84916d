/*
 * ownership.c - the directories that the daemon writes to, given to the user that it becomes
 *
 * Only what is certainly ours is given away: a directory with nothing in it but files of the
 * daemon, so never /run or /tmp. Links are not followed, and a file with a second name stays.
 */
#include "ownership.h"

#include "portreeve/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const our_files[] = {
    "sessions",
    "sessions.new",
    "forwards.json",
    "forwards.json.new",
    "forwards.json.unreadable",
    "register.json",
    "register.json.new",
    "register.json.unreadable",
    "reserved-ports",
    "reserved-ports.new",
};

/* The name of the control socket's file, or of its lock. */
static bool is_control_file(const struct config *config, const char *name)
{
    const char *socket = strrchr(config->control_socket, '/');
    size_t length = socket == NULL ? 0 : strlen(socket + 1);

    return length > 0 && strncmp(name, socket + 1, length) == 0 &&
           (name[length] == '\0' || strcmp(name + length, ".lock") == 0);
}

static bool is_ours(const struct config *config, const char *name)
{
    for (size_t i = 0; i < sizeof(our_files) / sizeof(our_files[0]); i++) {
        if (strcmp(name, our_files[i]) == 0)
            return true;
    }
    return is_control_file(config, name);
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Returns 0, or -ENOTEMPTY and a sentence. */
static int check_names(const struct config *config, DIR *files, const char *directory,
                       struct error *error)
{
    const struct dirent *entry;

    while ((entry = readdir(files)) != NULL) {
        if (is_dot(entry->d_name) || is_ours(config, entry->d_name))
            continue;
        error_set(error, "%s has files of other programs (%.64s)", directory, entry->d_name);
        return -ENOTEMPTY;
    }
    rewinddir(files);
    return 0;
}

static int fail(struct error *error, const char *what, const char *directory)
{
    int result = -errno;

    error_set(error, "cannot %s %s: %s", what, directory, strerror(-result));
    return result;
}

static bool is_to_give(DIR *files, const char *name, uid_t from)
{
    struct stat status;

    return !is_dot(name) && fstatat(dirfd(files), name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           (S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode)) && status.st_uid == from &&
           status.st_nlink == 1;
}

static int give_files(DIR *files, const char *directory, uid_t from, uid_t to, struct error *error)
{
    const struct dirent *entry;

    while ((entry = readdir(files)) != NULL) {
        if (is_to_give(files, entry->d_name, from) &&
            fchownat(dirfd(files), entry->d_name, to, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
            return fail(error, "give away files in", directory);
    }
    return 0;
}

static int give_open(const struct config *config, DIR *files, const char *directory, uid_t from,
                     uid_t to, struct error *error)
{
    struct stat status;
    int result;

    if (fstat(dirfd(files), &status) < 0)
        return fail(error, "check", directory);
    if (status.st_uid != from)
        return 0;
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        error_set(error, "%s can be written by other users", directory);
        return -EPERM;
    }
    result = check_names(config, files, directory, error);
    if (result < 0)
        return result;
    result = give_files(files, directory, from, to, error);
    if (result < 0)
        return result;
    return fchown(dirfd(files), to, (gid_t)-1) < 0 ? fail(error, "give away", directory) : 0;
}

static int give(const struct config *config, const char *directory, uid_t from, uid_t to,
                struct error *error)
{
    int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;
    DIR *files = file < 0 ? NULL : fdopendir(file);

    if (files == NULL) {
        result = fail(error, "open", directory);
        if (file >= 0)
            close(file);
        return result;
    }
    result = give_open(config, files, directory, from, to, error);
    closedir(files);
    return result;
}

/* The directory of the control socket. */
static void control_directory(const struct config *config,
                              char directory[sizeof(config->control_socket)])
{
    char *end;

    snprintf(directory, sizeof(config->control_socket), "%s", config->control_socket);
    end = strrchr(directory, '/');
    if (end != NULL)
        end[end == directory ? 1 : 0] = '\0';
}

static int create_all(const struct config *config, struct error *error)
{
    int result = paths_create_directories(config->control_socket);

    errno = -result;
    if (result < 0)
        return fail(error, "create the directory of", config->control_socket);
    if (mkdir(config->state_directory, 0755) < 0 && errno != EEXIST)
        return fail(error, "create", config->state_directory);
    if (mkdir(config->lasting_directory, 0755) < 0 && errno != EEXIST)
        return fail(error, "create", config->lasting_directory);
    return 0;
}

static int check_access(const struct account *account, const char *directory, struct error *error)
{
    int result = account_may(account, directory, R_OK | W_OK | X_OK);

    errno = -result;
    return result < 0 ? fail(error, "write to", directory) : 0;
}

static int give_all(const struct config *config, const char *control, const struct account *account,
                    struct error *error)
{
    int result = create_all(config, error);

    if (result == 0)
        result = give(config, config->state_directory, 0, account->user, error);
    if (result == 0)
        result = give(config, config->lasting_directory, 0, account->user, error);
    if (result == 0)
        result = give(config, control, 0, account->user, error);
    if (result == 0)
        result = check_access(account, config->state_directory, error);
    if (result == 0)
        result = check_access(account, config->lasting_directory, error);
    return result < 0 ? result : check_access(account, control, error);
}

int ownership_give(const struct config *config, const struct account *account, struct error *error)
{
    char control[sizeof(config->control_socket)];
    int result;

    control_directory(config, control);
    result = give_all(config, control, account, error);
    if (result < 0)
        ownership_take_back(config, account);
    return result;
}

void ownership_take_back(const struct config *config, const struct account *account)
{
    char control[sizeof(config->control_socket)];
    struct error error;

    control_directory(config, control);
    (void)give(config, config->state_directory, account->user, 0, &error);
    (void)give(config, config->lasting_directory, account->user, 0, &error);
    (void)give(config, control, account->user, 0, &error);
}
