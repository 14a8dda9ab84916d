/*
 * config.h - the INI file, read whole or not at all
 *
 * Every unknown section or key, duplicate, bad value, missing value and conflict is reported with
 * file, line, the value and what was expected, all of them in one run. The grammar is in
 * portreeve.conf(5).
 */
#ifndef PORTREEVE_CONFIG_H
#define PORTREEVE_CONFIG_H

#include "portreeve/interface.h"
#include "portreeve/log.h"
#include "portreeve/policy.h"

#include <limits.h>

#define CONFIG_UPLINKS_MAX            8
#define CONFIG_EXTERNAL_ADDRESSES_MAX 16
#define CONFIG_UNTRANSLATED_MAX       16
#define CONFIG_WORKERS_MAX            64
/*
 * Bytes of a line without indentation, comment and end. This is what fits into the line buffer of
 * an inih that was built with its defaults (200 bytes, less indentation, newline and NUL). inih
 * cuts a longer line without a message.
 */
#define CONFIG_LINE_MAX 197

#define CONFIG_INCLUDED_MAX  256
#define CONFIG_INCLUDED_TEXT "256"

enum offload_mode {
    OFFLOAD_AUTO,
    OFFLOAD_ON,
    OFFLOAD_OFF,
};

/* What happens to the MSS that TCP offers. */
enum mss_mode {
    MSS_AUTO, /* reduced to what fits the MTU of the external interface */
    MSS_OFF,
    MSS_FIXED,
};

struct config {
    char external[CONFIG_UPLINKS_MAX][INTERFACE_NAME_MAX]; /* names, or alternative ones */
    size_t external_count;                                 /* at least 1 */
    struct address external_address[CONFIG_EXTERNAL_ADDRESSES_MAX];
    size_t external_address_count; /* 0: every global IPv4 address of the interfaces */
    /* interfaces that hold a default route, and still shares send by them as they are */
    char untranslated[CONFIG_UNTRANSLATED_MAX][IF_NAMESIZE];
    size_t untranslated_count;
    uint32_t hairpin_mark; /* one bit of the packet mark */
    enum mss_mode mss;
    uint16_t mss_limit; /* of MSS_FIXED, bytes */
    uint16_t workers;   /* 0: auto (half of the processors) */
    uint16_t queue;     /* number of the first queue */
    enum offload_mode offload;
    uint32_t offload_after; /* packets of a session before it is offloaded */
    char control_socket[108];
    char control_group[33]; /* empty: root only */
    char state_directory[PATH_MAX];
    char lasting_directory[PATH_MAX]; /* of what outlives a reboot; may be the same */
    struct log_options log;
    struct policy *policy;               /* unsealed; owned */
    struct policy *expired;              /* the forwards whose time was over; owned */
    char *included[CONFIG_INCLUDED_MAX]; /* the files of `include`, in their order; owned */
    size_t included_count;
};

/* The name of an uplink (struct uplink); empty for one that the configuration does not have. */
static inline const char *config_external(const struct config *config, uint8_t uplink)
{
    return uplink < config->external_count ? config->external[uplink] : "";
}

/* The file that struct forward means; `path` is that of the configuration itself. */
static inline const char *config_file(const struct config *config, const char *path, uint16_t file)
{
    return file > 0 && file <= config->included_count ? config->included[file - 1] : path;
}

/*
 * Receives every error, one call each: "FILE:LINE: what is wrong, what was expected", without
 * newline.
 */
typedef void config_report(void *context, const char *message);

/*
 * Reads `path`. Returns false after reporting every error; then *config must not be used and owns
 * nothing. Warnings (a timeout below the RFC's minimum, for example) are reported through `warn`
 * and are not errors.
 */
bool config_load(const char *path, struct config *config, config_report *report,
                 config_report *warn, void *context);

/* Frees what config_load allocated. */
void config_free(struct config *config);

/*
 * The texts of one forward from the control socket, as in a [forward] section: the same checks and
 * the same messages apply. NULL for a key that is not given. `expires` is a time (RFC 3339).
 */
struct forward_text {
    const char *name, *listen, *to, *allow, *owner, *note, *expires, *sessions, *new_sessions;
    const char *by; /* who asks, for the register of open ports; no key */
};
/*
 * Adds the forward to the (unsealed) policy, or reports errors and returns false. Messages name the
 * key, not a file.
 */
bool config_add_forward(struct policy *policy, const struct forward_text *text, bool runtime,
                        config_report *report, void *context);

/*
 * Adds the forward `before` with some other values: those of `text` that are not NULL, of allow,
 * owner, note, expires, sessions and new_sessions. An empty text takes a value away, and so do the
 * words "anyone" for allow and "never" for expires. The policy has no forward of that name.
 */
bool config_change_forward(struct policy *policy, const struct forward *before,
                           const struct forward_text *text, config_report *report, void *context);

#endif
