/*
 * run.h - what each verb does: it sends one request to the daemon and shows the answer
 *
 * Each function returns an exit code. Text from the socket is printed with its unprintable
 * characters replaced, because it may hold what others wrote.
 */
#ifndef PORTREEVE_CTL_RUN_H
#define PORTREEVE_CTL_RUN_H

#include "options.h"

int run_status(const struct options *options);
int run_sessions(const struct options *options);
int run_mappings(const struct options *options);
int run_forwards(const struct options *options);
int run_forward_add(const struct options *options);
int run_forward_set(const struct options *options);
int run_forward_remove(const struct options *options);
int run_events(const struct options *options);
int run_audit(const struct options *options);
int run_check(const struct options *options);
int run_drops(const struct options *options);
int run_listeners(const struct options *options);
int run_explain(const struct options *options);
int run_kill(const struct options *options);
int run_reload(const struct options *options);
int run_upgrade(const struct options *options);

#endif
