/*
 * state_file.c - files in [state] directory: whose they must be, and how they are replaced whole
 */
#include "state_file.h"

#include "portreeve/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_SUFFIX ".new"

static int fail(struct error *error, const char *what, const char *path)
{
    int result = errno != 0 ? -errno : -EIO;

    error_set(error, "cannot %s %s: %s ([state] directory)%s", what, path, strerror(-result),
              paths_hint(result));
    errno = -result;
    return result;
}

static int refuse(struct error *error, const char *path, const char *reason)
{
    error_set(error, "%s %s: it is not used ([state] directory)", path, reason);
    return -EPERM;
}

int state_directory_prepare(const char *directory, struct error *error)
{
    struct stat status;

    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return fail(error, "create", directory);
    if (stat(directory, &status) < 0)
        return fail(error, "check", directory);
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return fail(error, "use", directory);
    }
    if (status.st_uid != geteuid())
        return refuse(error, directory, "belongs to another user");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return refuse(error, directory, "can be written by other users");
    return 0;
}

static int check(int file, const char *path, struct error *error)
{
    struct stat status;

    if (fstat(file, &status) < 0)
        return fail(error, "check", path);
    if (!S_ISREG(status.st_mode))
        return refuse(error, path, "is no regular file");
    if (status.st_uid != geteuid())
        return refuse(error, path, "belongs to another user");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return refuse(error, path, "can be written by other users");
    if (status.st_nlink != 1)
        return refuse(error, path, "has a second name");
    return 0;
}

/*
 * Without the privilege to open files of others, only the look at the name says whose it is. errno
 * stays.
 */
static bool is_of_another(const char *path)
{
    struct stat status;
    int before = errno;
    bool found = lstat(path, &status) == 0;

    errno = before;
    return found && status.st_uid != geteuid();
}

int state_file_open(const char *path, int flags, struct error *error)
{
    /* O_NONBLOCK: opening a FIFO would wait for its other end. It means nothing to a file. */
    int file = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, STATE_FILE_MODE);
    int result;

    if (file < 0 && errno == ELOOP)
        return refuse(error, path, "is a symbolic link");
    if (file < 0 && errno == EACCES && is_of_another(path))
        return refuse(error, path, "belongs to another user");
    if (file < 0)
        return fail(error, "open", path);
    result = check(file, path, error);
    if (result < 0) {
        close(file);
        return result;
    }
    return file;
}

FILE *state_file_read(const char *path, struct error *error)
{
    int file = state_file_open(path, O_RDONLY, error);
    FILE *stream = file < 0 ? NULL : fdopen(file, "r");

    if (stream != NULL)
        return stream;
    if (file >= 0) {
        fail(error, "read", path);
        close(file);
    } else if (file == -ENOENT) {
        *error = (struct error){0};
    }
    errno = file < 0 ? -file : ENOMEM;
    return NULL;
}

static int write_new(const char *path, state_file_writer *write, const void *context,
                     struct error *error)
{
    int file = state_file_open(path, O_WRONLY | O_CREAT | O_EXCL, error), result;
    FILE *stream = file < 0 ? NULL : fdopen(file, "w");

    if (stream == NULL) {
        result = file < 0 ? file : fail(error, "write", path);
        if (file >= 0)
            close(file);
        return result;
    }
    result = write(stream, context);
    errno = -result;
    if (result == 0 && (fflush(stream) != 0 || fsync(file) < 0))
        result = -errno;
    if (fclose(stream) != 0 && result == 0)
        result = -errno;
    errno = -result;
    return result < 0 ? fail(error, "write", path) : 0;
}

int state_file_replace(const char *path, state_file_writer *write, const void *context,
                       struct error *error)
{
    char new_path[STATE_PATH_MAX + sizeof(NEW_SUFFIX)];
    int result;

    snprintf(new_path, sizeof(new_path), "%s" NEW_SUFFIX, path);
    if (unlink(new_path) < 0 && errno != ENOENT) /* of a run that was killed, or not ours */
        return fail(error, "remove", new_path);
    result = write_new(new_path, write, context, error);
    if (result == 0 && rename(new_path, path) < 0)
        result = fail(error, "replace", path);
    if (result < 0)
        unlink(new_path);
    return result;
}
