/*
 * host_ports_reserved.c - net.ipv4.ip_local_reserved_ports: read, extend and reduce it, and what it
 * leaves of net.ipv4.ip_local_port_range
 *
 * The file's text is like "8080,9148-9152"; in the kernel it is a bit per port.
 *
 * One read returns the whole list, whatever its length; a second read returns nothing. A write
 * takes at most one page: the first write replaces the list, writes at a later file position add to
 * it. Each returns how much of the text the kernel has used, so a number is never cut in two
 * (kernel/sysctl.c, proc_do_large_bitmap).
 */
#include "portreeve/host_ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESERVED  "/proc/sys/net/ipv4/ip_local_reserved_ports"
#define EPHEMERAL "/proc/sys/net/ipv4/ip_local_port_range"

#define PORTS 65536 /* port 0 included */

/* The longest list is every second port: 32768 numbers of at most five digits, with separators. */
#define TEXT_MAX (PORTS / 2 * 6 + 2)

struct port_set {
    bool held[PORTS];
};

struct reserved {
    struct port_set ports;
    char text[TEXT_MAX];
};

static int read_text(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;
    int result;

    if (file < 0)
        return -errno;
    length = read(file, text, size - 1);
    result = length < 0 ? -errno : 0;
    close(file);
    text[length > 0 ? length : 0] = '\0';
    return result;
}

/* Reads a number at *text, and sets *text to the first character after it. */
static bool parse_port(const char **text, unsigned int *port)
{
    const char *from = *text;

    *port = 0;
    while (**text >= '0' && **text <= '9' && *port < PORTS)
        *port = *port * 10 + (unsigned int)(*(*text)++ - '0');
    return *text != from && *port < PORTS;
}

static bool parse_ranges(const char *text, struct port_set *ports)
{
    while (*text != '\0' && *text != '\n') {
        unsigned int first, last;

        if (!parse_port(&text, &first))
            return false;
        last = first;
        if (*text == '-' && (text++, !parse_port(&text, &last) || last < first))
            return false;
        memset(&ports->held[first], true, last - first + 1);
        if (*text == ',')
            text++;
        else if (*text != '\n' && *text != '\0')
            return false;
    }
    return true;
}

/* Finds the next range of ports that are in the set, from *port on. */
static bool next_range(const struct port_set *ports, size_t *port, struct port_range *range)
{
    while (*port < PORTS && !ports->held[*port])
        (*port)++;
    if (*port == PORTS)
        return false;
    range->first = (uint16_t)*port;
    while (*port < PORTS && ports->held[*port])
        (*port)++;
    range->last = (uint16_t)(*port - 1);
    return true;
}

static char *write_port(char *end, uint16_t port)
{
    char digits[5];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + port % 10);
        port /= 10;
    } while (port > 0);
    while (count > 0)
        *end++ = digits[--count];
    return end;
}

/* A range is never longer than its ports one by one would be, so TEXT_MAX holds any set. */
static size_t format_ranges(const struct port_set *ports, char *text)
{
    struct port_range range;
    size_t port = 0;
    char *end = text;

    while (next_range(ports, &port, &range)) {
        if (end != text)
            *end++ = ',';
        end = write_port(end, range.first);
        if (range.last > range.first) {
            *end++ = '-';
            end = write_port(end, range.last);
        }
    }
    *end++ = '\n';
    return (size_t)(end - text);
}

static int write_text(const char *text, size_t length)
{
    int file = open(RESERVED, O_WRONLY | O_CLOEXEC);
    int result = 0;

    if (file < 0)
        return -errno;
    while (length > 0) {
        ssize_t taken = write(file, text, length);

        if (taken < 0 && errno == EINTR)
            continue;
        if (taken <= 0) {
            result = taken < 0 ? -errno : -EIO;
            break;
        }
        text += taken;
        length -= (size_t)taken;
    }
    close(file);
    return result;
}

static int explain(int result, const char *doing, struct error *error)
{
    if (result == -EPERM || result == -EACCES)
        error_set(error, "cannot %s " RESERVED ": needs CAP_NET_ADMIN: run as root", doing);
    else if (result == -EROFS)
        error_set(error, "cannot %s " RESERVED ": it is mounted read-only (a container?)", doing);
    else if (result == -E2BIG)
        error_set(error, "cannot %s " RESERVED ": pools and forwards have too many ranges of ports",
                  doing);
    else if (result == -EBADMSG)
        error_set(error, "cannot %s " RESERVED ": its text is not a list of ports", doing);
    else
        error_set(error, "cannot %s " RESERVED ": %s", doing, strerror(-result));
    return result;
}

static int reserved_read(struct reserved **reserved, struct error *error)
{
    struct reserved *read = calloc(1, sizeof(*read));
    int result;

    if (read == NULL)
        return explain(-ENOMEM, "read", error);
    result = read_text(RESERVED, read->text, sizeof(read->text));
    if (result == 0 && !parse_ranges(read->text, &read->ports))
        result = -EBADMSG;
    if (result < 0) {
        free(read);
        return explain(result, "read", error);
    }
    *reserved = read;
    return 0;
}

static int reserved_write(struct reserved *reserved, struct error *error)
{
    int result = write_text(reserved->text, format_ranges(&reserved->ports, reserved->text));

    return result < 0 ? explain(result, "write", error) : 0;
}

/* The ports of `ranges` that are not held yet. */
static void find_new(const struct port_set *held, const struct port_range *ranges, size_t count,
                     struct port_set *fresh)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t port = ranges[i].first; port <= ranges[i].last; port++)
            fresh->held[port] = !held->held[port];
    }
}

static int list_ranges(const struct port_set *ports, struct port_range *ranges, size_t max)
{
    struct port_range range;
    size_t port = 0, count = 0;

    while (next_range(ports, &port, &range)) {
        if (count == max)
            return -E2BIG;
        ranges[count++] = range;
    }
    return (int)count;
}

static void set_held(struct port_set *ports, const struct port_range *ranges, size_t count,
                     bool held)
{
    for (size_t i = 0; i < count; i++)
        memset(&ports->held[ranges[i].first], held, (size_t)ranges[i].last - ranges[i].first + 1);
}

/* Adds the ranges to what was read, and writes it if it has `changed` or the ranges change it. */
static int reserve(struct reserved *reserved, const struct port_range *ranges, size_t count,
                   bool changed, struct port_range *added, size_t max, struct error *error)
{
    struct port_set *fresh = calloc(1, sizeof(*fresh));
    int result, new_ranges;

    if (fresh == NULL)
        return explain(-ENOMEM, "extend", error);
    find_new(&reserved->ports, ranges, count, fresh);
    new_ranges = list_ranges(fresh, added, max);
    free(fresh);
    if (new_ranges < 0)
        return explain(new_ranges, "extend", error);
    if (new_ranges == 0 && !changed)
        return 0;
    set_held(&reserved->ports, added, (size_t)new_ranges, true);
    result = reserved_write(reserved, error);
    return result < 0 ? result : new_ranges;
}

int host_ports_reserve(const struct port_range *former, size_t former_count,
                       const struct port_range *ranges, size_t count, struct port_range *added,
                       size_t max, struct error *error)
{
    struct reserved *reserved;
    int result = reserved_read(&reserved, error);

    if (result < 0)
        return result;
    set_held(&reserved->ports, former, former_count, false);
    result = reserve(reserved, ranges, count, former_count > 0, added, max, error);
    free(reserved);
    return result;
}

int host_ports_release(const struct port_range *added, size_t count, struct error *error)
{
    return count == 0 ? 0 : host_ports_reserve(added, count, NULL, 0, NULL, 0, error);
}

/* The file is like "32768\t60999". */
static int read_ephemeral(struct port_range *range, struct error *error)
{
    unsigned int first = 0, last = 0; /* gcc 14 does not see that they are read only when set */
    char text[64];
    const char *at = text;
    int result = read_text(EPHEMERAL, text, sizeof(text));

    if (result == 0 && (!parse_port(&at, &first) || (*at != '\t' && *at != ' ')))
        result = -EBADMSG;
    if (result == 0) {
        at += strspn(at, " \t");
        if (!parse_port(&at, &last) || last < first)
            result = -EBADMSG;
    }
    if (result < 0) {
        error_set(error, "cannot read " EPHEMERAL ": %s",
                  result == -EBADMSG ? "its text is not a range of ports" : strerror(-result));
        return result;
    }
    *range = (struct port_range){(uint16_t)first, (uint16_t)last};
    return 0;
}

static uint32_t count_free(const struct port_set *ports, const struct port_range *range)
{
    uint32_t count = 0;

    for (uint32_t port = range->first; port <= range->last; port++)
        count += !ports->held[port];
    return count;
}

int host_ports_room(const struct port_range *former, size_t former_count,
                    const struct port_range *ranges, size_t count, struct host_ports_room *room,
                    struct error *error)
{
    struct reserved *reserved;
    int result = read_ephemeral(&room->ephemeral, error);

    if (result == 0)
        result = reserved_read(&reserved, error);
    if (result < 0)
        return result;
    set_held(&reserved->ports, former, former_count, false);
    room->without_us = count_free(&reserved->ports, &room->ephemeral);
    set_held(&reserved->ports, ranges, count, true);
    room->with_us = count_free(&reserved->ports, &room->ephemeral);
    free(reserved);
    return 0;
}
