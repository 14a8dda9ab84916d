/*
 * include.c - the files that [gateway] include names
 */
#include "include.h"

#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The pattern as glob(3) takes it: relative to the directory of the file that has it, whose name is
 * no pattern. False if it is too long.
 */
static bool full_pattern(const struct reading *reading, char pattern[PATH_MAX])
{
    const char *slash = strrchr(reading->path, '/');
    size_t length = 0;

    if (reading->include[0] != '/' && slash != NULL) {
        for (const char *at = reading->path; at <= slash && length < PATH_MAX - 2; at++) {
            if (strchr("*?[\\", *at) != NULL)
                pattern[length++] = '\\';
            pattern[length++] = *at;
        }
    }
    return (size_t)snprintf(pattern + length, PATH_MAX - length, "%s", reading->include) <
           PATH_MAX - length;
}

/* A stream, or NULL with errno. A FIFO or a device is never waited for. */
static FILE *open_file(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    FILE *stream;

    if (file < 0)
        return NULL;
    if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(file);
        errno = EINVAL;
        return NULL;
    }
    stream = fdopen(file, "r");
    if (stream == NULL)
        close(file);
    return stream;
}

static void refuse(struct reading *reading, const char *path, const char *reason)
{
    config_problem(reading, reading->include_line, "[gateway] include = %s: %.1000s %s",
                   reading->include, path, reason);
}

/* The file becomes the one whose lines are counted. False without memory. */
static bool begin_file(struct reading *reading, const char *path)
{
    struct config *config = reading->config;
    char *copy = strdup(path);

    if (copy == NULL) {
        reading->failed = reading->no_memory = true;
        return false;
    }
    config->included[config->included_count++] = copy;
    reading->lines_before[config->included_count] = reading->line;
    reading->section = NULL;
    reading->section_seen = reading->list_open = reading->continuing = false;
    return true;
}

static void read_file(struct reading *reading, const char *path,
                      void (*read)(struct reading *reading))
{
    FILE *main_stream = reading->stream, *stream;

    if (reading->config->included_count == CONFIG_INCLUDED_MAX) {
        refuse(reading, path, "is one file too many; expected at most " CONFIG_INCLUDED_TEXT);
        return;
    }
    stream = open_file(path);
    if (stream == NULL && errno == EINVAL) {
        refuse(reading, path, "is no regular file");
    } else if (stream == NULL) {
        char reason[256];

        snprintf(reason, sizeof(reason), "cannot be read: %s%s", strerror(errno),
                 errno == EACCES ? "; the user that the daemon runs as must be able to read it"
                                 : "");
        refuse(reading, path, reason);
    } else if (begin_file(reading, path)) {
        reading->stream = stream;
        read(reading);
        if (ferror(stream))
            refuse(reading, path, "cannot be read to its end");
        reading->stream = main_stream;
    }
    if (stream != NULL)
        fclose(stream);
}

void include_each(struct reading *reading, void (*read)(struct reading *reading))
{
    char pattern[PATH_MAX];
    glob_t found;
    int result;

    if (reading->include[0] == '\0' || !reading->follows_includes)
        return;
    if (!full_pattern(reading, pattern)) {
        refuse(reading, "the path", "is too long");
        return;
    }
    result = glob(pattern, GLOB_ERR, NULL, &found);
    if (result == 0) {
        for (size_t i = 0; i < found.gl_pathc && !reading->stop; i++)
            read_file(reading, found.gl_pathv[i], read);
        globfree(&found);
    } else if (result != GLOB_NOMATCH) {
        refuse(reading, pattern, "cannot be searched: a directory cannot be read");
    } else if (strpbrk(reading->include, "*?[") == NULL) {
        refuse(reading, pattern, "does not exist");
    }
}
