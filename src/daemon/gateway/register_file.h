/*
 * register_file.h - the register of open ports, kept across restarts and reboots
 *
 * DIRECTORY/register.json is replaced as a whole. A file that does not make sense is set aside and
 * not used at all: half a register would say of an open port that nobody uses it.
 */
#ifndef PORTREEVE_REGISTER_FILE_H
#define PORTREEVE_REGISTER_FILE_H

#include "portreeve/error.h"
#include "portreeve/register.h"

/* Writes it, if it has changed. Returns 0, or -errno and a sentence; then the next call tries. */
int register_file_save(const char *directory, struct forward_register *ports, struct error *error);

/* Fills an empty register. What is wrong is logged. */
void register_file_load(const char *directory, struct forward_register *ports);

#endif
