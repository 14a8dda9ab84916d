/*
 * privileged.h - a small process beside the daemon, which keeps what the daemon gives up
 *
 * It opens the configuration file, which only root may be allowed to read, and finds out which
 * program has a socket. It understands these two questions, takes no path from the daemon, and has
 * two capabilities: CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE. It reads neither packets nor clients'
 * requests, and leaves when the daemon's end of its socket is closed.
 *
 * It exists only if the daemon was started with these capabilities, so not under the systemd unit.
 * A program that replaces the daemon's takes it over.
 */
#ifndef PORTREEVE_PRIVILEGED_H
#define PORTREEVE_PRIVILEGED_H

#include "portreeve/host_ports.h"

#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Starts it, or takes over the one of the earlier run. Call it before anything is opened and before
 * there are threads. Without it, the functions below do what the daemon may do itself.
 */
void privileged_start(const char *config_path);

/*
 * For the check of a new program (upgrade.h): the child that is started with these actions may ask
 * the process, too, while the daemon waits for it; privileged_lent ends that. Returns 0 or an error
 * number. The child calls privileged_borrow.
 */
int privileged_lend(posix_spawn_file_actions_t *actions);
void privileged_lent(void);
void privileged_borrow(const char *config_path);

/* Opens the file of privileged_start for reading. A descriptor, or -errno. */
int privileged_open_config(void);

/* As host_ports_program(). */
bool privileged_program(uint32_t inode, char name[HOST_PROGRAM_MAX]);

#endif
