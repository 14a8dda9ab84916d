/*
 * format.c - numbers, times, endpoints and texts for people
 */
#include "ctl.h"
#include "portreeve/text.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE 60
#define HOUR   3600
#define DAY    86400

const char *show(struct shown *shown, const char *text)
{
    snprintf(shown->text, sizeof(shown->text), "%s", text);
    text_make_printable(shown->text);
    return shown->text;
}

void give_up(void)
{
    complain("not enough memory");
    exit(EXIT_REFUSED);
}

void complain(const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    text_make_printable(text);
    fflush(stdout); /* so that both outputs are in order where they meet */
    fprintf(stderr, "portreeve: %s\n", text);
}

/* Two units are enough to go by. */
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

/* Powers of 1000, as line rates are given. */
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

char *format_endpoint(const json_t *endpoint, const char *protocol, bool service,
                      char buffer[CELL_MAX])
{
    const char *address = member_text(endpoint, "address");
    int64_t port = member_number(endpoint, "port");
    const struct servent *known = NULL;
    bool bracketed = strchr(address, ':') != NULL;

    if (service && port > 0 && port <= UINT16_MAX)
        known = getservbyport(htons((uint16_t)port), protocol);
    snprintf(buffer, CELL_MAX, "%s%.64s%s:%lld%s%.32s", bracketed ? "[" : "", address,
             bracketed ? "]" : "", (long long)port, known != NULL ? " " : "",
             known != NULL ? known->s_name : "");
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

/*
 * ---- the endpoints of a session; the port that the initiator asked for gets its service's name
 * ----
 */

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

/* Of a hairpin, the host behind the endpoint as well. */
char *format_remote(const json_t *session, char buffer[CELL_MAX])
{
    const json_t *peer = json_object_get(session, "peer");
    char behind[CELL_MAX];
    size_t length;

    format_side(session, "remote", peer == NULL && !is_inbound(session), buffer);
    if (peer != NULL) {
        format_endpoint(peer, member_text(session, "protocol"), true, behind);
        length = strlen(buffer);
        snprintf(buffer + length, CELL_MAX - length, " (%s)", behind);
    }
    return buffer;
}

/* ---- JSON ---- */

/* Precise to the millisecond, as the daemon is. */
#define JSON_STYLE JSON_REAL_PRECISION(12)

void print_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_STYLE | JSON_INDENT(2));
    putchar('\n');
}

/* Prints what is kept. */
static void json_list_flush(struct json_list *list)
{
    if (list->stream == NULL)
        return;
    if (fclose(list->stream) != 0)
        give_up();
    fwrite(list->text, 1, list->length, stdout);
    free(list->text);
    list->stream = NULL;
    list->text = NULL;
}

void json_list_add(struct json_list *list, const json_t *element)
{
    if (list->stream == NULL)
        list->stream = open_memstream(&list->text, &list->length);
    if (list->stream == NULL || fputs(list->begun ? ",\n" : "[\n", list->stream) < 0 ||
        json_dumpf(element, list->stream, JSON_STYLE) < 0)
        give_up();
    list->begun = true;
    if (ftello(list->stream) > (off_t)JSON_LIST_KEPT)
        json_list_flush(list);
}

void json_list_print(struct json_list *list)
{
    json_list_flush(list);
    puts(list->begun ? "\n]" : "[]");
}

void json_list_end(struct json_list *list)
{
    if (list->stream != NULL)
        fclose(list->stream);
    free(list->text);
}
