/*
 * confine_files.h - the files that a thread other than the main one may open (landlock(7))
 */
#ifndef PORTREEVE_CONFINE_FILES_H
#define PORTREEVE_CONFINE_FILES_H

#include "portreeve/confine.h"

/*
 * A worker can open no file from now on, the offload thread can read files below /proc only. Not
 * for the other roles. Nothing happens on a kernel without Landlock. Returns 0 or -errno.
 */
int confine_files_of_thread(enum confine_role role);

#endif
