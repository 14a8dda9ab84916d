/*
 * section.h - a section of the file: its possible keys, and what the file says
 */
#ifndef PORTREEVE_CONFIG_SECTION_H
#define PORTREEVE_CONFIG_SECTION_H

#include "portreeve/policy.h"

#define KEYS_MAX  12 /* of one section */
#define TITLE_MAX 96 /* "[forward NAME]" */

struct reading;
struct section;

enum outcome {
    VALUE_TAKEN,
    VALUE_WRONG,   /* the caller says what was expected */
    VALUE_REFUSED, /* config_refuse has said why */
};

enum key_flags {
    KEY_REQUIRED = 1,
    KEY_LIST = 2, /* comma-separated; `take` is called for each item */
    KEY_MAY_BE_EMPTY = 4,
    /* the name ends in a port, as in udp:53 (reading->key_name); may be given for many */
    KEY_OF_PORT = 8,
};

struct key {
    const char *name;
    unsigned flags; /* enum key_flags */
    enum outcome (*take)(struct reading *reading, struct section *section, const char *value);
    const char *expected; /* "expected ..." */
};

struct section_kind {
    const char *name;
    bool named; /* [share NAME] */
    const struct key *keys;
    size_t key_count;
};

struct section {
    const struct section_kind *kind;
    char name[POLICY_NAME_MAX];
    unsigned line;
    bool ignored; /* a duplicate, or without a valid name: its values are only checked */
    unsigned key_line[KEYS_MAX]; /* where the key is; 0: not given */
    unsigned bad;                /* bit k: a value of key k was refused */
    struct share share;          /* of SECTION_SHARE; arrays owned */
    unsigned *source_line;       /* the line of each of share.source; owned */
    struct forward forward;      /* of SECTION_FORWARD; arrays owned */
    struct promise promise;      /* of SECTION_NEVER, SECTION_ALWAYS; arrays owned */
    bool expired;                /* the forward has expired: it is not used */
};

/* An empty section of this kind; NULL without memory. */
struct section *config_section_new(const struct section_kind *kind, unsigned line);
void config_section_free(struct section *section);

/* "[share lab]" */
char *config_title(const struct section *section, char buffer[TITLE_MAX]);

#endif
