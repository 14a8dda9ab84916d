/*
 * config_internal.h - how the configuration is read: lines -> sections and keys -> checks -> a
 * policy
 *
 * config_reader.c   reads lines, knows sections, hands the rest to inih, which splits it
 * config_keys.c     the tables of sections and keys
 * config_value.c    values that several keys have: prefixes, ports, durations, paths
 * config_forward.c  the keys of [forward], and forwards from the control socket
 * config_check.c    what no line can know alone: what is missing, what conflicts
 * config_report.c   errors and warnings, kept until the end and told in the order of their lines
 */
#ifndef PORTREEVE_CONFIG_INTERNAL_H
#define PORTREEVE_CONFIG_INTERNAL_H

#include "portreeve/config.h"
#include "portreeve/text.h"

#include <stdio.h>

#define KEYS_MAX  10 /* of one section */
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

enum section_id {
    SECTION_GATEWAY,
    SECTION_SHARE,
    SECTION_FORWARD,
    SECTION_TIMEOUTS,
    SECTION_LIMITS,
    SECTION_PERFORMANCE,
    SECTION_CONTROL,
    SECTION_STATE,
    SECTION_LOG,
    SECTION_COUNT,
};

/* Places in the key tables that checks refer to. */
enum { GATEWAY_EXTERNAL, GATEWAY_ADDRESS, GATEWAY_MARK, GATEWAY_MSS };
enum {
    SHARE_SOURCE,
    SHARE_PORTS,
    SHARE_FILTERING,
    SHARE_FILTERING_TCP,
    SHARE_FILTERING_UDP,
    SHARE_OVERLOAD,
    SHARE_PARITY,
    SHARE_PAIRING,
    SHARE_REFRESH,
    SHARE_EXEMPT,
    SHARE_KEYS
};
enum {
    FORWARD_LISTEN,
    FORWARD_TO,
    FORWARD_ALLOW,
    FORWARD_OWNER,
    FORWARD_NOTE,
    FORWARD_EXPIRES,
    FORWARD_KEYS
};
enum { LIMIT_SESSIONS, LIMIT_PER_HOST, LIMIT_NEW_PER_HOST, LIMIT_MAPPINGS };
enum { PERFORMANCE_WORKERS, PERFORMANCE_OFFLOAD, PERFORMANCE_OFFLOAD_AFTER, PERFORMANCE_QUEUE };

extern const struct section_kind section_kinds[SECTION_COUNT];
extern const struct key forward_keys[FORWARD_KEYS];

struct section {
    enum section_id id;
    char name[POLICY_NAME_MAX];
    unsigned line;
    bool ignored; /* a duplicate, or without a usable name: its values are checked, no more */
    unsigned key_line[KEYS_MAX]; /* where the key is; 0: not given */
    unsigned bad;                /* bit k: a value of key k was refused */
    struct share share;          /* of SECTION_SHARE; arrays owned */
    unsigned *source_line;       /* the line of each of share.source; owned */
    struct forward forward;      /* of SECTION_FORWARD; arrays owned */
    bool expired;                /* a forward that is over: left out */
};

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

/*
 * As config_load, from an open stream. `path` is for messages; `now` decides what has expired.
 */
bool config_load_stream(FILE *stream, const char *path, int64_t now, struct config *config,
                        config_report *report, config_report *warn, void *context);

/* config_reader.c: fills reading->sections and the values that go straight into reading->config. */
void config_read_lines(struct reading *reading);
/* Reads one value as the value of section_kinds[section->id].keys[index]. */
void config_take_value(struct reading *reading, struct section *section, size_t index,
                       const char *value);
/* "[share lab]" */
char *config_title(const struct section *section, char buffer[TITLE_MAX]);
/* Letters, digits, dots, underscores and dashes; begins with a letter or digit. */
bool config_name_is_good(const char *name);
void config_section_free(struct section *section);

/* config_value.c */
bool config_append(struct reading *reading, void *array_pointer, size_t *count, size_t size,
                   const void *element);
enum outcome config_take_prefix(struct reading *reading, const char *value, struct prefix *out);
enum outcome config_take_host(struct reading *reading, const char *value,
                              const struct address *address);
/* Of `text`, which is `value` or a part of it. */
enum outcome config_take_ports(struct reading *reading, const char *value, const char *text,
                               struct port_range *out);
enum outcome config_take_path(struct reading *reading, const char *value, char *out, size_t size);
enum outcome config_take_text(struct reading *reading, const char *value, char *out, size_t size);
/* Refuses `text` as VALUE_REFUSED when it looks like a host name, else VALUE_WRONG. */
enum outcome config_not_an_address(struct reading *reading, const char *value, const char *text);

/* config_check.c: false when the reading has failed; otherwise fills the policy. */
bool config_check(struct reading *reading);
/* The target of the last port must exist. */
void config_check_target(struct reading *reading, const struct section *section);

/* config_report.c */
void config_problem(struct reading *reading, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void config_warning(struct reading *reading, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "[title] key = value: ...", of the key and line that are being read; returns VALUE_REFUSED. */
enum outcome config_refuse(struct reading *reading, const char *value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, of another key of a section. `value` may be NULL. */
void config_conflict(struct reading *reading, const struct section *section, size_t key,
                     const char *value, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* The word of `words` that `typed` most likely means, or NULL. */
const char *config_suggest(const char *typed, const char *const *words, size_t count);
/* Tells everything and frees it. */
void config_tell(struct reading *reading, config_report *report, config_report *warn,
                 void *context);

#endif
