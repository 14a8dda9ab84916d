/*
 * confine_files.c - the files that each thread may change or open (landlock(7))
 *
 * Of the main thread only what changes files is limited: reading stays as its user may, so that a
 * program that replaces this one finds its libraries wherever they are. A worker opens nothing, and
 * the offload thread reads the kernel's counters of queues. The privileged process has no such
 * limit: the kernel lets a process that has one look into none outside of it
 * (hook_ptrace_access_check), and looking for the program of a socket is what that process is for.
 *
 * A domain of Landlock is a thread's, and is inherited by threads that it starts and over exec(2).
 */
#include "portreeve/confine.h"

#include "confine_files.h"
#include "portreeve/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13) /* since Linux 5.19 */
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* since Linux 6.2 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) /* since Linux 6.10 */
#endif

/*
 * In the environment of a program that replaces this one: the directories that it is limited to, as
 * "DEVICE:INODE DEVICE:INODE". The kernel knows them so, too: one that is made anew is another.
 */
#define LIMITED_VARIABLE "PORTREEVE_DIRECTORIES"

#define RESERVED_PORTS "/proc/sys/net/ipv4/ip_local_reserved_ports"

#define READ       (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_FILE LANDLOCK_ACCESS_FS_WRITE_FILE
#define CHANGE                                                                                     \
    (WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                 \
     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |    \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
     LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_TRUNCATE)
#define EVERYTHING                                                                                 \
    (CHANGE | READ | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REFER |                       \
     LANDLOCK_ACCESS_FS_IOCTL_DEV)

/* What this kernel can limit: 0 if nothing. */
static uint64_t known_to_kernel(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t known = EVERYTHING;

    if (version < 5)
        known &= ~LANDLOCK_ACCESS_FS_IOCTL_DEV;
    if (version < 3)
        known &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
    if (version < 2)
        known &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
    return version < 1 ? 0 : known;
}

/*
 * Returns a descriptor of the file, or -errno. A rule is about an inode, and that of a file in
 * /proc/sys is another one when nobody has held the file for a while (proc_sys_lookup).
 */
static int hold(const char *path)
{
    int file = open(path, O_PATH | O_CLOEXEC);

    return file < 0 ? -errno : file;
}

/* Returns 0 or -errno; what does not exist needs no rule. The file stays open: see hold(). */
static int allow(int rules, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = access, .parent_fd = hold(path)};

    if (beneath.parent_fd < 0)
        return beneath.parent_fd == -ENOENT ? 0 : beneath.parent_fd;
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
        return -errno;
    return 0;
}

struct rule {
    const char *path;
    uint64_t access;
};

/* Limits the calling thread. `rules` end with a path NULL. Returns 0 or -errno. */
static int limit(uint64_t handled, const struct rule *rule)
{
    const struct landlock_ruleset_attr attributes = {.handled_access_fs =
                                                         handled & known_to_kernel()};
    int rules, result = 0;

    if (attributes.handled_access_fs == 0)
        return -EOPNOTSUPP;
    rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    if (rules < 0)
        return -errno;
    for (; rule->path != NULL && result == 0; rule++)
        result = allow(rules, rule->path, rule->access & attributes.handled_access_fs);
    if (result == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        result = -errno;
    if (result == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        result = -errno;
    close(rules);
    return result;
}

/* A thread other than the main one */

int confine_files_of_thread(enum confine_role role)
{
    static const struct rule nothing[] = {{NULL, 0}};
    static const struct rule counters[] = {{"/proc", READ}, {NULL, 0}};
    int result = 0;

    if (role == CONFINE_WORKER)
        result = limit(EVERYTHING, nothing);
    else if (role == CONFINE_OFFLOAD)
        result = limit(EVERYTHING, counters);
    return result == -EOPNOTSUPP || result == -ENOSYS ? 0 : result;
}

/* The main thread */

void confine_paths_set(struct confine_paths *paths, const char *state_directory,
                       const char *lasting_directory, const char *control_socket)
{
    char *end;

    snprintf(paths->state, sizeof(paths->state), "%s", state_directory);
    snprintf(paths->lasting, sizeof(paths->lasting), "%s", lasting_directory);
    snprintf(paths->control, sizeof(paths->control), "%s", control_socket);
    end = strrchr(paths->control, '/');
    if (end != NULL)
        end[end == paths->control ? 1 : 0] = '\0';
}

/* Of a directory, and of all of them. */
#define NAME_SIZE 64
#define LIST_SIZE (3 * NAME_SIZE)

static bool name_directory(const char *path, char text[NAME_SIZE])
{
    struct stat status;

    if (stat(path, &status) < 0)
        return false;
    snprintf(text, NAME_SIZE, "%llx:%llx", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    return true;
}

bool confine_was_limited(void)
{
    return getenv(LIMITED_VARIABLE) != NULL;
}

static bool is_listed(const char *list, const char *path)
{
    char name[NAME_SIZE], listed[LIST_SIZE];

    if (!name_directory(path, name))
        return false;
    snprintf(listed, sizeof(listed), "%s", list);
    for (char *rest = listed, *word; (word = strsep(&rest, " ")) != NULL;) {
        if (strcmp(word, name) == 0)
            return true;
    }
    return false;
}

const char *confine_refused_directory(const struct confine_paths *paths)
{
    const char *list = getenv(LIMITED_VARIABLE);

    if (list == NULL)
        return NULL;
    if (!is_listed(list, paths->state))
        return paths->state;
    if (!is_listed(list, paths->lasting))
        return paths->lasting;
    return is_listed(list, paths->control) ? NULL : paths->control;
}

static int limit_main(const struct confine_paths *paths)
{
    const struct rule rules[] = {
        {paths->state, CHANGE},
        {paths->lasting, CHANGE},
        {paths->control, CHANGE},
        {RESERVED_PORTS, WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE},
        {"/dev/null", WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE},
        {NULL, 0},
    };
    char state[NAME_SIZE], lasting[NAME_SIZE], control[NAME_SIZE], list[LIST_SIZE];
    int result;

    if (!name_directory(paths->state, state) || !name_directory(paths->lasting, lasting) ||
        !name_directory(paths->control, control))
        return -errno;
    result = limit(CHANGE, rules);
    snprintf(list, sizeof(list), "%s %s %s", state, lasting, control);
    if (result == 0 && setenv(LIMITED_VARIABLE, list, 1) < 0)
        result = -errno;
    return result;
}

void confine_files(const struct confine_paths *paths)
{
    int result;

    if (confine_was_limited()) {
        (void)hold(RESERVED_PORTS);
        return;
    }
    result = limit_main(paths);
    if (result == -EOPNOTSUPP || result == -ENOSYS)
        log_debug("this kernel cannot limit the files that the daemon changes (Landlock)");
    else if (result < 0)
        log_warning("the daemon may change files in any directory: %s", strerror(-result));
}
