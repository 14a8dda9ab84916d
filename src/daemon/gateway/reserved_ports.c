/*
 * reserved_ports.c - prevents the host from choosing ports of the pool for its own connections
 */
#include "reserved_ports.h"

#include "portreeve/host_ports.h"
#include "portreeve/log.h"
#include "portreeve/text.h"
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RANGES_MAX 1024

static void note_path(char path[STATE_PATH_MAX], const char *directory)
{
    snprintf(path, STATE_PATH_MAX, "%s/reserved-ports", directory);
}

/* Reads the ranges from the file, one per line. */
static size_t read_note(const char *directory, struct port_range *ranges)
{
    char path[STATE_PATH_MAX], line[64];
    size_t count = 0;
    FILE *file;

    note_path(path, directory);
    file = fopen(path, "re");
    if (file == NULL && errno != ENOENT)
        log_warning("cannot read %s: %s; ports that it names stay reserved", path, strerror(errno));
    if (file == NULL)
        return 0;
    while (count < RANGES_MAX && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (text_parse_port_range(line, &ranges[count]))
            count++;
    }
    fclose(file);
    return count;
}

static void write_note(const char *directory, const struct port_range *ranges, size_t count)
{
    char path[STATE_PATH_MAX];
    FILE *file;

    note_path(path, directory);
    file = fopen(path, "we");
    if (file == NULL) {
        log_warning("cannot write %s: %s; after a crash, the reserved ports would not be released",
                    path, strerror(errno));
        return;
    }
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%u-%u\n", ranges[i].first, ranges[i].last);
    if (fclose(file) != 0)
        log_warning("cannot write %s: %s; after a crash, the reserved ports would not be released",
                    path, strerror(errno));
}

void reserved_ports_release(const char *directory)
{
    struct port_range noted[RANGES_MAX];
    size_t count = read_note(directory, noted);
    struct error error = {0};
    char path[STATE_PATH_MAX];

    if (count > 0 && host_ports_release(noted, count, &error) < 0)
        log_warning("%s", error.text);
    else if (count > 0)
        log_debug("reserved ports released: ranges %zu", count);
    note_path(path, directory);
    unlink(path);
}

static size_t pool_ranges(const struct policy *policy, struct port_range *ranges)
{
    size_t count = 0;

    for (size_t i = 0; i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        for (size_t n = 0; n < share->ports_count && count < RANGES_MAX; n++)
            ranges[count++] = share->ports[n];
    }
    return count;
}

void reserved_ports_exchange(const char *directory, const struct policy *policy)
{
    struct port_range ranges[RANGES_MAX], added[RANGES_MAX];
    size_t count = pool_ranges(policy, ranges);
    struct error error = {0};
    int result;

    reserved_ports_release(directory);
    if (count == 0)
        return;
    result = host_ports_reserve(ranges, count, added, RANGES_MAX, &error);
    if (result < 0)
        log_warning("the host may choose ports of the pool for its own connections: %s",
                    error.text);
    else
        write_note(directory, added, (size_t)result);
    if (result >= 0)
        log_debug("reserved ports: ranges of the pools %zu, of these not reserved before %d", count,
                  result);
}
