/*
 * config.c - the configuration file: open, read, check, report
 */
#include "config.h"

#include "check.h"
#include "keys.h"
#include "portreeve/control_protocol.h"
#include "portreeve/privileged.h"
#include "reader.h"
#include "report.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STATE_DIRECTORY_DEFAULT   "/run/portreeve"
#define LASTING_DIRECTORY_DEFAULT "/var/lib/portreeve"

static const struct config defaults = {
    .hairpin_mark = 0x10000000,
    .offload_after = 16,
    .control_socket = CONTROL_SOCKET_DEFAULT,
    .control_group = "portreeve",
    .state_directory = STATE_DIRECTORY_DEFAULT,
    .log = {LOG_LEVEL_INFO, LOG_TARGET_AUTO},
};

static void keep_node(void *node)
{
    (void)node; /* reading->sections owns it */
}

/* Who keeps all state in a directory of their own expects nothing elsewhere. */
static void settle_lasting_directory(struct config *config)
{
    if (config->lasting_directory[0] != '\0')
        return;
    if (strcmp(config->state_directory, STATE_DIRECTORY_DEFAULT) == 0)
        strcpy(config->lasting_directory, LASTING_DIRECTORY_DEFAULT);
    else
        strcpy(config->lasting_directory, config->state_directory);
}

static bool load(FILE *stream, const char *path, bool follows_includes, int64_t now,
                 struct config *config, config_report *report, config_report *warn, void *context)
{
    struct reading reading = {.path = path,
                              .stream = stream,
                              .follows_includes = follows_includes,
                              .now = now,
                              .config = config};

    *config = defaults;
    config->policy = policy_new();
    config->expired = policy_new();
    if (config->policy == NULL || config->expired == NULL) {
        config_free(config);
        report(context, "not enough memory");
        return false;
    }
    policy_limits(config->policy)->sessions_from_outside = LIMIT_AUTO;
    policy_limits(config->policy)->sessions_per_remote = LIMIT_AUTO;
    policy_limits(config->policy)->new_sessions_per_remote = LIMIT_AUTO;
    config_read_lines(&reading);
    if (ferror(stream))
        config_problem(&reading, 0, "cannot be read: %s", strerror(errno));
    else if (!reading.stop)
        config_check(&reading);
    settle_lasting_directory(config);
    config_report_all(&reading, report, warn, context);
    tdestroy(reading.section_tree, keep_node);
    for (size_t i = 0; i < reading.section_count; i++)
        config_section_free(reading.sections[i]);
    free(reading.sections);
    if (reading.failed)
        config_free(config);
    return !reading.failed;
}

bool config_load_stream(FILE *stream, const char *path, int64_t now, struct config *config,
                        config_report *report, config_report *warn, void *context)
{
    return load(stream, path, false, now, config, report, warn, context);
}

/* The file of the daemon, which only root may be able to read. NULL with errno. */
static FILE *open_by_privilege(void)
{
    int file = privileged_open_config();
    FILE *stream = file < 0 ? NULL : fdopen(file, "r");

    if (file < 0)
        errno = file == -ENOTCONN ? EACCES : -file;
    else if (stream == NULL)
        close(file);
    return stream;
}

/* Opens the file, or reports why it cannot be opened. */
static FILE *open_file(const char *path, config_report *report, void *context)
{
    FILE *stream = fopen(path, "re");
    struct reading reading = {.path = path};
    struct stat status;

    if (stream == NULL && errno == EACCES)
        stream = open_by_privilege();
    if (stream == NULL) {
        config_problem(&reading, 0, "cannot be read: %s%s", strerror(errno),
                       errno == EACCES ? "; the user that the daemon runs as must be able to read "
                                         "it (portreeved(8), PRIVILEGES)"
                                       : "");
    } else if (fstat(fileno(stream), &status) == 0 && S_ISDIR(status.st_mode)) {
        config_problem(&reading, 0, "is a directory; expected a file");
        fclose(stream);
        stream = NULL;
    }
    config_report_all(&reading, report, NULL, context);
    return stream;
}

bool config_load(const char *path, struct config *config, config_report *report,
                 config_report *warn, void *context)
{
    FILE *stream = open_file(path, report, context);
    bool loaded;

    if (stream == NULL)
        return false;
    loaded = load(stream, path, true, time(NULL), config, report, warn, context);
    fclose(stream);
    return loaded;
}

void config_free(struct config *config)
{
    policy_free(config->policy);
    policy_free(config->expired);
    config->policy = config->expired = NULL;
    for (size_t i = 0; i < config->included_count; i++)
        free(config->included[i]);
    config->included_count = 0;
}
