/*
 * paths.c - paths of the configuration: creating directories, and hints about what cannot be
 * written
 */
#include "portreeve/paths.h"

#include "portreeve/confine.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

const char *paths_hint(int result)
{
    if (result == -EROFS)
        return "; under systemd, see portreeve.conf(5), OTHER PATHS UNDER SYSTEMD";
    if (result == -EACCES && confine_was_limited())
        return "; the daemon can change the directories only that it had when it was started: "
               "restart it";
    return "";
}

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
