/*
 * reading.h - a reading of the configuration: lines -> sections and keys -> checks -> a policy
 *
 * reader.c    reads lines, knows sections, hands the rest to inih, which splits it
 * section.c   what may be in a section, and what was
 * keys.c      the tables of sections and keys
 * forward.c   the keys of [forward]
 * value.c     reading values: of any key, and of the kinds that several keys have
 * check.c     what no line can know alone: what is missing, what conflicts
 * report.c    errors and warnings, kept until the end and told in the order of their lines
 * addition.c  one forward from the control socket, by the same keys, checks and words
 * names.c     names that are good, and guesses at mistyped words
 */
#ifndef PORTREEVE_CONFIG_READING_H
#define PORTREEVE_CONFIG_READING_H

#include "portreeve/config.h"
#include "section.h"

#include <stdio.h>

struct diagnostic {
    unsigned line; /* 0: of the file as a whole */
    size_t order;
    bool warning;
    char *text;
};

struct reading {
    const char *path; /* NULL: not a file, but the control socket */
    FILE *stream;
    int64_t now; /* seconds since the epoch */
    struct config *config;

    unsigned line; /* being read, from 1 */
    /* whose keys are read; NULL: before the first one, or in an unknown one */
    struct section *section;
    bool section_seen;
    const struct key *key; /* whose value is read, or whose list goes on; NULL: none or unknown */
    bool list_open;        /* the last value ended in a comma: an indented line continues it */
    bool continuing;       /* inih was given such a line */
    bool skip_list;        /* ... of a list that was refused as a whole */
    unsigned list_line;
    bool stop; /* not a text file */

    struct section **sections; /* in the order of the file; owned */
    size_t section_count, section_capacity;
    void *section_tree; /* tsearch: by kind and name */

    struct diagnostic *diagnostics;
    size_t diagnostic_count, diagnostic_capacity;
    bool failed;    /* at least one error */
    bool no_memory; /* ... this one */
};

#endif
