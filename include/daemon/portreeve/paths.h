/*
 * paths.h - paths of the configuration: creating directories, and hints about what cannot be
 * written
 */
#ifndef PORTREEVE_PATHS_H
#define PORTREEVE_PATHS_H

#include <errno.h>

/*
 * For the end of a sentence about this -errno: "" or a hint. Under systemd, the unit lets the
 * daemon write in few places, and all others look like a read-only file system
 * (ProtectSystem=strict).
 */
static inline const char *paths_hint(int result)
{
    return result == -EROFS ? "; under systemd, see portreeve.conf(5), OTHER PATHS UNDER SYSTEMD"
                            : "";
}

/* Creates the missing directories of this path, with mode 0755. Returns 0 or -errno. */
int paths_create_directories(const char *path);

#endif
