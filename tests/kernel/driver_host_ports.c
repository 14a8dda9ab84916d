/*
 * driver_host_ports.c - which ports the host's own sockets hold, and those that it is asked to
 * leave
 */
#include "driver.h"

#include "portreeve/host_ports.h"
#include "portreeve/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tell_socket(void *context, const struct host_socket *socket)
{
    char address[ADDRESS_TEXT_MAX];

    (void)context;
    printf("{\"protocol\": \"%s\", \"port\": %u, \"connected\": %s, \"address\": \"%s\", "
           "\"inode\": %u}\n",
           protocol_name(socket->protocol), socket->port, socket->is_connected ? "true" : "false",
           socket->takes_any_address ? "any" : text_format_address(&socket->address, address),
           socket->inode);
}

static int reserve(const struct arguments *arguments, struct error *error)
{
    size_t count, max = argument_number(arguments, "max", 4096);
    const struct port_range *ranges = argument_ports(arguments, "ranges", &count);
    struct port_range *added = calloc(max + 1, sizeof(*added));
    size_t former_count;
    const struct port_range *former = argument_ports(arguments, "former", &former_count);
    int code = host_ports_reserve(former, former_count, ranges, count, added, max, error);

    for (int i = 0; i < code; i++)
        printf("{\"first\": %u, \"last\": %u}\n", added[i].first, added[i].last);
    free(added);
    return code;
}

static int tell_room(const struct arguments *arguments, struct error *error)
{
    size_t count, former_count;
    const struct port_range *ranges = argument_ports(arguments, "ranges", &count);
    const struct port_range *former = argument_ports(arguments, "former", &former_count);
    struct host_ports_room room;
    int code = host_ports_room(former, former_count, ranges, count, &room, error);

    if (code == 0)
        printf("{\"first\": %u, \"last\": %u, \"without_us\": %u, \"with_us\": %u}\n",
               room.ephemeral.first, room.ephemeral.last, room.without_us, room.with_us);
    return code;
}

/* ports in-use | reserve ranges=A-B,... | room ranges=A-B,... | release ranges=A-B,... */
int verb_ports(const struct arguments *arguments)
{
    const char *what = arguments->count > 0 ? arguments->words[0] : "";
    struct error error = {0};
    size_t count;
    int code;

    if (strcmp(what, "in-use") == 0) {
        code = host_ports_in_use(tell_socket, NULL, &error);
    } else if (strcmp(what, "reserve") == 0) {
        code = reserve(arguments, &error);
    } else if (strcmp(what, "room") == 0) {
        code = tell_room(arguments, &error);
    } else {
        const struct port_range *ranges = argument_ports(arguments, "ranges", &count);

        code = host_ports_release(ranges, count, &error);
    }
    return tell_result(code, &error);
}
