/*
 * host_ports_program.c - which program has a socket, found in /proc
 */
#include "portreeve/host_ports.h"
#include "portreeve/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* True if one of the descriptors in this directory of /proc is the socket called `socket`. */
static bool has_socket(int proc, const char *process, const char *socket)
{
    char path[64], target[64];
    const struct dirent *entry;
    bool found = false;
    DIR *descriptors;
    int directory;

    snprintf(path, sizeof(path), "%.20s/fd", process);
    directory = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    descriptors = directory < 0 ? NULL : fdopendir(directory);
    if (descriptors == NULL) {
        if (directory >= 0)
            close(directory);
        return false;
    }
    while (!found && (entry = readdir(descriptors)) != NULL) {
        ssize_t length = readlinkat(directory, entry->d_name, target, sizeof(target) - 1);

        target[length > 0 ? length : 0] = '\0';
        found = strcmp(target, socket) == 0;
    }
    closedir(descriptors);
    return found;
}

static bool read_name(int proc, const char *process, char name[HOST_PROGRAM_MAX])
{
    char path[64];
    ssize_t length;
    int file;

    snprintf(path, sizeof(path), "%.20s/comm", process);
    file = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    length = read(file, name, HOST_PROGRAM_MAX - 1);
    close(file);
    name[length > 0 ? length : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    text_make_printable(name);
    return name[0] != '\0';
}

bool host_ports_program(uint32_t inode, char name[HOST_PROGRAM_MAX])
{
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    char socket[32];
    bool found = false;

    if (processes == NULL)
        return false;
    snprintf(socket, sizeof(socket), "socket:[%u]", inode);
    while (!found && (entry = readdir(processes)) != NULL) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            has_socket(dirfd(processes), entry->d_name, socket))
            found = read_name(dirfd(processes), entry->d_name, name);
    }
    closedir(processes);
    return found;
}
