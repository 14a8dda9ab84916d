/*
 * status.c - portreeve status: a short report, with the warnings first
 */
#include "format.h"
#include "json.h"
#include "member.h"
#include "portreeve/packet.h"
#include "portreeve/text.h"
#include "rpc.h"
#include "run.h"
#include "say.h"

#include <stdio.h>
#include <string.h>

/* The daemon may be newer than this program: then there may be no text for its reason. */
static const char *explain_drop(const char *reason)
{
    for (int i = DROP_NONE + 1; i < DROP_REASON_COUNT; i++) {
        if (strcmp(reason, drop_reason_name((enum drop_reason)i)) == 0)
            return drop_reason_text((enum drop_reason)i);
    }
    return "";
}

static long long percent(int64_t part, int64_t whole)
{
    return whole > 0 ? (long long)(100.0 * (double)part / (double)whole) : 0;
}

/* ---- the parts of the report ---- */

static void print_warnings(const json_t *status)
{
    const json_t *warnings = json_object_get(status, "warnings"), *warning;
    struct shown shown;
    size_t index;

    json_array_foreach(warnings, index, warning)
        printf("warning: %s\n",
               show(&shown, json_string_value(warning) != NULL ? json_string_value(warning) : "?"));
    if (json_array_size(warnings) > 0)
        putchar('\n');
}

static void print_external(const json_t *external)
{
    char addresses[CELL_MAX];
    struct shown interface;

    text_make_printable(format_list(json_object_get(external, "addresses"), ", ", addresses));
    printf("external   %s: %s\n", show(&interface, member_text(external, "interface")),
           addresses[0] != '\0' ? addresses : "no address");
}

static void print_daemon(const json_t *status)
{
    const json_t *external = json_object_get(status, "external"),
                 *uplinks = json_object_get(external, "uplinks"), *uplink;
    char uptime[CELL_MAX];
    struct shown version, started;
    size_t index;

    printf("portreeved %s, process %lld, up %s, since %s\n",
           show(&version, member_text(status, "version")), (long long)member_number(status, "pid"),
           format_duration(member_seconds(status, "uptime"), uptime),
           show(&started, member_text(status, "started")));
    json_array_foreach(uplinks, index, uplink) print_external(uplink);
    if (json_array_size(uplinks) == 0) /* an older daemon */
        print_external(external);
}

static void print_closed(const json_t *closed)
{
    const char *reason, *separator = "; closed: ";
    struct shown shown;
    const json_t *count;

    /* json_object_foreach takes no const pointer, but changes nothing */
    json_object_foreach((json_t *)closed, reason, count)
    {
        if (json_integer_value(count) == 0)
            continue;
        printf("%s%lld %s", separator, (long long)json_integer_value(count), show(&shown, reason));
        separator = ", ";
    }
}

static void print_sessions(const json_t *status)
{
    const json_t *sessions = json_object_get(status, "sessions"),
                 *mappings = json_object_get(status, "mappings");
    int64_t live = member_number(sessions, "live"), limit = member_number(sessions, "limit");
    char memory[CELL_MAX];

    printf("sessions   %lld of %lld (%lld %%); opened: %lld", (long long)live, (long long)limit,
           percent(live, limit), (long long)member_number(sessions, "opened"));
    if (member_number(sessions, "adopted") > 0)
        printf("; taken over: %lld", (long long)member_number(sessions, "adopted"));
    print_closed(json_object_get(sessions, "closed"));
    printf("\nmappings   %lld", (long long)member_number(mappings, "live"));
    if (member_number(mappings, "overloaded") > 0)
        printf("; mappings that had to share a port: %lld",
               (long long)member_number(mappings, "overloaded"));
    printf("; hosts: %lld; memory: %s\n", (long long)member_number(status, "hosts"),
           format_amount(member_number(status, "memory"), memory));
}

static void print_share(const json_t *share)
{
    static const char *const protocols[] = {"tcp", "udp", "icmp"};
    char source[CELL_MAX], ports[CELL_MAX];
    struct shown name, filtering;

    text_make_printable(format_list(json_object_get(share, "source"), ", ", source));
    text_make_printable(format_list(json_object_get(share, "ports"), ", ", ports));
    printf("share      %s: %s, ports %s, filtering %s\n", show(&name, member_text(share, "name")),
           source, ports, show(&filtering, member_text(share, "filtering")));
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        const json_t *pool = json_object_get(json_object_get(share, "pool"), protocols[i]);
        int64_t used = member_number(pool, "used"), size = member_number(pool, "size");

        printf("           pool %-4s %lld of %lld (%lld %%)\n", protocols[i], (long long)used,
               (long long)size, percent(used, size));
    }
}

static void print_traffic(const json_t *status, const char *label, const char *direction)
{
    const json_t *traffic = json_object_get(json_object_get(status, "traffic"), direction);
    char packets[CELL_MAX], bytes[CELL_MAX], packet_rate[CELL_MAX], bit_rate[CELL_MAX];

    printf("%-10s %s packets, %s bytes; now %s packets/s, %s bit/s\n", label,
           format_amount(member_number(traffic, "packets"), packets),
           format_amount(member_number(traffic, "bytes"), bytes),
           format_amount(member_number(traffic, "packets_per_second"), packet_rate),
           format_amount(member_number(traffic, "bytes_per_second") * 8, bit_rate));
}

static void print_queue(const json_t *queue)
{
    struct shown error;

    printf("queue %-4lld ", (long long)member_number(queue, "number"));
    if (*member_text(queue, "error") != '\0') {
        printf("cannot be read: %s\n", show(&error, member_text(queue, "error")));
        return;
    }
    printf("%lld waiting", (long long)member_number(queue, "waiting"));
    if (member_number(queue, "dropped_full") > 0)
        printf("; %lld dropped: the queue was full",
               (long long)member_number(queue, "dropped_full"));
    if (member_number(queue, "dropped_user") > 0)
        printf("; %lld dropped: the socket was full",
               (long long)member_number(queue, "dropped_user"));
    putchar('\n');
}

static void print_health(const json_t *health)
{
    const json_t *threads = json_object_get(health, "threads"), *thread;
    char watchdog[CELL_MAX], still[CELL_MAX];
    struct shown name;
    size_t index;

    if (health == NULL)
        return; /* an older daemon */
    if (json_is_true(json_object_get(health, "fine")))
        printf("health     all %zu threads go on", json_array_size(threads));
    else
        printf("health     a thread stands still");
    if (json_is_number(json_object_get(health, "watchdog")))
        printf("; the service manager watches, for %s",
               format_duration(member_seconds(health, "watchdog"), watchdog));
    putchar('\n');
    if (json_is_true(json_object_get(health, "fine")))
        return;
    json_array_foreach(threads, index, thread)
        printf("           %s: %s\n", show(&name, member_text(thread, "name")),
               format_duration(member_seconds(thread, "still"), still));
}

/* The daemon leaves out what it does not know. */
static const char *show_if_known(struct shown *shown, const char *text)
{
    return *text != '\0' ? show(shown, text) : "unknown";
}

static void print_offload(const json_t *offload)
{
    const json_t *packets = json_object_get(offload, "packets");
    char in[CELL_MAX], out[CELL_MAX];
    struct shown mode;

    printf("offload    %s", show(&mode, member_text(offload, "mode")));
    if (strcmp(member_text(offload, "mode"), "on") == 0)
        printf(": %lld of %lld sessions; %s packets in, %s out",
               (long long)member_number(offload, "sessions"),
               (long long)member_number(offload, "limit"),
               format_amount(member_number(packets, "in"), in),
               format_amount(member_number(packets, "out"), out));
    putchar('\n');
}

static void print_kernel(const json_t *status)
{
    const json_t *kernel = json_object_get(status, "kernel");
    struct shown queue, defragmentation;

    printf("kernel     queueing with %s, defragmentation with %s\nworkers    %lld\n",
           show_if_known(&queue, member_text(kernel, "queue_expression")),
           show_if_known(&defragmentation, member_text(kernel, "defragmentation")),
           (long long)member_number(status, "workers"));
    print_offload(json_object_get(status, "offload"));
}

static void print_drops(const json_t *status)
{
    const json_t *drops = json_object_get(status, "drops"), *count;
    struct shown shown;
    const char *reason;
    bool any = false;

    json_object_foreach((json_t *)drops, reason, count)
    {
        if (json_integer_value(count) == 0)
            continue;
        if (!any)
            printf("\ndropped packets, by reason:\n");
        any = true;
        printf("  %-20s %10lld  %s\n", show(&shown, reason), (long long)json_integer_value(count),
               explain_drop(reason));
    }
    if (member_number(status, "refusals_sent") > 0)
        printf("ICMP errors sent to internal hosts about these drops: %lld\n",
               (long long)member_number(status, "refusals_sent"));
}

static void print_report(const json_t *status)
{
    const json_t *item;
    size_t index;

    print_warnings(status);
    print_daemon(status);
    print_sessions(status);
    json_array_foreach(json_object_get(status, "shares"), index, item) print_share(item);
    print_traffic(status, "in", "in");
    print_traffic(status, "out", "out");
    json_array_foreach(json_object_get(status, "queues"), index, item) print_queue(item);
    print_kernel(status);
    print_health(json_object_get(status, "health"));
    print_drops(status);
}

int run_status(const struct options *options)
{
    json_t *result;
    int code = rpc_ask(options, "status", json_object(), NULL, NULL, &result);

    if (code == EXIT_DONE && options_has(options, OPTION_JSON))
        json_print(result);
    else if (code == EXIT_DONE)
        print_report(result);
    json_decref(result);
    return code;
}
