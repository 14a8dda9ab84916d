/*
 * format.c - numbers, times and endpoints as text for people
 */
#include "format.h"

#include "member.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define MINUTE 60
#define HOUR   3600
#define DAY    86400

/* Two units are precise enough for people. */
char *format_duration(double seconds, char buffer[CELL_MAX])
{
    unsigned long long s = seconds > 0 && seconds < 1e15 ? (unsigned long long)seconds : 0;

    if (s < MINUTE)
        snprintf(buffer, CELL_MAX, "%llus", s);
    else if (s < HOUR)
        snprintf(buffer, CELL_MAX, "%llum%llus", s / MINUTE, s % MINUTE);
    else if (s < DAY)
        snprintf(buffer, CELL_MAX, "%lluh%llum", s / HOUR, s % HOUR / MINUTE);
    else
        snprintf(buffer, CELL_MAX, "%llud%lluh", s / DAY, s % DAY / HOUR);
    return buffer;
}

/* Short ones, with a digit more. */
char *format_span(double seconds, char buffer[CELL_MAX])
{
    if (seconds < 0 || seconds >= 10)
        return format_duration(seconds, buffer);
    if (seconds < 0.1)
        snprintf(buffer, CELL_MAX, "%.0f ms", seconds * 1000);
    else
        snprintf(buffer, CELL_MAX, "%.1f s", seconds);
    return buffer;
}

char *format_amount(int64_t number, char buffer[CELL_MAX])
{
    static const char units[] = "kMGTPE";
    double value = (double)number;
    size_t unit = 0;

    if (number < 1000) {
        snprintf(buffer, CELL_MAX, "%lld", (long long)number);
        return buffer;
    }
    for (value /= 1000; value >= 999.5 && units[unit + 1] != '\0'; unit++)
        value /= 1000;
    snprintf(buffer, CELL_MAX, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    return buffer;
}

static bool with_names = true;

void format_set_names(bool names)
{
    with_names = names;
}

char *format_service(uint16_t port, const char *protocol, char buffer[CELL_MAX])
{
    const struct servent *known = with_names ? getservbyport(htons(port), protocol) : NULL;

    snprintf(buffer, CELL_MAX, "%s%.32s", known != NULL ? " " : "",
             known != NULL ? known->s_name : "");
    return buffer;
}

char *format_endpoint(const json_t *endpoint, const char *protocol, bool service,
                      char buffer[CELL_MAX])
{
    const char *address = member_text(endpoint, "address");
    int64_t port = member_number(endpoint, "port");
    char name[CELL_MAX] = "";
    bool bracketed = strchr(address, ':') != NULL;

    if (service && port > 0 && port <= UINT16_MAX)
        format_service((uint16_t)port, protocol, name);
    snprintf(buffer, CELL_MAX, "%s%.64s%s:%lld%.40s", bracketed ? "[" : "", address,
             bracketed ? "]" : "", (long long)port, name);
    return buffer;
}

char *format_list(const json_t *array, const char *separator, char buffer[CELL_MAX])
{
    size_t index, used = 0;
    const json_t *item;

    buffer[0] = '\0';
    json_array_foreach(array, index, item)
    {
        const char *text = json_string_value(item) != NULL ? json_string_value(item) : "?";

        if (used < CELL_MAX)
            used += (size_t)snprintf(buffer + used, CELL_MAX - used, "%s%s",
                                     index > 0 ? separator : "", text);
    }
    return buffer;
}

const char *format_icmp(const json_t *icmp, char buffer[CELL_MAX])
{
    static const char *const unreachable[] = {
        [0] = "network unreachable",  [1] = "host unreachable",
        [2] = "protocol unreachable", [3] = "port unreachable",
        [5] = "source route failed",  [6] = "network unknown",
        [7] = "host unknown",         [9] = "network prohibited",
        [10] = "host prohibited",     [13] = "prohibited by a filter",
    };
    const size_t known = sizeof(unreachable) / sizeof(unreachable[0]);
    int64_t type = member_number(icmp, "type"), code = member_number(icmp, "code");

    if (type == 3 && code >= 0 && (size_t)code < known && unreachable[code] != NULL)
        return unreachable[code];
    if (type == 11 && code == 0)
        return "TTL exceeded on the way";
    snprintf(buffer, CELL_MAX, "ICMP type %lld, code %lld", (long long)type, (long long)code);
    return buffer;
}

/* ---- the endpoints of a session ---- */

static bool is_inbound(const json_t *session)
{
    return strcmp(member_text(session, "direction"), "inbound") == 0;
}

static char *format_side(const json_t *session, const char *side, bool service,
                         char buffer[CELL_MAX])
{
    return format_endpoint(json_object_get(session, side), member_text(session, "protocol"),
                           service, buffer);
}

char *format_internal(const json_t *session, char buffer[CELL_MAX])
{
    return format_side(session, "internal", is_inbound(session), buffer);
}

char *format_external(const json_t *session, char buffer[CELL_MAX])
{
    return format_side(session, "external", false, buffer);
}

/*
 * For a hairpin, also the internal endpoint behind it. For a remote that the internal endpoint sees
 * with another port, also that.
 */
char *format_remote(const json_t *session, char buffer[CELL_MAX])
{
    const json_t *peer = json_object_get(session, "peer"),
                 *inside = json_object_get(session, "remote_inside");
    char behind[CELL_MAX];
    size_t length;

    format_side(session, "remote", peer == NULL && !is_inbound(session), buffer);
    if (peer != NULL) {
        format_endpoint(peer, member_text(session, "protocol"), true, behind);
        length = strlen(buffer);
        snprintf(buffer + length, CELL_MAX - length, " (%s)", behind);
    } else if (inside != NULL) {
        length = strlen(buffer);
        snprintf(buffer + length, CELL_MAX - length, " (inside :%lld)",
                 (long long)member_number(inside, "port"));
    }
    return buffer;
}
