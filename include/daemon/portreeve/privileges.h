/*
 * privileges.h - the daemon keeps two capabilities, and gives up the rest before the first packet
 *
 * CAP_NET_ADMIN: netfilter, and the host's reserved ports (net_ctl_permissions, net/sysctl_net.c).
 * CAP_NET_RAW: ICMP to hosts whose packets are dropped. Both are ambient, so that a program that
 * replaces this one has them, too, and nothing can be gained by exec (no_new_privs).
 *
 * A service manager may start the daemon as its user, with these two. Started as root, it changes
 * to its user itself, in this order: the privileged process (privileged.h), the configuration, the
 * directories that it writes to, groups, user, capabilities.
 *
 * Group 0 stays a supplementary group: /proc/net/netfilter/nfnetlink_queue, which has the kernel's
 * counters of our queues, is readable for that group only.
 */
#ifndef PORTREEVE_PRIVILEGES_H
#define PORTREEVE_PRIVILEGES_H

#include "portreeve/config.h"
#include "portreeve/error.h"

/* The user that the daemon becomes if nothing else is said, and if there is such a user. */
#define PRIVILEGES_USER "portreeve"

/*
 * Gives up what is not needed, for good. `user`: NULL for PRIVILEGES_USER; "root" to keep the user.
 * Without the right to change its user, the process keeps it. It stays root, too, where the user
 * could not write to the directories of the configuration; the log says so. Call it before there
 * are threads. Returns 0, or -errno and a sentence.
 */
int privileges_drop(const struct config *config, const char *user, struct error *error);

/*
 * What a daemon that is started as its user cannot do for itself, done by root before: the user may
 * read the configuration file, by an entry of the file's access list, and has the directories of
 * the configuration. What is as it should be stays as it is; without the right to do this, or
 * without the user, nothing happens. Return 0, or -errno and a sentence.
 */
int privileges_let_read(const char *config_path, const char *user, struct error *error);
int privileges_prepare(const struct config *config, const char *user, struct error *error);

#endif
