/*
 * state_file.h - files in [state] directory: whose they must be, and how they are replaced whole
 *
 * What they say is believed by a program with privileges. So a file counts only if it is a regular
 * file of this user with one name, that nobody else may write; links are never followed, and a FIFO
 * or a device is never waited for.
 */
#ifndef PORTREEVE_STATE_FILE_H
#define PORTREEVE_STATE_FILE_H

#include "portreeve/error.h"

#include <limits.h>
#include <stdio.h>

/* Room for the path of a file in [state] directory. */
#define STATE_PATH_MAX (PATH_MAX + 32)

/* The files say who talks to whom: only root may read them. */
#define STATE_FILE_MODE 0600

/*
 * Creates the directory if it is missing. Returns 0, or -errno and a sentence: -ENOTDIR, or -EPERM
 * if it is another user's or another user may write there.
 */
int state_directory_prepare(const char *directory, struct error *error);

/*
 * Opens a file with these flags of open(2); O_CREAT makes it with STATE_FILE_MODE. Returns a
 * descriptor, or -errno and a sentence: -EPERM for a file that does not count.
 */
int state_file_open(const char *path, int flags, struct error *error);

/* As state_file_open, for reading. NULL with errno: ENOENT if there is none, then without a
 * sentence. */
FILE *state_file_read(const char *path, struct error *error);

/*
 * Writes a new file and puts it in the place of the old one, which stays as it is if anything
 * fails. `write` returns 0 or -errno. Returns 0, or -errno and a sentence.
 */
typedef int state_file_writer(FILE *stream, const void *context);
int state_file_replace(const char *path, state_file_writer *write, const void *context,
                       struct error *error);

#endif
