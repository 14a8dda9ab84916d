/*
 * confine.c - the system calls that each thread of the daemon may make (seccomp(2))
 *
 * A name that libseccomp does not know is left out: a library that is older than the call.
 */
#include "portreeve/confine.h"

#include "confine_files.h"
#include "portreeve/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* In the environment of a program that replaces this one: the filter that it has already. */
#define FILTER_VARIABLE "PORTREEVE_FILTER"

/* Lists of names, which end with NULL. */
typedef const char *const call_names[];

/* libc's own: memory, locks, the end of a thread, abort(). */
static call_names of_libc = {
    "brk",         "clock_gettime",   "clock_nanosleep", "exit",
    "exit_group",  "futex",           "getpid",          "getrandom",
    "gettid",      "gettimeofday",    "madvise",         "membarrier",
    "mremap",      "munmap",          "nanosleep",       "restart_syscall",
    "rseq",        "rt_sigaction",    "rt_sigprocmask",  "rt_sigreturn",
    "sched_yield", "set_robust_list", "tgkill",          "time",
    NULL,
};

/* On sockets and descriptors that are open already. */
static call_names of_packets = {
    "close",   "getsockopt", "poll",    "ppoll",  "pselect6",   "read",  "recvfrom", "recvmmsg",
    "recvmsg", "select",     "sendmsg", "sendto", "setsockopt", "write", "writev",   NULL,
};

static call_names of_reading_files = {
    "fcntl", "fstat", "getdents64", "lseek", "newfstatat", "readlinkat", NULL,
};

/* The main thread: all that a start needs, its own and that of a program that replaces it. */
static call_names of_main = {
    "accept",
    "accept4",
    "access",
    "arch_prctl",
    "bind",
    "capget",
    "capset",
    "chmod",
    "chown",
    "clock_getres",
    "clone",
    "clone3",
    "close_range",
    "connect",
    "dup",
    "dup2",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "execve",
    "execveat",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fdatasync",
    "fgetxattr",
    "flock",
    "fork",
    "fsetxattr",
    "fstatfs",
    "fsync",
    "ftruncate",
    "getcpu",
    "getcwd",
    "getdents",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getpeername",
    "getpgrp",
    "getppid",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsockname",
    "getuid",
    "getxattr",
    "ioctl",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "link",
    "linkat",
    "listen",
    "lstat",
    "memfd_create",
    "mincore",
    "mkdir",
    "mkdirat",
    "mlock",
    "mlock2",
    "mmap",
    "mprotect",
    "msync",
    "munlock",
    "open",
    "openat",
    "openat2",
    "pause",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe",
    "pipe2",
    "prctl",
    "pread64",
    "preadv",
    "preadv2",
    "prlimit64",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "readlink",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "rt_sigpending",
    "rt_sigqueueinfo",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "seccomp",
    "sendfile",
    "sendmmsg",
    "setitimer",
    "setpriority",
    "setrlimit",
    "setsid",
    "setxattr",
    "set_tid_address",
    "shutdown",
    "sigaltstack",
    "signalfd",
    "signalfd4",
    "socket",
    "socketpair",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sysinfo",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    "times",
    "tkill",
    "truncate",
    "umask",
    "uname",
    "unlink",
    "unlinkat",
    "utimensat",
    "vfork",
    "wait4",
    "waitid",
    NULL,
};

/* Only foreign code makes these in a thread that reads packets. */
static call_names never = {
    "add_key",
    "bpf",
    "capset",
    "chroot",
    "clone",
    "clone3",
    "delete_module",
    "execve",
    "execveat",
    "finit_module",
    "fork",
    "fsopen",
    "init_module",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "mount",
    "move_mount",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "reboot",
    "request_key",
    "setgid",
    "setgroups",
    "setns",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setuid",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
    "vfork",
    NULL,
};

/* Returns 0 or -errno, as the functions of libseccomp do. */
static int add_names(scmp_filter_ctx filter, const char *const *names, uint32_t action)
{
    int result = 0;

    for (; *names != NULL && result == 0; names++) {
        int number = seccomp_syscall_resolve_name(*names);

        if (number != __NR_SCMP_ERROR)
            result = seccomp_rule_add(filter, action, number, 0);
        if (result == -EDOM || result == -EEXIST) /* of other architectures; in two lists */
            result = 0;
    }
    return result;
}

/* Allows the call only with none of these bits in its argument. */
static int add_without(scmp_filter_ctx filter, const char *name, unsigned int argument,
                       uint64_t bits)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(name), 1,
                            SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, bits, 0));
}

/* No new code: memory that is executable, or becomes so. */
static int add_memory(scmp_filter_ctx filter)
{
    int result = add_without(filter, "mmap", 2, PROT_EXEC);

    return result < 0 ? result : add_without(filter, "mprotect", 2, PROT_EXEC);
}

static int add_reading_files(scmp_filter_ctx filter)
{
    int result = add_names(filter, of_reading_files, SCMP_ACT_ALLOW);

    return result < 0 ? result : add_without(filter, "openat", 2, O_WRONLY | O_RDWR | O_CREAT);
}

static int add_thread(scmp_filter_ctx filter)
{
    int result = add_names(filter, never, SCMP_ACT_KILL_PROCESS);

    return result < 0 ? result : add_memory(filter);
}

static int add_role(scmp_filter_ctx filter, enum confine_role role)
{
    int result = add_names(filter, of_libc, SCMP_ACT_ALLOW);

    if (result == 0)
        result = add_names(filter, of_packets, SCMP_ACT_ALLOW);
    if (result < 0)
        return result;
    switch (role) {
    case CONFINE_MAIN:
        result = add_names(filter, of_reading_files, SCMP_ACT_ALLOW);
        return result < 0 ? result : add_names(filter, of_main, SCMP_ACT_ALLOW);
    case CONFINE_WORKER:
        return add_thread(filter);
    case CONFINE_OFFLOAD:
        result = add_thread(filter);
        return result < 0 ? result : add_reading_files(filter);
    case CONFINE_PRIVILEGED:
        result = add_memory(filter);
        return result < 0 ? result : add_reading_files(filter);
    }
    return -EINVAL;
}

/*
 * SSB: the kernel must not slow this thread down as one that runs code of others. OPTIMIZE: a
 * binary tree.
 */
static int load(enum confine_role role)
{
    const uint32_t otherwise =
        role == CONFINE_PRIVILEGED ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS);
    scmp_filter_ctx filter = seccomp_init(otherwise);
    int result;

    if (filter == NULL)
        return -ENOMEM;
    (void)seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    result = add_role(filter, role);
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    return result;
}

/* FNV-1a over the names: another program may have another list. */
static void name_filter(char text[24])
{
    const char *const *lists[] = {of_libc, of_packets, of_reading_files, of_main};
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (const char *const *name = lists[i]; *name != NULL; name++) {
            for (const char *at = *name; *at != '\0'; at++)
                hash = (hash ^ (uint8_t)*at) * 1099511628211u;
        }
    }
    snprintf(text, 24, "%016llx", (unsigned long long)hash);
}

/* A thread keeps all filters that it has ever got, so an upgrade must not add the same again. */
static int load_for_main(void)
{
    const char *before = getenv(FILTER_VARIABLE);
    char name[24];
    int result;

    name_filter(name);
    if (before != NULL && strcmp(before, name) == 0)
        return 0;
    result = load(CONFINE_MAIN);
    if (result == 0 && setenv(FILTER_VARIABLE, name, 1) < 0)
        result = -errno;
    return result;
}

bool confine_is_built_in(void)
{
    return !SANITIZED;
}

void confine_thread(enum confine_role role)
{
    static const char *const who[] = {
        [CONFINE_MAIN] = "the main thread",
        [CONFINE_WORKER] = "a worker",
        [CONFINE_OFFLOAD] = "the offload thread",
        [CONFINE_PRIVILEGED] = "the privileged process",
    };
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* libseccomp has state of its own */
    int result;

    if (SANITIZED)
        return;
    result = confine_files_of_thread(role);
    if (result < 0)
        log_warning("%s may open any file: %s", who[role], strerror(-result));
    pthread_mutex_lock(&lock);
    result = role == CONFINE_MAIN ? load_for_main() : load(role);
    pthread_mutex_unlock(&lock);
    if (result < 0)
        log_warning("%s may make any system call: %s", who[role], strerror(-result));
}
