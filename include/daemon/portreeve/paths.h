/*
 * paths.h - paths of the configuration: creating directories, and hints about what cannot be
 * written
 */
#ifndef PORTREEVE_PATHS_H
#define PORTREEVE_PATHS_H

/*
 * For the end of a sentence about this -errno: "" or a hint. Under systemd, the unit lets the
 * daemon write in few places, and all others look like a read-only file system
 * (ProtectSystem=strict). The limits of confine.h stay for the life of the process.
 */
const char *paths_hint(int result);

/* Creates the missing directories of this path, with mode 0755. Returns 0 or -errno. */
int paths_create_directories(const char *path);

#endif
