/*
 * paths.c - paths of the configuration: creating directories, and hints about what cannot be
 * written
 */
#include "portreeve/paths.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

int paths_create_directories(const char *path)
{
    char directory[PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - path);

        if (length >= sizeof(directory))
            return -ENAMETOOLONG;
        memcpy(directory, path, length);
        directory[length] = '\0';
        if (mkdir(directory, 0755) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}
