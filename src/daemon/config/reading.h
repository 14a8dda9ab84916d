/*
 * reading.h - a reading of the configuration: lines -> sections and keys -> checks -> a policy
 *
 * reader.c    reads lines, finds sections, and gives the rest to inih, which splits it
 * section.c   a section: its possible keys, and what the file says
 * keys.c      the tables of sections and keys
 * forward.c   the keys of [forward]
 * promise.c   the keys of [never] and [always]; promise_check.c  whether they are kept
 * timeouts.c  the keys of [timeouts]
 * value.c     reading values: of any key, and of the types that several keys have
 * include.c   reads the files of [gateway] include
 * place.c     where a line is, of several files
 * check.c     checks across lines and sections: what is missing, what conflicts
 * report.c    errors and warnings, kept until the end and reported in the order of their lines
 * addition.c  one forward from the control socket, with the same keys, checks and messages
 * names.c     valid names, and suggestions for mistyped words
 */
#ifndef PORTREEVE_CONFIG_READING_H
#define PORTREEVE_CONFIG_READING_H

#include "portreeve/config.h"
#include "section.h"

#include <stdio.h>

struct diagnostic {
    unsigned line; /* 0: the file as a whole */
    size_t order;
    bool warning;
    char *text;
};

struct reading {
    const char *path; /* NULL: not a file, but the control socket */
    FILE *stream;
    int64_t now; /* seconds since the epoch */
    struct config *config;

    unsigned line; /* being read, from 1; counted over all files */
    bool follows_includes;
    char include[CONFIG_LINE_MAX + 1]; /* the pattern; empty: none */
    unsigned include_line;
    unsigned lines_before[CONFIG_INCLUDED_MAX + 1]; /* each file, by its index */
    /* whose keys are read; NULL: before the first section, or in an unknown one */
    struct section *section;
    bool section_seen;
    char key_name[CONFIG_LINE_MAX + 1];            /* as written; matters for KEY_OF_PORT */
    unsigned port_timeout_line[PORT_TIMEOUTS_MAX]; /* in the order of struct timeouts */
    const struct key *key; /* whose value is read, or whose list continues; NULL: none or unknown */
    bool list_open;        /* the last value ended with a comma: an indented line continues it */
    bool continuing;       /* inih was given such a line */
    bool skip_list;        /* ... of a list that was refused as a whole */
    unsigned list_line;
    bool stop; /* not a text file */

    struct section **sections; /* in the order of the file; owned */
    size_t section_count, section_capacity;
    void *section_tree;                /* for tsearch: by kind and name */
    uint64_t default_pool[65536 / 64]; /* bit p: port p is in the pool of shares without `ports` */

    struct diagnostic *diagnostics;
    size_t diagnostic_count, diagnostic_capacity;
    bool failed;    /* at least one error */
    bool no_memory; /* ... because memory ran out */
};

#endif
