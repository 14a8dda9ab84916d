/*
 * reserved_ports.c - prevents the host from choosing ports of pools and forwards for its own
 * connections
 */
#include "reserved_ports.h"

#include "portreeve/host_ports.h"
#include "portreeve/log.h"
#include "portreeve/report.h"
#include "portreeve/text.h"
#include "state_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Always enough: every second port. */
#define RANGES_MAX POLICY_PUBLISHED_MAX

#define PORTS 65536 /* port 0 included */

/*
 * The gateway needs ports for its own connections: name resolution, updates, time, monitoring. 1024
 * are enough for that, and are what makes its DNS queries hard to forge (RFC 5452 section 4.5: ten
 * bits beside the sixteen of the identifier). Where the administrator gives the host fewer, half of
 * them must stay.
 */
#define ROOM_NEEDED 1024

struct range_list {
    size_t count;
    struct port_range range[RANGES_MAX];
};

static void note_path(char path[STATE_PATH_MAX], const char *directory)
{
    snprintf(path, STATE_PATH_MAX, "%s/reserved-ports", directory);
}

/* Reads the ranges from the file, one per line. False if there is a file that cannot be read. */
static bool read_note(const char *directory, struct range_list *noted, struct error *error)
{
    char path[STATE_PATH_MAX], line[64];
    FILE *file;

    noted->count = 0;
    note_path(path, directory);
    file = state_file_read(path, error);
    if (file == NULL)
        return errno == ENOENT;
    while (noted->count < RANGES_MAX && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (text_parse_port_range(line, &noted->range[noted->count]))
            noted->count++;
    }
    fclose(file);
    return true;
}

static void read_own_note(const char *directory, struct range_list *noted)
{
    struct error error = {0};

    if (!read_note(directory, noted, &error))
        log_warning("%s; ports that it names stay reserved", error.text);
}

static int write_ranges(FILE *stream, const void *context)
{
    const struct range_list *added = context;

    for (size_t i = 0; i < added->count; i++) {
        if (fprintf(stream, "%u-%u\n", added->range[i].first, added->range[i].last) < 0)
            return -errno;
    }
    return 0;
}

static int write_note(const char *directory, const struct range_list *added, struct error *error)
{
    char path[STATE_PATH_MAX];

    note_path(path, directory);
    return state_file_replace(path, write_ranges, added, error);
}

/* What the note does not name would stay reserved for ever: back to what it names. */
static void undo(const struct range_list *noted, const struct range_list *added,
                 struct range_list *room, struct error *error)
{
    if (host_ports_release(added->range, added->count, error) < 0 ||
        host_ports_reserve(NULL, 0, noted->range, noted->count, room->range, RANGES_MAX, error) < 0)
        log_warning("%s", error->text);
}

void reserved_ports_release(const char *directory)
{
    struct range_list *noted = malloc(sizeof(*noted));
    struct error error = {0};
    char path[STATE_PATH_MAX];

    if (noted == NULL) {
        log_warning("not enough memory: the reserved ports stay reserved");
        return;
    }
    read_own_note(directory, noted);
    if (host_ports_release(noted->range, noted->count, &error) < 0)
        log_warning("%s", error.text);
    else if (noted->count > 0)
        log_debug("reserved ports released: ranges %zu", noted->count);
    free(noted);
    note_path(path, directory);
    unlink(path);
}

static void mark(bool *held, const struct port_range *range)
{
    memset(&held[range->first], true, (size_t)range->last - range->first + 1);
}

/* The ports of pools and forwards, as sorted ranges. The kernel's list knows no protocols. */
static void list_ports(const struct policy *policy, struct range_list *list)
{
    bool held[PORTS] = {false};

    for (size_t i = 0; i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        for (size_t n = 0; n < share->ports_count; n++)
            mark(held, &share->ports[n]);
    }
    for (size_t i = 0; i < policy_forward_count(policy); i++)
        mark(held, &policy_forward(policy, i)->listen);
    list->count = 0;
    for (uint32_t port = 0; port < PORTS; port++) {
        if (held[port] && (port == 0 || !held[port - 1]))
            list->range[list->count++].first = (uint16_t)port;
        if (held[port])
            list->range[list->count - 1].last = (uint16_t)port;
    }
}

void reserved_ports_exchange(const char *directory, const struct policy *policy)
{
    struct range_list *lists = calloc(3, sizeof(*lists)), *noted, *wanted, *added;
    struct error error = {0};
    int result;

    if (lists == NULL) {
        log_warning("not enough memory: the host may choose ports of pools and forwards");
        return;
    }
    noted = &lists[0];
    wanted = &lists[1];
    added = &lists[2];
    read_own_note(directory, noted);
    list_ports(policy, wanted);
    result = host_ports_reserve(noted->range, noted->count, wanted->range, wanted->count,
                                added->range, RANGES_MAX, &error);
    if (result >= 0) {
        added->count = (size_t)result;
        log_debug("reserved ports: ranges of pools and forwards %zu, of these not reserved before "
                  "%d",
                  wanted->count, result);
        result = write_note(directory, added, &error);
        if (result < 0)
            undo(noted, added, wanted, &(struct error){0});
    }
    if (result < 0)
        log_warning("the host may choose ports of pools and forwards for its own connections: %s",
                    error.text);
    free(lists);
}

/* What the gateway's own connections would lose. */

static uint32_t overlap(const struct port_range *one, const struct port_range *other)
{
    uint32_t first = one->first > other->first ? one->first : other->first,
             last = one->last < other->last ? one->last : other->last;

    return first <= last ? last - first + 1 : 0;
}

struct taker {
    const char *kind, *name, *key;
    struct port_range range;
    uint32_t ports;
};

static void consider(struct taker *most, const struct port_range *ephemeral,
                     const struct taker *other)
{
    uint32_t ports = overlap(ephemeral, &other->range);

    if (ports <= most->ports)
        return;
    *most = *other;
    most->ports = ports;
}

/* The range of a pool or a forward that takes most of the host's ports. */
static struct taker find_taker(const struct policy *policy, const struct port_range *ephemeral)
{
    struct taker most = {0};

    for (size_t i = 0; i < policy_share_count(policy); i++) {
        const struct share *share = policy_share(policy, i);

        for (size_t n = 0; n < share->ports_count; n++)
            consider(&most, ephemeral,
                     &(struct taker){"share", share->name, "ports", share->ports[n], 0});
    }
    for (size_t i = 0; i < policy_forward_count(policy); i++) {
        const struct forward *forward = policy_forward(policy, i);

        consider(&most, ephemeral,
                 &(struct taker){forward->runtime ? "run-time forward" : "forward", forward->name,
                                 "listen", forward->listen, 0});
    }
    return most;
}

static void say_no_room(const char *path, const struct policy *policy,
                        const struct host_ports_room *room, uint32_t needed, config_report *report,
                        void *context)
{
    struct taker most = find_taker(policy, &room->ephemeral);

    report_format(report, context,
                  "%s: [%s %s] %s = %u-%u: pools and forwards would leave %u of the %u ports that "
                  "the gateway's own connections use (net.ipv4.ip_local_port_range, %u-%u); "
                  "expected at least %u to be left",
                  path, most.kind, most.name, most.key, most.range.first, most.range.last,
                  room->with_us, room->without_us, room->ephemeral.first, room->ephemeral.last,
                  needed);
}

bool reserved_ports_leave_room(const char *directory, const char *path, const struct policy *policy,
                               config_report *report, void *context)
{
    struct range_list *lists = calloc(2, sizeof(*lists)), *noted, *wanted;
    struct host_ports_room room;
    struct error error = {0};
    uint32_t needed;
    bool fits;

    if (lists == NULL) {
        report(context, "not enough memory");
        return false;
    }
    noted = &lists[0];
    wanted = &lists[1];
    list_ports(policy, wanted);
    if (!read_note(directory, noted, &error)) { /* then any reserved port may be ours */
        noted->count = 1;
        noted->range[0] = (struct port_range){0, UINT16_MAX};
    }
    if (host_ports_room(noted->range, noted->count, wanted->range, wanted->count, &room, &error) <
        0) {
        log_debug("how many ports stay for the gateway's own connections is unknown: %s",
                  error.text);
        free(lists);
        return true;
    }
    needed = room.without_us / 2 < ROOM_NEEDED ? room.without_us / 2 : ROOM_NEEDED;
    fits = room.with_us >= needed;
    if (!fits)
        say_no_room(path, policy, &room, needed, report, context);
    free(lists);
    return fits;
}
